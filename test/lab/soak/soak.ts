// Everything at once, at random, for as long as one likes: a share that moves and one that is remounted, a gateway with a
// file server on a share, clients that come and go, and every promise that can be checked from outside.
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type RootRig, startRootRig } from "../../rig/root-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { type Program, startProgram } from "../load.ts";
import { isServedOver } from "../moves.ts";
import { monotonicMs } from "../programs/work-log.ts";
import { randomFrom } from "../random.ts";
import { playScene, type Scene, serverName } from "../scene.ts";
import { createAgents } from "./agents.ts";
import { createConfigFile, executedFile, gatewaySections } from "./config-file.ts";
import { checkNothingIsLeft, checkNothingServes, checkSecrets, checkWritten } from "./end-checks.ts";
import { createGrowth, type Growth } from "./growth.ts";
import { killAny, LASTING_AGENTS, pickHappening } from "./happenings.ts";
import { type Looks, startLooks } from "./looks.ts";
import { ourProcesses, pidsOf } from "./our-processes.ts";
import { createLedger, type Ledger } from "./promises.ts";
import {
  clockFile,
  createDaemonKeeper,
  GATEWAY_PORT,
  MOVING,
  REMOUNTED,
  SHARES,
  shiftClock,
  type World,
} from "./soak-world.ts";

const HAPPENINGS_A_ROUND = 10;
const BETWEEN_MS = 1_200;
/** A mount that failed over and over may be waiting out its backoff; a network event ends that. */
const RIGHT_MS = 90_000;
/** In a calm, agents call so long and all must be well. */
const CALM_MS = 2_000;
/** Then nothing is done for so long, so that what was called ends before the next round kills whom it waits for. */
const SETTLED_MS = 1_000;
const FIGURES_EACH_MINUTES = 10;
const BETWEEN_KILLS_MS = 400;
/** A round has an end, however far behind the kills are. */
const MOST_KILLS_A_ROUND = 60;

interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /**
   * So many processes of ours are ended by SIGKILL in all, spread over the time, daemon to the end; then no
   * life is long enough to tell how it grows. 0: as it comes.
   */
  readonly kills?: number;
  readonly say: (line: string) => void;
}

/** Resolves with how many promises were kept, and how many were not. */
export async function playSoak(
  options: SoakOptions,
): Promise<{ readonly kept: number; readonly failed: number }> {
  const { say, kills = 0 } = options;
  const ledger = createLedger(say, kills > 0 ? ["memory", "descriptors"] : []);
  const counts = new Map<string, number>();
  const end: string[] = [];
  let folder = "";
  {
    await using rig = await startRootRig({ shares: SHARES.map(serverName) });
    ({ folder } = rig);
    try {
      const scene = await playAt(rig, { ...options, ledger, counts, end });
      await checkNothingServes(scene, ledger);
    } catch (error) {
      ledger.broken("calm", error instanceof Error ? error.message : String(error));
    }
  }
  await checkNothingIsLeft(folder, process.env["MOUNTAINEER_TEST_RUN"] ?? `p${process.pid}`, ledger);
  const { lines, kept, failed } = ledger.report();
  say("");
  for (const line of end) say(line);
  say(
    [...counts]
      .sort()
      .map(([what, count]) => `${count} ${what}`)
      .join(", "),
  );
  for (const line of lines) say(line);
  return { kept, failed };
}

interface Play extends SoakOptions {
  readonly ledger: Ledger;
  readonly counts: Map<string, number>;
  /** Lines that are said at the end. */
  readonly end: string[];
}

async function playAt(rig: RootRig, play: Play): Promise<Scene> {
  const token = `token-${Math.random().toString(36).slice(2)}-${process.pid}`;
  let played: Scene | null = null;
  let folder = "";
  await playScene(
    rig,
    {
      kept: true,
      shares: SHARES.map((name) => ({
        name,
        lines: [`on_route_change = "${name === MOVING ? "move" : "remount"}"`],
      })),
      settings: {
        auto_failback: true,
        auto_failback_stable_secs: 1,
        check_interval_secs: 0.5,
        mount_hang_secs: 2,
      },
      env: {
        SOAK_TOKEN: token,
        SOAK_CLOCK_FILE: path.join(rig.folder, "s0", "clock"),
        NODE_OPTIONS: `--import=${path.resolve(import.meta.dirname, "../programs/shifted-clock.ts")}`,
      },
      sections: (sharesRoot) => {
        folder = path.dirname(sharesRoot);
        return gatewaySections({ folder, sharesRoot, port: GATEWAY_PORT });
      },
    },
    async (scene) => {
      played = scene;
      await playStory(scene, token, play);
    },
  );
  if (played === null) throw new Error("nothing was played");
  return played;
}

