// Whether another process has a file open for writing. Linux tells in /proc; other systems do not.
import { readdir, readFile, readlink, realpath } from "node:fs/promises";
import { isSystemError, recoverFrom } from "../errors.ts";
import { systemClock } from "../time/clock.ts";

/** `flags` in /proc/PID/fdinfo is octal; its last two bits are 0 for a file that is open for reading only. */
const OPEN_FOR_WRITING = /^flags:\s+[0-7]*[1-35-7]$/m;

const RECHECK_MS = 250;

/** Waits until no process has the file open for writing, for at most `mostMs`. Otherwise as `isBeingWritten`. */
export async function untilWritten(path: string, mostMs: number): Promise<void> {
  const lastMs = systemClock.monotonicMs() + mostMs;
  while (systemClock.monotonicMs() < lastMs && (await isBeingWritten(path)))
    await systemClock.sleep(RECHECK_MS);
}

/**
 * True if a process that this user may inspect has the file open for writing. False if that is unknown. Must not run in
 * the daemon's process: the file's disk may hang. Never rejects.
 */
export async function isBeingWritten(path: string, procFolder = "/proc"): Promise<boolean> {
  const unknown = recoverFrom(isSystemError, null);
  const real = await realpath(path).catch(unknown);
  const pids = (await readdir(procFolder).catch(unknown)) ?? [];
  for (const pid of pids.filter((name) => /^\d+$/.test(name))) {
    const open = (await readdir(`${procFolder}/${pid}/fd`).catch(unknown)) ?? [];
    // Reading these links never asks the file system behind them.
    const links = await Promise.all(
      open.map((fd) => readlink(`${procFolder}/${pid}/fd/${fd}`).catch(unknown)),
    );
    for (const [index, link] of links.entries()) {
      if (link === null || link !== real) continue;
      const info = await readFile(`${procFolder}/${pid}/fdinfo/${open[index]}`, "utf8").catch(unknown);
      if (info !== null && OPEN_FOR_WRITING.test(info)) return true;
    }
  }
  return false;
}
