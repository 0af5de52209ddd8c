// Open work goes on: programs read, write, commit and save on a share that moves while its routes are cut in every way,
// and afterwards the server has every byte that was acknowledged.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { longestEndingIn, percentile } from "../lab/load.ts";
import {
  CUT_KINDS,
  cutOnce,
  loseBothRoutes,
  type Move,
  restartServer,
  switchOnce,
  untilServedOver,
} from "../lab/moves.ts";
import { assertOnServer, prepareWork, startWork, type WorkDone } from "../lab/open-work.ts";
import { randomFrom, shuffle } from "../lab/random.ts";
import { playScene, type Scene, useRig } from "../lab/scene.ts";
import { missingForRootRig } from "../rig/root-rig.ts";

const ALL = process.env["MOUNTAINEER_OPEN_WORK"] === "all";
const SEED = Number(process.env["MOUNTAINEER_LAB_SEED"] ?? 20_261_125);
/** Of each kind, there and back. */
const CUTS = Number(process.env["MOUNTAINEER_CUTS"] ?? (ALL ? 25 : 2));
const OUTAGES = ALL
  ? { restarts: 4, restartMs: 15_000, losses: 4, lossMs: 30_000 }
  : { restarts: 1, restartMs: 4_000, losses: 1, lossMs: 5_000 };
const PLANNED = ALL ? 200 : 8;
/** Far beyond the second that a move may cost: a machine that is busy for seconds must fail nobody. */
const STALLS_AT_MOST_MS = 15_000;

/** Both off: only cuts and switches move the share. */
const BY_HAND = { auto_failback: false, lsof_recheck: false, check_interval_secs: 2 };

describe("open work", {
  skip: missingForRootRig() ?? false,
  timeout: ALL ? 3_600_000 : 600_000,
}, () => {
  const lab = useRig(["WORK"], { oneServer: true });
  const play = (story: (scene: Scene) => Promise<void>): Promise<void> =>
    playScene(lab.rig, { shares: ["WORK"], settings: BY_HAND, onRouteChange: "move" }, async (scene) => {
      await prepareWork(scene, "WORK", ALL ? 400 : 48);
      await scene.start("tb");
      await untilServedOver(scene, "WORK", "tb");
      await story(scene);
    });

  test("A10 A11 cuts of every kind, a server that restarts and no route at all: no program gets an error, and the server has every byte", (t) =>
    play(async (scene) => {
      const random = randomFrom(SEED);
      const mounted = await mountedNow(scene);
      const work = await startWork(scene, "WORK");
      const moves: Move[] = [];
      for (const act of shuffle(random, unplanned(scene, random))) moves.push(await act());
      const done = await work.stop();
      report(t, moves, done);
      assert.deepEqual(await mountedNow(scene), mounted, "the mount did not stay");
      assertNoErrors(done, moves);
      await assertOnServer(scene, "WORK", done);
      assertStalls(done, moves);
    }));

  test("A10 planned moves under the same load: no error in any program", (t) =>
    play(async (scene) => {
      const mounted = await mountedNow(scene);
      const work = await startWork(scene, "WORK");
      const moves: Move[] = [];
      for (let times = 0; times < PLANNED; times++) moves.push(await switchOnce(scene, "WORK"));
      const done = await work.stop();
      report(t, moves, done);
      assert.deepEqual(await mountedNow(scene), mounted, "the mount did not stay");
      assertNoErrors(done, moves);
      await assertOnServer(scene, "WORK", done);
    }));
});

function unplanned(scene: Scene, random: () => number): readonly (() => Promise<Move>)[] {
  return [
    ...CUT_KINDS.flatMap((kind) => Array.from({ length: CUTS }, () => () => cutOnce(scene, "WORK", kind))),
    ...Array.from({ length: OUTAGES.restarts }, () => () => restartServer(scene, "WORK", OUTAGES.restartMs)),
    ...Array.from(
      { length: OUTAGES.losses },
      () => () => loseBothRoutes(scene, "WORK", random, OUTAGES.lossMs),
    ),
  ];
}

/** What would be another after a mount that was made anew. */
async function mountedNow(scene: Scene): Promise<unknown> {
  return { mounts: await scene.mounts(), servers: await scene.servers() };
}

/** The last move that had begun. */
function moveAt(moves: readonly Move[], atMs: number): Move | undefined {
  return moves.findLast(({ fromMs }) => fromMs <= atMs);
}

type Failed = WorkDone["failed"][number];

function describeFailure(
  name: string,
  { operation, attempt, value, error, ...line }: Failed,
  moves: readonly Move[],
): string {
  const move = moveAt(moves, line.toMs);
  const began =
    move === undefined
      ? ""
      : ` ${Math.round(line.fromMs - move.fromMs)} to ${Math.round(line.toMs - move.fromMs)} ms after`;
  return `${name}: try ${attempt} of ${operation} ${value}${began} ${move?.kind ?? "before any move"}: ${error}`;
}

function assertNoErrors(done: readonly WorkDone[], moves: readonly Move[]): void {
  const found = done.flatMap(({ name, failed }) => failed.map((line) => describeFailure(name, line, moves)));
  assert.deepEqual(found, []);
}

/** How long the programs stood still for each move, beyond the time without a route. */
function stallsOf(done: readonly WorkDone[], moves: readonly Move[]): ReadonlyMap<string, readonly number[]> {
  const stalls = new Map<string, number[]>();
  for (const [index, move] of moves.entries()) {
    const untilMs = moves[index + 1]?.fromMs ?? Number.POSITIVE_INFINITY;
    const ofThis = done.map(({ lines }) =>
      Math.max(0, longestEndingIn(lines, move.fromMs, untilMs) - move.withoutRouteMs),
    );
    stalls.set(move.kind, [...(stalls.get(move.kind) ?? []), Math.max(0, ...ofThis)]);
  }
  return stalls;
}

function assertStalls(done: readonly WorkDone[], moves: readonly Move[]): void {
  for (const [kind, each] of stallsOf(done, moves))
    assert.ok(Math.max(...each) < STALLS_AT_MOST_MS, `${kind}: stood still for ${each.join(", ")} ms`);
}

function report(t: TestContext, moves: readonly Move[], done: readonly WorkDone[]): void {
  t.diagnostic(`seed ${SEED}: ${moves.map(({ kind, to }) => `${kind} → ${to}`).join(", ")}`);
  for (const [kind, each] of stallsOf(done, moves)) {
    const [median, p99, longest] = [0.5, 0.99, 1].map((part) => Math.round(percentile(each, part)));
    t.diagnostic(
      `longest stall, ${kind}, ${each.length} moves: median ${median} p99 ${p99} longest ${longest} ms`,
    );
  }
  for (const { name, lines, failed } of done) {
    t.diagnostic(
      `${name}: ${lines.length} operations, ${failed.length} errors${failed.length > 0 ? `: ${failed.map((line) => describeFailure(name, line, moves)).join("; ")}` : ""}`,
    );
  }
}