async function playStory(scene: Scene, token: string, play: Play): Promise<void> {
  const { say, ledger, counts, end } = play;
  await Promise.all([
    writeFile(executedFile(scene.folder), ""),
    writeFile(clockFile(scene.folder), "0"),
    writeFile(scene.exported(MOVING, "notes.txt"), "notes\n", { mode: 0o666 }),
    writeFile(scene.exported(REMOUNTED, "kept.txt"), REMOUNTED),
  ]);
  const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  const killedBy = new Map<string, number>();
  const underWay = new Set<Promise<unknown>>();
  const url = `http://127.0.0.1:${GATEWAY_PORT}/mcp`;
  await using agents = createAgents(scene, { url, token, file: scene.at(MOVING, "notes.txt") });
  const world: World = {
    scene,
    ledger,
    agents,
    config: createConfigFile(scene.home, scene.config),
    daemon: createDaemonKeeper({ scene, count, ledger }),
    thaws: new Set(),
    underWay,
    restFile: path.join(scene.folder, "rest"),
    count,
    killed: (role) => void killedBy.set(role, (killedBy.get(role) ?? 0) + 1),
    say,
  };
  await world.daemon.start();
  await world.config.mend();
  await untilRight(world);
  for (let number = 0; number < LASTING_AGENTS; number++)
    await agents.come(number % 2 === 0 ? "http" : "stdio");
  await using movingWriter = await startWriter(world, MOVING);
  await using otherWriter = await startWriter(world, REMOUNTED);
  const looks = startLooks(world);
  const growth = createGrowth();
  try {
    await playRounds(world, { ...play, growth, killedBy });
  } finally {
    await looks.finish();
  }
  end.push(...(await agents.finish(ledger)));
  end.push(await checkWritten(scene, MOVING, await movingWriter.stop(), ledger));
  end.push(await checkWritten(scene, REMOUNTED, await otherWriter.stop(), ledger));
  end.push(statusLine(looks), killsLine(killedBy));
  if ((play.kills ?? 0) === 0) end.push(...growth.judge(ledger));
  await world.daemon.stop();
  ledger.checked("stays");
  await checkSecrets(scene, [token, scene.rig.password], looks.told, ledger);
}

function startWriter({ scene, restFile }: World, share: string): Promise<Program> {
  const args = [scene.at(share, "written"), restFile];
  return startProgram(path.join(scene.folder, "writers"), share, "write-files.ts", args);
}

function statusLine({ told, longestStatusMs }: Looks): string {
  return `${told.length / 2} times mountaineer status, the longest took ${(longestStatusMs / 1000).toFixed(1)} s`;
}

function killsLine(killedBy: ReadonlyMap<string, number>): string {
  const all = [...killedBy.values()].reduce((sum, each) => sum + each, 0);
  const roles = [...killedBy].sort(([, a], [, b]) => b - a).map(([role, times]) => `${times} × ${role}`);
  return `${all} processes ended by kill -9: ${roles.join(", ")}`;
}

interface Rounds extends Play {
  readonly growth: Growth;
  /** How often a process of each kind was killed. */
  readonly killedBy: ReadonlyMap<string, number>;
}

