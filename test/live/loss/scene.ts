// The loss table: programs that change files which were on the server before, on a share that moves and on one that is
// remounted, every way in which what serves them ends, and whether each byte that they were told is written is there.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import type { ShareStatus } from "../../../src/api/contract/contract.ts";
import { type PlainRig, startPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { startSimulatedCable } from "../../../src/demo/stage/simulated-cable.ts";
import { jsonObject } from "../../../src/runtime/text/json-object.ts";
import { LOG_NAME } from "../../../src/shares/drivers/program-logs.ts";
import { shareMountsFolder } from "../../../src/shares/drivers/share-files.ts";
import { collect } from "../../support/collect.ts";
import type { Monitor } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { killAll, serversOf } from "../../support/processes.ts";
import { type LiveHome, liveHome, mountIdAt, QUICK_SYNC, SETTLES_MS } from "../live-home.ts";
import { bringAbout, type Cables, type End, MOVING_GOES_ON } from "./ends.ts";
import { baseOf, databaseProblem, fileProblem, makeDatabase } from "./verdict.ts";

export const CHANGES = ["append", "blocks", "sqlite", "mixed", "shrink", "rewrite"] as const;
export type Change = (typeof CHANGES)[number];

export interface LossRow {
  readonly share: "MOVES" | "REMOUNTED";
  readonly change: Change;
  readonly held: "open" | "closed";
}

export interface LossRound {
  readonly end: End;
  readonly rows: readonly LossRow[];
  /** From the first change to the end, ms. */
  readonly changedForMs: number;
}

export interface LossScene extends AsyncDisposable {
  play(round: LossRound): Promise<void>;
  /** The ends of the daemon's log and of the programs'. */
  said(): Promise<string>;
}

interface LossShare {
  readonly name: LossRow["share"];
  readonly serverName: string;
  /** Its own: each share is cut on the route that it uses. */
  readonly cables: Cables;
  readonly exported: string;
  readonly mounted: string;
}

interface PlayedRow extends LossRow {
  readonly file: string;
  readonly at: LossShare;
  readonly writer: Writer;
}

const WRITER = join(import.meta.dirname, "writer.py");
const SETTLED_MS = 120_000;
/** A route that came back is proved to lead to the same server within that. */
const PROVED_MS = 2_500;

export async function lossScene(t: TestContext): Promise<LossScene> {
  const suffix = process.pid.toString(36);
  const names = ["MOVES", "REMOUNTED"] as const;
  const serverNames = names.map((name) => `${name.toLowerCase()}-${suffix}`);
  const rig = await startPlainRig({ shares: serverNames });
  const ends = new AsyncDisposableStack();
  ends.use(rig);
  const home = await liveHome(t, {
    env: { RIG_PASSWORD: rig.password, MOUNTAINEER_LOG: "debug" },
    before: () => ends.disposeAsync(),
  });
  const cable = async (host: string) =>
    ends.use(await startSimulatedCable({ host, targetHost: "127.0.0.1", targetPort: rig.serverPort }));
  const shares: LossShare[] = [];
  for (const [index, name] of names.entries()) {
    const serverName = serverNames[index] ?? assert.fail();
    const exported = rig.exportPath(serverName);
    // By what never changes the server is known again.
    await writeFile(join(exported, "stays"), "as it is\n");
    shares.push({
      name,
      serverName,
      cables: { tb: await cable(rig.tbHost), fallback: await cable(rig.fallbackHost) },
      exported,
      mounted: join(home.folder, "Shares", name),
    });
  }
  await home.writeConfig(configText(home, rig, shares));
  const writers: Writer[] = [];
  let monitor: Monitor = await home.start(["--unmount-on-exit"]);
  let played = 0;

  const start = async (
    row: LossRow,
    at: LossShare,
    file: string,
    changedForMs: number,
  ): Promise<PlayedRow> => {
    const closesAfter = row.held === "closed" ? changedForMs / 1000 : 0;
    // An idle connection that the server had ended gives one error.
    for (let tries = 0; ; tries++) {
      const writer = startWriter(row.change, join(at.mounted, file), file, closesAfter);
      writers.push(writer);
      await eventually(() => writer.lines().length >= 2 || writer.hasEnded());
      if (writer.lines().length > 0 || tries >= 10) return { ...row, at, file, writer };
      await pause(300);
    }
  };

  return {
    async said() {
      const daemon = (await home.log())
        .filter(({ message }) => !["management request", "cycle"].includes(String(message)))
        .slice(-60)
        .map((line) => JSON.stringify(line));
      const programs: string[] = [];
      const folder = shareMountsFolder(home.home);
      for (const share of await readdir(folder)) {
        const log = join(folder, share, LOG_NAME);
        programs.push(...(await readFile(log, "utf8").catch(() => "")).split("\n").slice(-80));
      }
      return [...daemon, ...programs, JSON.stringify(await home.glance().catch(String))].join("\n");
    },
    async [Symbol.asyncDispose]() {
      // Before the daemon is stopped: it would wait for what they hold open.
      for (const writer of writers) await writer.end();
      await monitor.stop();
      // What a test that failed left is not to be waited for.
      killAll(await serversOf(home.home));
      for (const { name } of shares)
        await promisify(execFile)("fusermount3", ["-uz", join(home.home, "volumes", name)]).catch(() => {});
    },
    async play({ end, rows, changedForMs }) {
      const planned = rows.map((row) => ({
        row,
        file: `${played++}-${row.change}-${row.held}`,
        at: shares.find(({ name }) => name === row.share) ?? assert.fail(),
      }));
      for (const { row, file, at } of planned) {
        if (row.change === "sqlite") await makeDatabase(join(at.exported, file));
        else await writeFile(join(at.exported, file), baseOf(file));
      }
      await untilServed(home, shares, true);
      const servedAt = performance.now();
      for (const at of shares) {
        const files = planned.filter((each) => each.at === at).map(({ file }) => file);
        await untilShown(at, files);
      }
      const started = await Promise.all(
        planned.map(({ row, at, file }) => start(row, at, file, changedForMs)),
      );
      const startedAt = performance.now();
      // The moment is the point of this test.
      await pause(Math.max(changedForMs, PROVED_MS - (startedAt - servedAt)));
      const closing = started.filter(({ held }) => held === "closed");
      await eventually(
        // A machine that is busy may take a route for gone, and cut a mount for each route off: what was told still counts.
        () =>
          closing.every(({ writer }) => writer.hasEnded() || writer.lines().at(-1)?.["what"] === "closed"),
      );
      const ranMs = performance.now() - startedAt;
      const movingId = (): Promise<string | null> => mountIdAt(join(home.home, "volumes", "MOVES"));
      const mountedBefore = await movingId();
      const inUse = await Promise.all(shares.map((share) => cableInUse(home, share)));
      const toldBefore = new Map(started.map(({ writer }) => [writer, writer.lines().length]));
      monitor = await bringAbout(end, home, inUse, monitor);
      if (end.startsWith("cut")) await untilMoved(home, shares, inUse);
      await untilServed(home, shares, false);
      if (MOVING_GOES_ON.includes(end)) {
        assert.equal(await movingId(), mountedBefore, "the mount that moves did not stay");
        // SQLite opens its journal for each row, and what is in flight when a route is lost may fail once.
        const going = started.filter(
          (row) => row.held === "open" && row.share === "MOVES" && row.change !== "sqlite",
        );
        for (const { file, writer } of going) {
          await eventually(
            () => writer.lines().length > (toldBefore.get(writer) ?? 0) + 4 || writer.hasEnded(),
          );
          if (writer.hasEnded())
            assert.fail(`${end}: the writer of ${file} got an error: ${await writer.error()}`);
        }
      }
      for (const { writer } of started) await writer.end();
      await untilServed(home, shares, false);
      for (const { cables } of shares) {
        await cables.tb.setMode("pass");
        await cables.fallback.setMode("pass");
      }
      const problems = await Promise.all(started.map(problemOf));
      t.diagnostic(`${end} after ${ranMs.toFixed(0)} ms: ${started.length} files`);
      const misses = problems.filter((problem) => problem !== null);
      assert.deepEqual(misses, [], `${end} after ${ranMs.toFixed(0)} ms`);
      for (const { name } of shares)
        for (const path of await writtenBare(home, name)) await rm(path, { recursive: true });
    },
  };
}

function configText(home: LiveHome, rig: PlainRig, shares: readonly LossShare[]): string {
  const sections = shares.flatMap(({ name, serverName, cables: { tb, fallback } }) => [
    "[[shares]]",
    `name = "${name}"`,
    `share_name = "${serverName}"`,
    `on_route_change = "${name === "MOVES" ? "move" : "remount"}"`,
    `thunderbolt_host = "${tb.host}:${tb.port}"`,
    `fallback_host = "${fallback.host}:${fallback.port}"`,
    `username = "${rig.username}"`,
    'password = "${RIG_PASSWORD}"',
  ]);
  const lines = [
    "[global]",
    `shares_root = "${join(home.folder, "Shares")}"`,
    "check_interval_secs = 1",
    "auto_failback = false",
    "lsof_recheck = false",
    "[sync]",
    QUICK_SYNC,
    ...sections,
  ];
  return `${lines.join("\n")}\n`;
}

function isServed({ name, active_interface, mount_alive, last_error, moves }: ShareStatus): boolean {
  const isWhole = active_interface !== "none" && mount_alive && last_error === null;
  return isWhole && (name === "REMOUNTED" ? moves === undefined : moves?.phase === "serving");
}

/** `overBoth`: both routes answer. */
async function untilServed(home: LiveHome, shares: readonly LossShare[], overBoth: boolean): Promise<void> {
  for (const { name } of shares) {
    await home.untilShare(
      name,
      (share) => isServed(share) && (!overBoth || (share.tb_reachable && share.fb_reachable)),
      SETTLED_MS,
    );
  }
}

async function cableInUse(home: LiveHome, { name, cables }: LossShare): Promise<Cables["tb"]> {
  const share = await home.untilShare(
    name,
    ({ active_interface }) => active_interface !== "none",
    SETTLES_MS,
  );
  return cables[share.active_interface === "tb" ? "tb" : "fallback"];
}

async function untilMoved(
  home: LiveHome,
  shares: readonly LossShare[],
  cut: readonly Cables["tb"][],
): Promise<void> {
  for (const [index, { name, cables }] of shares.entries()) {
    const to = cut[index] === cables.tb ? "fallback" : "tb";
    await home.untilShare(name, (share) => share.active_interface === to && isServed(share), SETTLED_MS);
  }
}

/** The mount shows a folder and its sizes as they were up to a second ago. Asked by a process of its own: it may hang. */
async function untilShown({ mounted, exported }: LossShare, files: readonly string[]): Promise<void> {
  if (files.length === 0) return;
  const sizes = async (folder: string): Promise<string> => {
    const paths = files.map((file) => join(folder, file));
    return (await promisify(execFile)("timeout", ["-s", "KILL", "10", "stat", "-c", "%s", ...paths])).stdout;
  };
  await eventually(async () => (await sizes(mounted)) === (await sizes(exported)), SETTLES_MS, 50);
}

/** Folders with what programs wrote where nothing was mounted, for an instant. */
async function writtenBare({ home }: LiveHome, name: string): Promise<readonly string[]> {
  const names = await readdir(join(home, "volumes"));
  return names
    .filter((each) => each.startsWith(`${name}.set-aside-`))
    .map((each) => join(home, "volumes", each));
}

async function problemOf({ at, file, change, share, writer }: PlayedRow): Promise<string | null> {
  const onServer = join(at.exported, file);
  const problem =
    change === "sqlite"
      ? await databaseProblem(onServer, writer.lines())
      : await fileProblem(onServer, baseOf(file), writer.lines());
  return problem === null ? null : `${share} ${file}: ${problem}`;
}

type Writer = ReturnType<typeof startWriter>;

function startWriter(change: Change, path: string, seed: string, closesAfterSecs: number) {
  const child: ChildProcess = spawn("python3", [WRITER, change, path, seed, String(closesAfterSecs)], {
    cwd: "/",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = collect(child);
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    hasEnded,
    lines: () =>
      said
        .stdout()
        .replace(/[^\n]*$/, "")
        .split("\n")
        .map((line) => jsonObject(line) ?? {})
        .filter(({ what }) => what !== undefined),
    /** What it said when it ended by itself. */
    async error() {
      return (await said.ended).stderr.trim().split("\n").at(-1) ?? "";
    },
    /** SIGKILL; resolves when it has ended, and all that it told is read. */
    async end() {
      if (!hasEnded()) child.kill("SIGKILL");
      await said.ended;
    },
  };
}
