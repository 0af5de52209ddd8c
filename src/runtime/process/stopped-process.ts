// Tells whether a process that was sent SIGSTOP has stopped. The signal is only a request, and threads may run on for a
// while on a busy machine.
import { readdir } from "node:fs/promises";
import { systemErrorCode } from "../errors.ts";
import { stateLinux } from "./process-identity-linux.ts";

/** proc(5): stopped by a signal, by a debugger, dead, about to be gone. */
const AT_REST = "TtXZ";

/** Whether no thread of it runs, nor is on its way through the kernel. Where there is no /proc: true, as for none. */
export async function isAtRest(pid: number): Promise<boolean> {
  const threads = await threadsOf(pid);
  const states = await Promise.all(threads.map((thread) => stateLinux(`/proc/${pid}/task/${thread}/stat`)));
  // One that ended meanwhile may have begun another.
  return states.every((state) => state !== null && AT_REST.includes(state));
}

async function threadsOf(pid: number): Promise<readonly string[]> {
  try {
    return await readdir(`/proc/${pid}/task`);
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return [];
  }
}
