// Measures what programs do with many small files, and faults of a mapping, through the mount program and a plain rclone mount.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import type { PlainRig } from "../src/demo/stage/plain-rig.ts";
import { missingForPlainRig, startPlainRig } from "../src/demo/stage/plain-rig.ts";
import { goal, median, round, say, spread } from "./figures.ts";
import { openColumns, PROGRAM, SHARES } from "./throughput.bench.ts";
import { untilListedAnew } from "./throughput-columns.ts";

const run = promisify(execFile);
const RCLONE = "rclone mount";
const MIB = 1024 * 1024;
const STEP_MS = 60_000;
const SHAPED_FAULTS = 20;
/** Reads one byte of so many pages of a mapped file, at random. */
const FAULTS =
  "import mmap,random,sys\nf=open(sys.argv[1],'rb')\nm=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)\nfor _ in range(int(sys.argv[2])): m[random.randrange(len(m))]";
const WORK: readonly (readonly [name: string, command: (source: string, to: string) => string[]])[] = [
  ["cp", (source, to) => ["cp", "-r", join(source, "tree"), join(to, "copied")]],
  ["rsync", (source, to) => ["rsync", "-a", join(source, "tree/"), join(to, "synced/")]],
  ["tar", (source, to) => ["tar", "-xf", join(source, "tree.tar"), "-C", to]],
  ["rm", (_, to) => ["rm", "-r", join(to, "copied"), join(to, "synced"), join(to, "tree")]],
];

export const title = "mounted work: small files by cp, rsync, tar and rm, and a mapping, beside rclone";

export function missing(): string | null {
  return missingForPlainRig();
}

export async function bench({ short }: { short: boolean }): Promise<void> {
  const [files, faults, rounds] = short ? [50, 20, 1] : [2_000, 200, 3];
  await using stack = new AsyncDisposableStack();
  const rig = stack.use(await startPlainRig({ shares: [...SHARES, "PLAIN"] }));
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-mounted-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, "tree"));
  for (let at = 0; at < files; at++) await writeFile(join(folder, "tree", `f${at}`), Buffer.alloc(4_096, at));
  await run("tar", ["-cf", join(folder, "tree.tar"), "-C", folder, "tree"]);
  const columns = await openColumns(rig, folder, stack);
  const mounts = [{ name: PROGRAM, at: join(folder, "volumes", "FILES"), share: "FILES" }];
  if (!columns.some(({ name }) => name === PROGRAM)) return;
  try {
    mounts.push({ name: RCLONE, at: await mountRclone(rig, folder, stack), share: "PLAIN" });
  } catch (error) {
    say(`  ${RCLONE}: not measured (apt install rclone): ${error}`);
  }
  const figures = new Map<string, number[]>();
  const time = async (name: string, [file = "", ...given]: readonly string[]): Promise<void> => {
    const startedMs = performance.now();
    await run(file, given, { timeout: STEP_MS });
    figures.set(name, [...(figures.get(name) ?? []), performance.now() - startedMs]);
  };
  const mapped = async (what: string, index: number, times: number): Promise<void> => {
    for (const { share } of mounts)
      await writeFile(join(rig.exportPath(share), `${what}${index}`), Buffer.alloc(64 * MIB, index));
    await untilListedAnew();
    for (const { name, at } of mounts)
      await time(`${name} ${what}`, ["python3", "-c", FAULTS, join(at, `${what}${index}`), String(times)]);
  };
  for (let index = 0; index < rounds; index++) {
    for (const [what, command] of WORK)
      for (const { name, at } of index % 2 === 0 ? mounts : mounts.toReversed())
        await time(`${name} ${what}`, command(folder, at));
    await mapped("faults", index, faults);
  }
  const rows = [...WORK.map(([what]) => what), "faults"];
  if (isOwnNetwork()) {
    await run("tc", "qdisc add dev lo root tbf rate 20mbit burst 256kb latency 100ms".split(" "));
    for (const { share } of mounts)
      await writeFile(join(rig.exportPath(share), "slow"), Buffer.alloc(8 * MIB, 1));
    await untilListedAnew();
    // A mount that was fast until now notices that it is slow.
    for (const { at } of mounts) await run("md5sum", [join(at, "slow")], { timeout: STEP_MS });
    await mapped("faults-20-mbit", 0, SHAPED_FAULTS);
    rows.push("faults-20-mbit");
  } else say("  not shaped to 20 Mbit: run it by unshare -n, with lo up");
  say(`  ${files} files of 4 KiB, ${faults} faults (${SHAPED_FAULTS} at 20 Mbit), ${rounds} rounds; ms`);
  for (const what of rows) {
    const [ours = [], theirs = []] = [PROGRAM, RCLONE].map((name) => figures.get(`${name} ${what}`));
    const text = `${what}: ${spread(ours)}; ${RCLONE} ${round(median(theirs))}`;
    if (theirs.length === 0 || what.startsWith("faults")) say(`    ${text}`);
    else goal(`${text}: no slower`, median(ours) <= median(theirs));
  }
}

/** Resolves with the folder, once it is mounted. */
async function mountRclone(rig: PlainRig, folder: string, stack: AsyncDisposableStack): Promise<string> {
  const at = join(folder, "rclone");
  await mkdir(at);
  const { stdout } = await run("rclone", ["obscure", rig.password]);
  const settings = { TYPE: "smb", HOST: "127.0.0.1", PORT: String(rig.serverPort), USER: rig.username };
  const env = Object.entries({ ...settings, PASS: stdout.trim() }).map(([key, value]) => [
    `RCLONE_CONFIG_NAS_${key}`,
    value,
  ]);
  // With a cache it would upload after the program has ended.
  const options = ["--vfs-cache-mode", "off", "--dir-cache-time", "1s"];
  const child = spawn("rclone", ["mount", "nas:PLAIN", at, ...options], {
    env: { ...process.env, ...Object.fromEntries(env) },
    stdio: "ignore",
  });
  const ended = once(child, "exit");
  stack.defer(async () => {
    await run("fusermount3", ["-u", at]).catch(() => child.kill());
    await ended;
  });
  for (let looks = 0; looks < 100; looks++) {
    if ((await run("findmnt", [at]).catch(() => null)) !== null) return at;
    await pause(100);
  }
  throw new Error("it did not mount within 10 s");
}

/** Whether this network is not the machine's. */
function isOwnNetwork(): boolean {
  return Object.keys(networkInterfaces()).every((name) => name === "lo");
}
