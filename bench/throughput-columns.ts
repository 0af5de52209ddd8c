// What the throughput bench compares: each way to read and write a file of one server, behind one interface.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PlainRig } from "../src/demo/stage/plain-rig.ts";
import { readRcloneVersion } from "../src/rclone-release/rclone-version.ts";
import { systemClock } from "../src/runtime/time/clock.ts";
import type { MountDriver } from "../src/shares/drivers/mount-driver.ts";
import { writeBack } from "../src/shares/drivers/rclone/files.ts";
import type { ShareSpec } from "../src/shares/share-spec.ts";
import { eventually } from "../test/support/eventually.ts";
import { cpuMs, peakRssMb } from "./processes.ts";
import type { Relay } from "./relays.ts";

const run = promisify(execFile);
const BLOCK_BYTES = 1024 * 1024;
const RANDOM_READ_BYTES = 64 * 1024;
const STEP_MS = 60_000;
const STORED_MS = 120_000;

export interface Written {
  /** Until `close` returned. */
  readonly acceptedMs: number;
  /** Until the server had all of it. */
  readonly storedMs: number;
  /** The transfer alone: a mount begins it only after a pause, in which the program may go on writing. */
  readonly sentMs: number;
}

export interface Column extends AsyncDisposable {
  readonly name: string;
  readonly relay: Relay | null;
  /** The folder on the server's disk; files are put there for reading. */
  readonly behind: string;
  /** Reads the whole file, cold; ms. */
  read(file: string): Promise<number>;
  /** Writes a new file. `source` has the content. */
  write(source: string, bytes: number): Promise<Written>;
  /** Each of these files, opened, read and closed; ms. null: no mount. */
  readonly readEach: ((files: readonly string[]) => Promise<number>) | null;
  /** `times` reads of 64 KiB at random places of an open file; ms. null: no mount. */
  readonly readAtRandom: ((file: string, times: number) => Promise<number>) | null;
  /** The mount's own process; null: there is none. */
  readonly pid: number | null;
  peakMb(): Promise<number | null>;
  cpuMs(): Promise<number>;
}

export function smbclientColumn(
  name: string,
  rig: PlainRig,
  share: string,
  relay: Relay | null,
  authFile: string,
  protection: "off" | "sign" = "off",
) {
  const options = [
    "-p",
    String(relay?.port ?? rig.serverPort),
    "-A",
    authFile,
    `--client-protection=${protection}`,
  ];
  const ask = async (command: string): Promise<number> => {
    const startedMs = performance.now();
    await run("smbclient", [`//127.0.0.1/${share}`, ...options, "-c", command], { timeout: STEP_MS });
    return performance.now() - startedMs;
  };
  const column: Column = {
    name,
    relay,
    behind: rig.exportPath(share),
    read: (file) => ask(`get ${file} /dev/null`),
    async write(source) {
      const tookMs = await ask(`put ${source} written.bin`);
      await rm(join(rig.exportPath(share), "written.bin"));
      return { acceptedMs: tookMs, storedMs: tookMs, sentMs: tookMs };
    },
    readEach: null,
    readAtRandom: null,
    pid: null,
    peakMb: async () => null,
    cpuMs: async () => 0,
    [Symbol.asyncDispose]: async () => {},
  };
  return column;
}

/** Through a mount made by one of the drivers; rejects with what the driver says when it cannot mount here. */
export async function driverColumn(
  name: string,
  driver: MountDriver,
  share: ShareSpec,
  behind: string,
  relay: Relay | null,
  pauseMs = 0,
): Promise<Column> {
  const limits = () => ({ deadlineMs: STEP_MS, signal: AbortSignal.timeout(STEP_MS) });
  const outcome = await driver.mount(share, "tb", limits());
  if (!outcome.ok) throw new Error(outcome.text);
  const [pid = null] = await driver.ownProcesses(share, outcome.mount);
  return {
    ...mountedColumn({
      name,
      path: share.mountPath,
      behind,
      relay,
      pid,
      pauseMs,
      isStored: async () => (await driver.unsent(share)).length === 0,
    }),
    async [Symbol.asyncDispose]() {
      const ended = await driver.unmount(share, outcome.mount, "plain", limits());
      // On a busy machine it may not be known in time who has files open; it is nobody.
      if (!ended.ok) await driver.unmount(share, outcome.mount, "force", limits());
    },
  };
}

/** Of a mount by this program, `pauseMs`. */
export async function pauseMsOf(rclone: string): Promise<number> {
  return Number.parseInt(writeBack(await readRcloneVersion(systemClock, rclone)), 10) * 1000;
}

