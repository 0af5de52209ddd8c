// The start time of a process on Linux: the boot's id, and clock ticks since the boot.
import { readFileSync } from "node:fs";
import { systemErrorCode } from "../errors.ts";

/** Indexes of fields after the command's name, which is the second field of proc(5). */
const STATE_INDEX = 3 - 3;
const THREADS_INDEX = 20 - 3;
const START_TIME_INDEX = 22 - 3;

/** `BOOT:TICKS`; null: no such process. Reads only kernel memory, so a process that hangs on a mount does not block it. */
export async function processStartLinux(pid: number): Promise<string | null> {
  const [stat, boot] = await Promise.all([readProc(`/proc/${pid}/stat`), bootId()]);
  const ticks = stat === null ? null : parseStat(stat);
  return ticks === null ? null : `${boot}:${ticks}`;
}

let knownBootId: string | null = null;

/** Cached for the process's lifetime, which is within one boot. */
async function bootId(): Promise<string> {
  knownBootId ??= ((await readProc("/proc/sys/kernel/random/boot_id")) ?? "").trim().slice(0, 8);
  return knownBootId;
}

/**
 * The start time in a line of `/proc/PID/stat`; null for a zombie or a dead process. A process with other threads runs, even
 * if it shows as a zombie because its first thread has ended.
 */
export function parseStat(stat: string): string | null {
  const fields = statFields(stat);
  const state = fields[STATE_INDEX];
  const hasEnded = state === "Z" && Number(fields[THREADS_INDEX]) <= 1;
  if (state === undefined || hasEnded || state === "X" || state === "x") return null;
  return fields[START_TIME_INDEX] ?? null;
}

/** The fields after the command's name. The name may contain spaces and parentheses; the last ")" ends it. */
function statFields(stat: string): readonly string[] {
  return stat
    .slice(stat.lastIndexOf(")") + 1)
    .trim()
    .split(" ");
}

/**
 * Reads synchronously: a read of /proc never waits for a disk or server, and an asynchronous read costs five times as
 * much.
 */
async function readProc(path: string): Promise<string | null> {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = systemErrorCode(error);
    // ESRCH: the process ended between the open and the read.
    if (code === "ENOENT" || code === "ESRCH") return null;
    throw error;
  }
}
