// Identifies a process by its pid and start time, because a pid may be reused.

import { readdir } from "node:fs/promises";
import { MountaineerError, recoverFrom, systemErrorCode } from "../errors.ts";
import type { Clock } from "../time/clock.ts";
import { processStartDarwin } from "./process-identity-darwin.ts";
import { processStartLinux } from "./process-identity-linux.ts";

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque. Always the same for one process, also when read by another process. */
  readonly startTime: string;
}

const FIRST_CHECK_AFTER_MS = 2;
const CHECKS_AT_MOST_APART_MS = 50;

/** The start time of the process; null: no such process, or a zombie. */
const processStart = process.platform === "darwin" ? processStartDarwin : processStartLinux;

/** The identity of the process with this pid; null: no such process, or a zombie. */
export async function processIdentity(pid: number): Promise<ProcessIdentity | null> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  const startTime = await processStart(pid);
  return startTime === null ? null : { pid, startTime };
}

/** Whether exactly this process still runs, and not a later one with its pid. A zombie does not run. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  return (await processIdentity(identity.pid))?.startTime === identity.startTime;
}

interface EndOptions {
  readonly clock: Clock;
  /** From SIGTERM to SIGKILL, ms; 0 sends SIGKILL at once. */
  readonly graceMs: number;
  /** How long to wait in all, ms. */
  readonly deadlineMs: number;
}

/**
 * Ends the process. Resolves true once it has ended, false when it still runs at the deadline (a process blocked in the
 * kernel does not die). Rejects with `permission_denied` when it belongs to another user.
 */
export async function endProcess(identity: ProcessIdentity, options: EndOptions): Promise<boolean> {
  const { clock, graceMs, deadlineMs } = options;
  const startedAtMs = clock.monotonicMs();
  let sent: "nothing" | "SIGTERM" | "SIGKILL" = "nothing";
  let pauseMs = FIRST_CHECK_AFTER_MS;
  for (;;) {
    if (!(await isRunning(identity))) return true;
    const elapsedMs = clock.monotonicMs() - startedAtMs;
    if (sent !== "SIGKILL" && elapsedMs >= graceMs) {
      sendSignal(identity.pid, "SIGKILL");
      sent = "SIGKILL";
    } else if (sent === "nothing") {
      sendSignal(identity.pid, "SIGTERM");
      sent = "SIGTERM";
    } else if (elapsedMs >= deadlineMs) {
      return false;
    }
    const untilKillMs = sent === "SIGTERM" ? graceMs - elapsedMs : Number.POSITIVE_INFINITY;
    await clock.sleep(Math.max(0, Math.min(pauseMs, untilKillMs)));
    pauseMs = Math.min(pauseMs * 2, CHECKS_AT_MOST_APART_MS);
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ESRCH") return;
    if (code !== "EPERM") throw error;
    throw new MountaineerError("permission_denied", `process ${pid} belongs to another user`, {
      cause: error,
    });
  }
}

const CHECK_MS = 50;
/**
 * Longest wait for process groups to end, ms. A process may be stuck in the kernel, or an unrelated group may reuse
 * the number of a group.
 */
const GONE_MS = 30_000;

/** Resolves when no process of the groups remains, or after 30 s. */
export async function groupsGone(groups: readonly number[], clock: Clock): Promise<void> {
  const untilMs = clock.monotonicMs() + GONE_MS;
  while (groups.some(groupExists) && clock.monotonicMs() < untilMs) await clock.sleep(CHECK_MS);
}

function groupExists(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    // EPERM: another user's group reuses the number.
    return false;
  }
}

const AT_ONCE = 16;

/** The results of `read` for all processes, without nulls. Empty if the system has no `/proc`. */
export async function readProcesses<T>(
  read: (pid: string) => Promise<T | null>,
  processes = "/proc",
): Promise<readonly T[]> {
  const pids = (await readdir(processes).catch(recoverFrom("ENOENT", []))).filter((name) =>
    /^\d+$/.test(name),
  );
  const found: T[] = [];
  for (let index = 0; index < pids.length; index += AT_ONCE) {
    const some = await Promise.all(pids.slice(index, index + AT_ONCE).map(read));
    for (const one of some) if (one !== null) found.push(one);
  }
  return found;
}