async function playRounds(world: World, rounds: Rounds): Promise<void> {
  const { minutes, seed, say, growth, killedBy, kills = 0 } = rounds;
  const startedAt = performance.now();
  let toldMinutes = 0;
  const figures = async (): Promise<void> => {
    await growth.look(await ourProcesses(world));
    const minute = (performance.now() - startedAt) / 60_000;
    if (toldMinutes > 0 && minute - toldMinutes < FIGURES_EACH_MINUTES && passed() < 1) return;
    toldMinutes = Math.max(minute, Number.MIN_VALUE);
    say(`figures after ${minute.toFixed(1)} min; ${killsLine(killedBy)}`);
    for (const line of growth.figures()) say(`  ${line}`);
  };
  const passed = (): number => (performance.now() - startedAt) / (minutes * 60_000);
  await figures();
  for (let round = 1; passed() < 1; round++) {
    const random = randomFrom(seed * 1_000 + round);
    // In the second half the daemon and the program of the share that moves live on: how they grow is seen over a long life.
    const livesGoOn = kills === 0 && passed() >= 0.5;
    const happened: string[] = [];
    for (let number = 0; number < HAPPENINGS_A_ROUND && passed() < 1; number++) {
      const { kind, act } = pickHappening(random, livesGoOn);
      const what = await act(world, random);
      happened.push(`${kind}: ${what}`);
      world.count(`× ${kind}`);
      await pause(random() * BETWEEN_MS);
    }
    const all = (): number => [...killedBy.values()].reduce((sum, each) => sum + each, 0);
    const most = all() + MOST_KILLS_A_ROUND;
    while (all() < Math.min(most, kills * Math.min(passed(), 1))) {
      await killAny(world, random);
      await pause(random() * BETWEEN_KILLS_MS);
    }
    say(
      `round ${round}, ${Math.round(passed() * minutes * 60)} s${livesGoOn ? ", lives go on" : ""}: ${happened.join("; ")}`,
    );
    const calmAt = performance.now();
    try {
      await calm(world);
    } catch (error) {
      // A round that ends badly says so, and the next one begins anew.
      world.ledger.broken("calm", `round ${round}: ${error instanceof Error ? error.message : error}`);
    }
    say(`  right again after ${((performance.now() - calmAt) / 1000).toFixed(1)} s`);
    await figures();
  }
}

/** Ends what was done, waits until all is right, and looks whether all goes well. */
async function calm(world: World): Promise<void> {
  const { scene, agents, ledger, underWay } = world;
  for (const thaw of [...world.thaws]) thaw();
  await scene.rig.restoreAll();
  await shiftClock(scene, 0);
  await world.config.mend();
  while (underWay.size > 0) {
    const [work] = underWay;
    if (work === undefined) break;
    underWay.delete(work);
    await work;
  }
  await Promise.all([scene.rig.startServerOn("tb"), scene.rig.startServerOn("fallback")]);
  await world.config.mend();
  await writeFile(world.restFile, "");
  try {
    await untilRight(world);
  } finally {
    await rm(world.restFile);
  }
  // What one that died has left ends once its successor is up.
  for (const role of SHARES.map((share) => `mount of ${share}` as const)) {
    const isOne = async (): Promise<boolean> => (await pidsOf(world, role)).length === 1;
    const isRight = await eventually(isOne, RIGHT_MS, 250).catch(() => false);
    ledger.expect("calm", isRight, () => `not one ${role}`);
  }
  await agents.untilServed();
  const fromMs = monotonicMs();
  await pause(CALM_MS);
  agents.calm(fromMs, monotonicMs());
  await pause(SETTLED_MS);
  // A mount of its own may still be made anew.
  const kept = await eventually(() => scene.read(REMOUNTED, "kept.txt"));
  ledger.expect("calm", kept === REMOUNTED, () => "kept.txt is another");
}

async function untilRight({ scene, config, ledger }: World): Promise<void> {
  let missing = "the daemon does not answer";
  try {
    await eventually(
      async () => {
        const report = await scene.home.glance();
        missing = report === null ? "the daemon does not answer" : wrongIn(report, config.backends);
        return missing === "";
      },
      RIGHT_MS,
      100,
    );
    ledger.checked("calm");
  } catch {
    throw new Error(`not right after ${RIGHT_MS / 1000} s: ${missing}`);
  }
}

type Report = NonNullable<Awaited<ReturnType<Scene["home"]["glance"]>>>;

/** Empty when nothing is wrong. */
function wrongIn({ shares, backends = [], gateway }: Report, wanted: readonly string[]): string {
  for (const share of shares) {
    const isRight =
      share.name === MOVING
        ? isServedOver(share, "tb")
        : share.active_interface === "tb" && share.mount_alive && share.last_error === null;
    if (!isRight) return JSON.stringify(share);
  }
  const waiting = backends.find(({ phase }) => phase !== "Ready");
  if (waiting !== undefined) return `${waiting.name} is ${waiting.phase}: ${waiting.reason}`;
  const names = backends.map(({ name }) => name).toSorted();
  if (names.join() !== wanted.toSorted().join()) return `backends ${names.join(", ")}`;
  return gateway?.url == null ? "the gateway does not listen" : "";
}
