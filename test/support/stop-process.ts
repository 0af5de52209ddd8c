// Stops a process for a while: once this returns, none of its threads is still at work.
import { readdir } from "node:fs/promises";
import { isSystemError, recoverFrom } from "../../src/runtime/errors.ts";
import { stateLinux } from "../../src/runtime/process/process-identity-linux.ts";
import { eventually } from "./eventually.ts";

/** SIGSTOP; resolves when no thread of it runs any more. */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  await eventually(() => isAtRest(pid));
}

/** States of proc(5): stopped by a signal, stopped by a debugger, dead, zombie. */
const AT_REST = "TtXZ";

/** Whether all threads of the process are stopped or dead. True if there is no /proc, or no such process. */
async function isAtRest(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`).catch(recoverFrom(isSystemError, []));
  const states = await Promise.all(threads.map((thread) => stateLinux(`/proc/${pid}/task/${thread}/stat`)));
  // null counts as running: a thread that has just ended may have started another one.
  return states.every((state) => state !== null && AT_REST.includes(state));
}
