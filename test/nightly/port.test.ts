// A share's port is its mount's alone: another user tries to take it and to speak through it all the time, while what
// serves the mount is killed again and again, one after another and all at once.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { isCarriedOver } from "../lab/moves.ts";
import { pick, randomFrom, shuffle } from "../lab/random.ts";
import { playScene, type Scene, useRig } from "../lab/scene.ts";
import { missingForRootRig, type RootRig } from "../rig/root-rig.ts";
import { command } from "../rig/root-rig-command.ts";
import type { Monitor } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { carriersOf, keepersOf, signalIfRuns } from "../support/processes.ts";
import type { Target, Try } from "./programs/other-user.ts";

const ALL = process.env["MOUNTAINEER_PORT"] === "all";
const SEED = Number(process.env["MOUNTAINEER_LAB_SEED"] ?? 20_261_121);
const KILLS = ALL ? 60 : 6;
const KILLS_AT_MOST = KILLS * 5;
/** To bind and to connect, each: between a kill and its end, while a mount stood. */
const TRIES = ALL ? 1_000 : 50;
const NOBODY = 65_534;
const SHARE = "CORE";
/** The share after a kill, on a busy machine. */
const BACK_MS = 60_000;
const APART_AT_MOST_MS = 300;
const WITHOUT_DAEMON_AT_MOST_MS = 3_000;
/** The longest that a connection of the other user's lasts is 3 s. */
const TRIED_WITHIN_MS = 30_000;

type Part = "daemon" | "carrier" | "keeper" | "rclone";

/** What docs/reference/relay.md promises to survive with its ports: anything but the carrier and its keeper at once. */
const KINDS: readonly (readonly Part[])[] = [
  ["daemon", "carrier", "rclone"],
  ["carrier"],
  ["keeper"],
  ["daemon", "carrier"],
  ["rclone"],
  ["daemon"],
  ["daemon", "keeper"],
  ["carrier", "rclone"],
  ["keeper", "rclone"],
  ["daemon", "keeper", "rclone"],
];

/** Then the ports are lost, and only that is promised: the share is mounted again, and still nobody else is answered. */
const LOSE_THE_PORT: readonly (readonly Part[])[] = [
  ["carrier", "keeper"],
  ["daemon", "carrier", "keeper", "rclone"],
];

describe("the port", { skip: missingForRootRig() ?? false, timeout: 60_000 + KILLS * 30_000 }, () => {
  const lab = useRig([SHARE], { oneServer: true });

  test(`A10 another user neither takes a share's port nor gets a byte through it, whatever of daemon, relay, socket holder and rclone is killed (${TRIES} tries, ${KILLS} kills, seed ${SEED})`, (t) =>
    playScene(
      lab.rig,
      { shares: [SHARE], settings: { check_interval_secs: 0.5 }, onRouteChange: "move" },
      async (scene) => {
        const random = randomFrom(SEED);
        await writeFile(scene.exported(SHARE, "kept.txt"), "kept");
        const guid = randomBytes(16).toString("hex");
        const passed = await countPassed(lab.rig, guid);
        await using other = await startOtherUser(lab.rig, guid);
        await assertItCan(lab.rig, other, passed);
        const passedBefore = await passed();

        let monitor = await scene.start("tb");
        other.aim(await untilRight(scene));
        const killed: string[] = [];
        const midst: Try[] = [];
        while (killed.length < KILLS || tries(midst, "bind") < TRIES || tries(midst, "connect") < TRIES) {
          assert.ok(killed.length < KILLS_AT_MOST, "another user tries too seldom");
          await pause(random() * APART_AT_MOST_MS);
          // Each kind once before any comes again.
          const parts = KINDS[killed.length] ?? pick(random, KINDS);
          const together = random() < 0.5;
          killed.push(parts.join(together ? " + " : ", "));
          const before = other.tries.length;
          monitor = await killParts(scene, monitor, parts, together, random);
          const right = await untilRight(scene);
          midst.push(...other.tries.slice(before));
          other.aim(right);
        }
        assertNothing(other.tries);
        report(t, killed, { "from a kill to its end": midst, "in all": other.tries });

        for (const parts of LOSE_THE_PORT) {
          const { port, ...at } = await untilRight(scene);
          other.aim({ ...at, port, rclone: 0 });
          const before = other.tries.length;
          monitor = await killAtOneInstant(scene, monitor, parts);
          await untilRight(scene);
          const taken = other.tries
            .slice(before)
            .filter((each) => each.port === port && each.outcome === "bound");
          t.diagnostic(`${parts.join(" + ")} at one instant: taken ${taken.length} times, and mounted again`);
        }
        assert.equal(bytesOf(other.tries), 0, "bytes came back to another user");
        assert.equal((await passed()) - passedBefore, 0, "bytes of another user went through to the server");

        // What it could not take it can once nothing is mounted.
        const { port } = await untilRight(scene);
        const end = await scene.home.cli(["unmount", "--force"]);
        assert.equal(end.code, 0, end.stderr);
        other.aim({ host: "127.0.0.1", port, rclone: 0 });
        await eventually(
          () => other.tries.some((each) => each.port === port && each.outcome === "bound"),
          TRIED_WITHIN_MS,
        );
      },
    ));
});

