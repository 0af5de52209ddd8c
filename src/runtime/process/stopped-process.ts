// Tells whether a process that was sent SIGSTOP has stopped. The signal is only a request, and threads may run on for a
// while on a busy machine.
import { readdir } from "node:fs/promises";
import { expecting, isSystemError } from "../errors.ts";
import { stateLinux } from "./process-identity-linux.ts";

/** proc(5): stopped by a signal, by a debugger, dead, about to be gone. */
const AT_REST = "TtXZ";

/** Whether no thread of the process runs or is inside the kernel. True if there is no /proc, or no such process. */
export async function isAtRest(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`).catch(expecting(isSystemError, []));
  const states = await Promise.all(threads.map((thread) => stateLinux(`/proc/${pid}/task/${thread}/stat`)));
  // A thread that ended meanwhile may have started another.
  return states.every((state) => state !== null && AT_REST.includes(state));
}
