// Measures a failover from the cut to the first read over the other route, beside the raw commands that it takes,
// in turns; and from the kernel's event to the cycle. Needs root: it makes two network namespaces.
import { execFile, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { missingForRootRig, startRootRig } from "../test/rig/root-rig.ts";
import { createTestHome } from "../test/support/daemon.ts";
import { eventually } from "../test/support/eventually.ts";
import { goal, median, round, say, spread } from "./figures.ts";

const run = promisify(execFile);
/** Of its own: a rig elsewhere on this machine has the same addresses, and a mount of the same share is adopted. */
const SHARE = `BENCH${process.pid}`;
const WAIT_MS = 30_000;
/** What must pass before an active host counts as gone, ms. */
const CONFIRMATION_MS = 250;

export const title = "failover: cut → first read over the other route";
export const missing = missingForRootRig;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const rounds = short ? 3 : 20;
  await using rig = await startRootRig({ shares: [SHARE] });
  await writeFile(join(rig.exportPath(SHARE), "file.txt"), "there\n");
  const home = await createTestHome({
    home: join(rig.folder, "home"),
    enter: rig.enter,
    env: { BENCH_PASSWORD: rig.password },
    config: `
[global]
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
  await using _monitor = await home.startMonitor();
  const share = await home.untilShare(SHARE, ({ active_interface }) => active_interface === "tb", WAIT_MS);
  const file = join(share.stable_path, "file.txt");
  const ours: number[] = [];
  const raws: number[] = [];
  const events: number[] = [];
  for (let index = 0; index < rounds; index++) {
    const cutAt = Date.now();
    const startedMs = performance.now();
    const restore = await rig.cut.ownLinkDown("tb");
    await mountedFrom(share.mount_path, rig.fallbackHost);
    await run("cat", [file], { timeout: WAIT_MS });
    ours.push(performance.now() - startedMs);
    events.push((await triggeredAfter(home.home, cutAt)) - cutAt);
    await restore();
    raws.push(await rawFailover(share.mount_path, rig.enter, file));
    await eventually(
      async () => (await home.cli(["switch", "--share", SHARE, "--to", "tb"])).code === 0,
      WAIT_MS,
    );
    await home.cli(["switch", "--share", SHARE, "--to", "auto"]);
  }
  const added = median(ours) - CONFIRMATION_MS;
  say(`  mountaineer      ${spread(ours)}, of which ${CONFIRMATION_MS} ms confirm the loss`);
  say(`  raw commands     ${spread(raws)}`);
  say(`  ratio without the confirmation: ${(added / median(raws)).toFixed(2)}`);
  say(`  cut → cycle      ${spread(events)} (with the cutting command's own time)`);
  const limit = 1.3 * median(raws) + CONFIRMATION_MS + 30;
  goal(`failover ≤ 1.3 × raw + 250 ms + 30 ms = ${round(limit)} ms`, median(ours) <= limit);
  goal("cut → cycle ≤ 50 ms", median(events) <= 50);
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

/** The same steps by hand, over what is mounted now: end rclone, detach, mount again, read. */
async function rawFailover(path: string, enter: readonly string[], file: string): Promise<number> {
  const { pid, argv } = await rcloneOf(path);
  const startedMs = performance.now();
  process.kill(pid, "SIGKILL");
  await eventually(
    async () => (await readFile(`/proc/${pid}/stat`, "utf8").catch(() => " Z ")).includes(" Z "),
    WAIT_MS,
  );
  await run("fusermount3", ["-uz", path]);
  const [command = "", ...args] = [...enter, ...argv];
  spawn(command, args, { detached: true, stdio: "ignore", cwd: "/" }).unref();
  const host = argv[argv.indexOf("--devname") + 1]?.split("/")[2] ?? "";
  await mountedFrom(path, host);
  await run("cat", [file], { timeout: WAIT_MS });
  return performance.now() - startedMs;
}

async function rcloneOf(path: string): Promise<{ pid: number; argv: string[] }> {
  const { stdout } = await run("pgrep", ["-f", `rclone mount .*${path}( |$)`]);
  const pid = Number(stdout.trim().split("\n")[0]);
  const argv = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").filter((word) => word !== "");
  return { pid, argv };
}

/** Wall ms of the first triggered cycle after `atMs`, from the log. */
async function triggeredAfter(home: string, atMs: number): Promise<number> {
  const log = await readFile(join(home, "mountaineer.log"), "utf8");
  const times = log
    .split("\n")
    .filter((line) => line.includes('"network.changed"'))
    .map((line) => Date.parse(JSON.parse(line).time))
    .filter((time) => time >= atMs);
  return times[0] ?? Number.NaN;
}