/** Resolves once the share is read through one mount, all that serves it is up, and its port is known. */
function untilRight(scene: Scene): Promise<Target> {
  const { home } = scene.home;
  return eventually(async () => {
    const share = (await scene.home.glance())?.shares.find(({ name }) => name === SHARE);
    assert.ok(share?.relay != null && isCarriedOver(share, null), JSON.stringify(share));
    const { port } = share.relay;
    const rclone = await scene.server(SHARE);
    const config = await readFile(path.join(home, "mounts", SHARE, "rclone.conf"), "utf8");
    assert.match(config, new RegExp(`^port = ${port}$`, "m"));
    assert.equal(await scene.read(SHARE, "kept.txt"), "kept");
    const [[carrier, ...carriers], [keeper, ...keepers]] = [await carriersOf(home), await keepersOf(home)];
    assert.ok(carrier !== undefined && keeper !== undefined && carriers.length + keepers.length === 0);
    // Its own one: until then, the shell that started the carrier holds the ports.
    assert.equal(await parentOf(keeper), carrier);
    return { host: "127.0.0.1", port, rclone };
  }, BACK_MS);
}

async function parentOf(pid: number): Promise<number> {
  return Number(/^PPid:\s*(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}

async function killParts(
  scene: Scene,
  monitor: Monitor,
  parts: readonly Part[],
  together: boolean,
  random: () => number,
): Promise<Monitor> {
  const pids = await pidsOf(scene, monitor, parts);
  for (const part of shuffle(random, parts)) {
    signalIfRuns(pids[part], "SIGKILL");
    if (!together) await pause(random() * APART_AT_MOST_MS);
  }
  return afterwards(scene, monitor, parts, random() * WITHOUT_DAEMON_AT_MOST_MS);
}

/** Frozen first: none of them sees another one's end. */
async function killAtOneInstant(scene: Scene, monitor: Monitor, parts: readonly Part[]): Promise<Monitor> {
  const pids = await pidsOf(scene, monitor, parts);
  for (const name of ["SIGSTOP", "SIGKILL"] as const)
    for (const part of parts) signalIfRuns(pids[part], name);
  return afterwards(scene, monitor, parts, 0);
}

async function afterwards(
  scene: Scene,
  monitor: Monitor,
  parts: readonly Part[],
  withoutDaemonMs: number,
): Promise<Monitor> {
  if (!parts.includes("daemon")) return monitor;
  await monitor.kill9();
  await pause(withoutDaemonMs);
  return scene.start(null);
}

async function pidsOf(
  scene: Scene,
  monitor: Monitor,
  parts: readonly Part[],
): Promise<Readonly<Record<Part, number>>> {
  const { home } = scene.home;
  const [[carrier = 0], [keeper = 0]] = [await carriersOf(home), await keepersOf(home)];
  const pids = { daemon: monitor.pid, carrier, keeper, rclone: await scene.server(SHARE) };
  assert.ok(
    parts.every((part) => pids[part] > 1),
    JSON.stringify(pids),
  );
  return pids;
}

interface OtherUser extends AsyncDisposable {
  /** Every try that has ended, oldest first. */
  readonly tries: readonly Try[];
  aim(target: Target): void;
}

async function startOtherUser(rig: RootRig, guid: string): Promise<OtherUser> {
  const [file = "", ...prefix] = rig.enter;
  const program = path.join(import.meta.dirname, "programs/other-user.ts");
  const child = spawn(file, [...prefix, process.execPath, program, String(NOBODY), guid], {
    cwd: "/",
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.stdin.on("error", () => {});
  const tries: Try[] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = `${rest}${chunk}`.split("\n");
    rest = lines.pop() ?? "";
    tries.push(...lines.map((line): Try => JSON.parse(line)));
  });
  return {
    tries,
    aim: (target) => void child.stdin.write(`${JSON.stringify(target)}\n`),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Its ways to try work: it takes a free port, and what it asks is answered by the server itself, and counted. */
async function assertItCan(rig: RootRig, other: OtherUser, passed: () => Promise<number>): Promise<void> {
  const free = await freePort();
  other.aim({ host: "127.0.0.1", port: free, rclone: 0 });
  await eventually(
    () =>
      new Set(
        other.tries.flatMap(({ port, form, outcome }) =>
          port === free && outcome === "bound" ? [form] : [],
        ),
      ).size >= 4,
    TRIED_WITHIN_MS,
  );
  other.aim({ host: rig.tbHost, port: 445, rclone: 0 });
  const direct = () => other.tries.filter(({ port, what }) => port === 445 && what === "connect");
  await eventually(
    () => direct().some(({ outcome, bytes }) => outcome === "answered" && bytes > 0),
    TRIED_WITHIN_MS,
  );
  await eventually(async () => (await passed()) > 0, TRIED_WITHIN_MS);
  // Away from the server again, with nothing under way to it.
  other.aim({ host: "127.0.0.1", port: free, rclone: 0 });
  const before = other.tries.length;
  await eventually(
    () =>
      other.tries.slice(before).filter(({ port, what }) => port === free && what === "connect").length >= 30,
    TRIED_WITHIN_MS,
  );
}

/** How many packets to the server had the other user's guid where its question has it. */
async function countPassed(rig: RootRig, guid: string): Promise<() => Promise<number>> {
  const [file = "", ...prefix] = rig.enter;
  const nft = (...args: readonly string[]): Promise<string> => command(file, [...prefix, "nft", ...args]);
  // Headers of TCP with time stamps (32 bytes), of the transport (4) and of SMB (64), and 12 bytes of the question.
  const rule = `tcp dport 445 @th,${(32 + 4 + 64 + 12) * 8},128 0x${guid} counter`;
  await nft(
    `add table inet passed; add chain inet passed out { type filter hook output priority 0 ; }; add rule inet passed out ${rule}`,
  );
  return async () => Number(/counter packets (\d+)/.exec(await nft("list", "table", "inet", "passed"))?.[1]);
}

function tries(of: readonly Try[], what: Try["what"]): number {
  return of.filter((each) => each.stood && each.what === what).length;
}

function bytesOf(tries: readonly Try[]): number {
  return tries.reduce((sum, { port, bytes }) => (port === 445 ? sum : sum + bytes), 0);
}

function assertNothing(tries: readonly Try[]): void {
  const taken = tries.filter(({ stood, outcome }) => stood && outcome === "bound");
  assert.deepEqual(taken, [], "the port was taken while its mount stood");
  assert.equal(bytesOf(tries), 0, "bytes came back to another user");
}

function report(
  t: TestContext,
  killed: readonly string[],
  all: Readonly<Record<string, readonly Try[]>>,
): void {
  t.diagnostic(`${killed.length} kills: ${killed.join("; ")}`);
  for (const [when, of] of Object.entries(all)) {
    for (const what of ["bind", "connect"] as const) {
      const toPort = of.filter((each) => each.what === what && each.port !== 445);
      const byMount = Map.groupBy(toPort, ({ stood }) => (stood ? "while a mount stood" : "while none did"));
      for (const [mount, each] of byMount) {
        const outcomes = [...Map.groupBy(each, ({ outcome }) => outcome)];
        const counts = outcomes.map(([outcome, those]) => `${outcome} ${those.length}`).join(", ");
        t.diagnostic(`${when}, ${mount}: ${each.length} tries to ${what}: ${counts}`);
      }
    }
  }
}
