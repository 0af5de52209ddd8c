// What the throughput bench compares: each way to read and write a file of one server, behind one interface.
import { execFile } from "node:child_process";
import { open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PlainRig } from "../src/demo/stage/plain-rig.ts";
import { systemClock } from "../src/runtime/time/clock.ts";
import type { MountDriver } from "../src/shares/drivers/mount-driver.ts";
import { typedSignIn } from "../src/shares/program/sign-in.ts";
import type { ShareSpec } from "../src/shares/share-spec.ts";
import { contextSwitches, cpuMs, peakRssMb } from "./processes.ts";

const run = promisify(execFile);
const BLOCK_BYTES = 1024 * 1024;
const RANDOM_READ_BYTES = 64 * 1024;
const STEP_MS = 60_000;

export interface Column extends AsyncDisposable {
  readonly name: string;
  /** The folder on the server's disk; files are put there for reading. */
  readonly behind: string;
  /** Reads the whole file, cold; ms. */
  read(file: string): Promise<number>;
  /** Writes a new file with `source`'s content, and waits until the server has all of it; ms. */
  write(source: string, bytes: number): Promise<number>;
  /** The same in blocks of that length. null: no mount. */
  readonly writeBlocks: ((source: string, bytes: number, block: number) => Promise<number>) | null;
  /** Each of these files, opened, read and closed; ms. null: no mount. */
  readonly readEach: ((files: readonly string[]) => Promise<number>) | null;
  /** `times` reads of 64 KiB at random places of an open file; ms. null: no mount. */
  readonly readAtRandom: ((file: string, times: number) => Promise<number>) | null;
  peakMb(): Promise<number | null>;
  cpuMs(): Promise<number>;
  /** Context switches of its process so far. */
  switches(): Promise<number>;
}

export function smbclientColumn(
  name: string,
  rig: PlainRig,
  share: string,
  authFile: string,
  protection: "off" | "sign",
): Column {
  const options = ["-p", String(rig.serverPort), "-A", authFile, `--client-protection=${protection}`];
  const ask = async (command: string): Promise<number> => {
    const startedMs = performance.now();
    await run("smbclient", [`//127.0.0.1/${share}`, ...options, "-c", command], { timeout: STEP_MS });
    return performance.now() - startedMs;
  };
  return {
    name,
    behind: rig.exportPath(share),
    read: (file) => ask(`get ${file} /dev/null`),
    async write(source) {
      const tookMs = await ask(`put ${source} written.bin`);
      await rm(join(rig.exportPath(share), "written.bin"));
      return tookMs;
    },
    writeBlocks: null,
    readEach: null,
    readAtRandom: null,
    peakMb: async () => null,
    cpuMs: async () => 0,
    switches: async () => 0,
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Through a mount made by one of the drivers; rejects with what the driver says when it cannot mount here. */
export async function driverColumn(
  name: string,
  driver: MountDriver,
  share: ShareSpec,
  behind: string,
): Promise<Column> {
  const limits = () => ({ deadlineMs: STEP_MS, signal: AbortSignal.timeout(STEP_MS) });
  const outcome = await driver.mount(share, "tb", limits(), {
    moves: false,
    signIn: typedSignIn(share, {
      tb: { address: "127.0.0.1", port: share.routes.tb.port, interfaceName: null },
    }),
    allowed: ["tb"],
    patienceMs: STEP_MS,
    onlyOn: false,
    logInNow: true,
    newServer: false,
  });
  if (!outcome.ok) throw new Error(outcome.text);
  const [pid = null] = await driver.ownProcesses(share, outcome.mount);
  return {
    ...mountedColumn(name, share.mountPath, behind),
    peakMb: async () => (pid === null ? null : peakRssMb(pid)),
    cpuMs: async () => (pid === null ? 0 : cpuMs(pid)),
    switches: async () => (pid === null ? 0 : contextSwitches(pid)),
    async [Symbol.asyncDispose]() {
      const ended = await driver.unmount(share, outcome.mount, "plain", limits());
      // On a busy machine it may not be known in time who has files open; it is nobody.
      if (!ended.ok) await driver.unmount(share, outcome.mount, "force", limits());
    },
  };
}

function mountedColumn(
  name: string,
  path: string,
  behind: string,
): Omit<Column, "peakMb" | "cpuMs" | "switches" | typeof Symbol.asyncDispose> {
  const writeBlocks = async (source: string, bytes: number, length: number): Promise<number> => {
    await using from = await open(source);
    const block = Buffer.alloc(length);
    await from.read(block, 0, block.length, 0);
    const startedMs = performance.now();
    const opened = await open(join(path, "written.bin"), "w");
    for (let at = 0; at < bytes; at += block.length) await opened.write(block);
    await opened.sync();
    await opened.close();
    const tookMs = performance.now() - startedMs;
    const stored = (await stat(join(behind, "written.bin"))).size;
    if (stored !== bytes) throw new Error(`${name} stored ${stored} bytes`);
    await rm(join(path, "written.bin"));
    return tookMs;
  };
  return {
    name,
    behind,
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
    write: (source, bytes) => writeBlocks(source, bytes, BLOCK_BYTES),
    writeBlocks,
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
  };
}

/** Long enough for what a mount knows of a folder to be asked for again. */
export function untilListedAnew(): Promise<void> {
  return systemClock.sleep(1200);
}
