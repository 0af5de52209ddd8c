// A process's start time on Linux: clock ticks since boot, with the boot's id.
import { readFileSync } from "node:fs";
import { systemErrorCode } from "../errors.ts";

/** Fields after the command's name; proc(5) counts from 1, and the third is the first of these. */
const STATE_INDEX = 3 - 3;
const THREADS_INDEX = 20 - 3;
const START_TIME_INDEX = 22 - 3;

/** `BOOT:TICKS`; null when no such process runs. Never touches the process's files, so it does not hang with it. */
export async function processStartLinux(pid: number): Promise<string | null> {
  const [stat, boot] = await Promise.all([readProc(`/proc/${pid}/stat`), bootId()]);
  const ticks = stat === null ? null : parseStat(stat);
  return ticks === null ? null : `${boot}:${ticks}`;
}

let knownBootId: string | null = null;

/** Read once: this process does not outlive the boot. */
async function bootId(): Promise<string> {
  knownBootId ??= ((await readProc("/proc/sys/kernel/random/boot_id")) ?? "").trim().slice(0, 8);
  return knownBootId;
}

/**
 * The start time in a line of `/proc/PID/stat`; null for a zombie or a dead process. One whose first thread alone has
 * ended shows as a zombie, and its files, locks and connections are still open.
 */
export function parseStat(stat: string): string | null {
  const fields = statFields(stat);
  const state = fields[STATE_INDEX];
  const hasEnded = state === "Z" && Number(fields[THREADS_INDEX]) <= 1;
  if (state === undefined || hasEnded || state === "X" || state === "x") return null;
  return fields[START_TIME_INDEX] ?? null;
}

/** Its state, as proc(5) has it; null when it is gone. `stat`: the file of a process, or of one of its threads. */
export async function stateLinux(stat: string): Promise<string | null> {
  const text = await readProc(stat);
  return text === null ? null : (statFields(text)[STATE_INDEX] ?? null);
}

/** What comes after the command's name, which may hold spaces and parentheses; only the last ")" ends it. */
function statFields(stat: string): readonly string[] {
  return stat
    .slice(stat.lastIndexOf(")") + 1)
    .trim()
    .split(" ");
}

/** From the kernel's memory, which waits for no disk and no server: threads for it would cost five times as much. */
async function readProc(path: string): Promise<string | null> {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = systemErrorCode(error);
    // ESRCH: it ended between the open and the read.
    if (code === "ENOENT" || code === "ESRCH") return null;
    throw error;
  }
}
