// Measures a failover from the cut to the first read over the other route, beside the raw commands that it takes,
// in turns; and from the kernel's event to the cycle. Needs root: it makes two network namespaces.
import { execFile, spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { missingForRootRig, type RootRig, startRootRig } from "../test/rig/root-rig.ts";
import { createTestHome } from "../test/support/daemon.ts";
import { eventually } from "../test/support/eventually.ts";
import { stopProcess } from "../test/support/stop-process.ts";
import { benchCuts, benchMany } from "./cut-times.ts";
import { goal, median, round, say, spread } from "./figures.ts";

const run = promisify(execFile);
/** Of its own: a rig elsewhere on this machine has the same addresses, and a mount of the same share is adopted. */
const SHARE = `BENCH${process.pid}`;
const WAIT_MS = 30_000;
/** After a link came up its last event comes 1.4 s later; a cut within a debounce window would wait for its end. */
const CALM_MS = 2500;
/** What may pass before an active host counts as gone, ms. None is needed for a link of this machine that says it is down. */
const CONFIRMATION_MS = 250;

export const title = "failover: cut → first read over the other route";
export const missing = missingForRootRig;

export async function bench({ short }: { short: boolean }): Promise<void> {
  await benchBesideRaw(short ? 3 : 10);
  await benchCuts(short ? 1 : 10);
  await benchMany(short ? 1 : 10, short);
}

/** A share that is mounted per route, beside the same steps by hand. */
async function benchBesideRaw(rounds: number): Promise<void> {
  await using rig = await startRootRig({ shares: [SHARE] });
  await writeFile(join(rig.exportPath(SHARE), "file.txt"), "there\n");
  const home = await createTestHome({
    home: join(rig.folder, "home"),
    enter: rig.enter,
    env: { BENCH_PASSWORD: rig.password },
    config: `
[global]
on_route_change = "remount"
shares_root = "${join(rig.folder, "Shares")}"
check_interval_secs = 30
[[shares]]
name = "${SHARE}"
thunderbolt_host = "${rig.tbHost}"
fallback_host = "${rig.fallbackHost}"
username = "${rig.username}"
password = "\${BENCH_PASSWORD}"
`,
  });
  await using monitor = await home.startMonitor();
  const share = await home.untilShare(SHARE, ({ active_interface }) => active_interface === "tb", WAIT_MS);
  const file = join(share.stable_path, "file.txt");
  const ours: number[] = [];
  const raws: number[] = [];
  const events: number[] = [];
  for (let index = 0; index < rounds; index++) {
    await new Promise((resolve) => setTimeout(resolve, CALM_MS));
    const beforeCut = Date.now();
    const restore = await rig.cut.ownLinkDown("tb");
    // The link goes down at the end of the command that cuts it; the command's own start is nobody's failover.
    const cutAt = Date.now();
    const startedMs = performance.now();
    await mountedFrom(share.mount_path, rig.fallbackHost);
    await run("cat", [file], { timeout: WAIT_MS });
    ours.push(performance.now() - startedMs);
    events.push(Math.max(0, (await triggeredAfter(home.home, beforeCut)) - cutAt));
    await restore();
    raws.push(await rawFailover(await prepareRaw(rig, share.mount_path)));
    await eventually(
      async () => (await home.cli(["switch", "--share", SHARE, "--to", "tb"])).code === 0,
      WAIT_MS,
    );
    await home.cli(["switch", "--share", SHARE, "--to", "auto"]);
  }
  // The worst moment to stop: nothing answers, and the mount hangs.
  await Promise.all([rig.cut.silence("tb"), rig.cut.silence("fallback")]);
  const hung = await pidServing(share.mount_path);
  await stopProcess(hung);
  const stopped = await monitor.stop();
  process.kill(hung, "SIGKILL");
  say(`  mountaineer      ${spread(ours)}`);
  say(`  raw commands     ${spread(raws)}`);
  say(`  ratio: ${(median(ours) / median(raws)).toFixed(2)}`);
  say(`  end of the cutting command → cycle: ${spread(events)}`);
  say(`  SIGTERM while the mount hangs → ended: ${round(stopped.ms)} ms`);
  const limit = 1.3 * median(raws) + CONFIRMATION_MS + 30;
  goal(`failover ≤ 1.3 × raw + ${CONFIRMATION_MS} ms + 30 ms = ${round(limit)} ms`, median(ours) <= limit);
  goal("cut → cycle ≤ 50 ms", median(events) <= 50);
  goal("stop ≤ 5 s", stopped.ms <= 5000);
}

/** Resolves when the mount table shows `path` mounted from `host`. */
async function mountedFrom(path: string, host: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const table = await readFile("/proc/self/mountinfo", "utf8");
    if (table.split("\n").some((line) => line.includes(` ${path} `) && line.includes(`//${host}/`))) return;
    if (performance.now() > deadline) throw new Error(`${path} was not mounted from ${host}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The same steps by hand, over a mount of their own that the daemon does not touch: end its program, detach, mount, read. */
async function rawFailover(raw: RawMount): Promise<number> {
  const pid = await raw.mount();
  const startedMs = performance.now();
  process.kill(pid, "SIGKILL");
  await eventually(
    async () => (await readFile(`/proc/${pid}/stat`, "utf8").catch(() => " Z ")).includes(" Z "),
    WAIT_MS,
  );
  await run("fusermount3", ["-uz", raw.path]);
  const again = await raw.mount();
  await run("cat", [join(raw.path, "file.txt")], { timeout: WAIT_MS });
  const tookMs = performance.now() - startedMs;
  process.kill(again, "SIGKILL");
  await run("fusermount3", ["-uz", raw.path]);
  return tookMs;
}

interface RawMount {
  readonly path: string;
  /** Resolves with the program's pid when the mount table shows the mount. */
  mount(): Promise<number>;
}

/** As the daemon mounts `managed` now, with folders of its own. */
async function prepareRaw({ folder, enter, password }: RootRig, managed: string): Promise<RawMount> {
  const path = join(folder, "raw");
  const argv = await argumentsOf(managed);
  const option = (name: string): string => argv[argv.indexOf(name) + 1] ?? "";
  const [state, logins] = [join(folder, "raw-state"), join(folder, "raw-logins")];
  for (const one of [path, state, logins]) await mkdir(one, { recursive: true, mode: 0o700 });
  const own = new Map([
    [managed, path],
    [option("-state"), state],
    [option("-logons"), logins],
  ]);
  const [command = "", ...args] = [...enter, ...argv.map((word) => own.get(word) ?? word)];
  const host = option("-fsname").split("/")[2] ?? "";
  return {
    path,
    async mount() {
      const child = spawn(command, args, { detached: true, stdio: ["pipe", "ignore", "ignore"], cwd: "/" });
      child.stdin.end(`${password}\n`);
      child.unref();
      await mountedFrom(path, host);
      if (child.pid === undefined) throw new Error("mountaineer-fs was not started");
      return child.pid;
    },
  };
}

async function pidServing(path: string): Promise<number> {
  const { stdout } = await run("pgrep", ["-f", `mountaineer-fs mount .*${path}$`]);
  return Number(stdout.trim().split("\n")[0]);
}

async function argumentsOf(path: string): Promise<string[]> {
  const pid = await pidServing(path);
  return (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").filter((word) => word !== "");
}

/** Wall ms of the first triggered cycle after `atMs`, from the log. */
async function triggeredAfter(home: string, atMs: number): Promise<number> {
  const log = await readFile(join(home, "mountaineer.log"), "utf8");
  const times = log
    .split("\n")
    // What follows the last line's end is being written.
    .slice(0, -1)
    .filter((line) => line.includes('"network.changed"'))
    .map((line) => Date.parse(JSON.parse(line).time))
    .filter((time) => time >= atMs);
  return times[0] ?? Number.NaN;
}