/** rclone as a person would mount it: its own defaults, and a cache for writes as ours has it. */
export async function bareRcloneColumn(rig: PlainRig, share: string, folder: string): Promise<Column> {
  const [path, cache, config] = ["bare", "bare-cache", "bare.conf"].map((name) => join(folder, name));
  if (path === undefined || cache === undefined || config === undefined) throw new Error("unreachable");
  await mkdir(path);
  const obscuring = run("rclone", ["obscure", "-"]);
  obscuring.child.stdin?.end(rig.password);
  const pass = (await obscuring).stdout.trim();
  const remote = `[bare]\ntype = smb\nhost = 127.0.0.1\nport = ${rig.serverPort}\nuser = ${rig.username}\npass = ${pass}\n`;
  await writeFile(config, remote, { mode: 0o600 });
  const pause = writeBack(await readRcloneVersion(systemClock, "rclone"));
  const child = spawn(
    "rclone",
    [
      ...["mount", `bare:${share}`, path, "--config", config, "--cache-dir", cache],
      ...["--vfs-cache-mode", "writes", "--vfs-write-back", pause, "--dir-cache-time", "1s"],
    ],
    // In a session of its own, as ours is: the kernel shares out the processors by sessions.
    { stdio: "ignore", cwd: "/", detached: true },
  );
  await eventually(
    async () => (await readFile("/proc/self/mountinfo", "utf8")).includes(` ${path} `),
    STEP_MS,
  );
  const note = join(cache, "vfsMeta", "bare", share, "written.bin");
  return {
    ...mountedColumn({
      name: "rclone alone",
      path,
      behind: rig.exportPath(share),
      relay: null,
      pid: child.pid ?? null,
      pauseMs: await pauseMsOf("rclone"),
      isStored: async () => (await readFile(note, "utf8").catch(() => "")).includes('"Dirty": false'),
    }),
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      await run("fusermount3", ["-u", path]);
      await ended;
    },
  };
}

/** The trial mountaineer-fs: read only, so nothing is written. */
export async function fileSystemColumn(
  name: string,
  program: string,
  rig: PlainRig,
  share: string,
  folder: string,
  relay: Relay | null,
): Promise<Column> {
  const path = join(folder, `fs-${share}`);
  await mkdir(path);
  const address = `127.0.0.1:${relay?.port ?? rig.serverPort}`;
  const child = spawn(program, ["-address", address, "-share", share, "-user", rig.username, "-sign", path], {
    stdio: ["pipe", "ignore", "inherit"],
    cwd: "/",
    detached: true,
  });
  child.stdin.end(`${rig.password}\n`);
  await eventually(
    async () => (await readFile("/proc/self/mountinfo", "utf8")).includes(` ${path} `),
    STEP_MS,
  );
  return {
    ...mountedColumn({
      name,
      path,
      behind: rig.exportPath(share),
      relay,
      pid: child.pid ?? null,
      pauseMs: 0,
      isStored: async () => true,
    }),
    write: async () => ({ acceptedMs: Number.NaN, storedMs: Number.NaN, sentMs: Number.NaN }),
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    },
  };
}

interface Mounted {
  readonly name: string;
  readonly path: string;
  readonly behind: string;
  readonly relay: Relay | null;
  readonly pid: number | null;
  /** Between the last close and the sending. */
  readonly pauseMs: number;
  /** Whether nothing that was written waits to be sent. */
  isStored(): Promise<boolean>;
}

function mountedColumn({ name, path, behind, relay, pid, pauseMs, isStored }: Mounted): Column {
  return {
    name,
    relay,
    behind,
    pid,
    async read(file) {
      const block = Buffer.alloc(BLOCK_BYTES);
      const startedMs = performance.now();
      await using opened = await open(join(path, file));
      let bytes = 0;
      for (;;) {
        const { bytesRead } = await opened.read(block, 0, block.length, null);
        if (bytesRead === 0) break;
        bytes += bytesRead;
      }
      const tookMs = performance.now() - startedMs;
      if (bytes !== (await stat(join(behind, file))).size) throw new Error(`${name} read ${bytes} bytes`);
      return tookMs;
    },
    async write(source, bytes) {
      await using from = await open(source);
      const block = Buffer.alloc(BLOCK_BYTES);
      await from.read(block, 0, block.length, 0);
      const startedMs = performance.now();
      const opened = await open(join(path, "written.bin"), "w");
      for (let at = 0; at < bytes; at += block.length) await opened.write(block);
      await opened.close();
      const acceptedMs = performance.now() - startedMs;
      await eventually(
        async () => (await sizeOf(join(behind, "written.bin"))) === bytes && (await isStored()),
        STORED_MS,
        20,
      );
      const storedMs = performance.now() - startedMs;
      await rm(join(path, "written.bin"));
      return { acceptedMs, storedMs, sentMs: storedMs - acceptedMs - pauseMs };
    },
    async readEach(files) {
      const startedMs = performance.now();
      for (const file of files) await readFile(join(path, file));
      return performance.now() - startedMs;
    },
    async readAtRandom(file, times) {
      await using opened = await open(join(path, file));
      const { size } = await opened.stat();
      const block = Buffer.alloc(RANDOM_READ_BYTES);
      const startedMs = performance.now();
      for (let index = 0; index < times; index++) {
        await opened.read(block, 0, block.length, Math.floor(Math.random() * (size - block.length)));
      }
      return performance.now() - startedMs;
    },
    peakMb: async () => (pid === null ? null : peakRssMb(pid)),
    cpuMs: async () => (pid === null ? 0 : cpuMs(pid)),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? -1;
}

/** Long enough for what a mount knows of a folder to be asked for again. */
export function untilListedAnew(): Promise<void> {
  return systemClock.sleep(1200);
}
