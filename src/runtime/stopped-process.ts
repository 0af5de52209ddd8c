// Owns whether a process that was sent SIGSTOP has stopped: the signal is only asked for, and threads may go on for
// some time where processors are busy.
import { readdir, readFile } from "node:fs/promises";
import { systemErrorCode } from "./errors.ts";

/** proc(5): stopped by a signal, by a debugger, dead, about to be gone. */
const AT_REST = "TtXZ";

/** Whether no thread of it runs, nor is on its way through the kernel. Where there is no /proc: true, as for none. */
export async function isAtRest(pid: number): Promise<boolean> {
  try {
    const threads = await readdir(`/proc/${pid}/task`);
    const states = await Promise.all(threads.map((thread) => stateOf(`/proc/${pid}/task/${thread}/stat`)));
    return states.every((state) => AT_REST.includes(state));
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return !(await exists(pid));
  }
}

/** The letter behind the name, which may hold anything. */
async function stateOf(file: string): Promise<string> {
  const text = await readFile(file, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).charAt(0);
}

async function exists(pid: number): Promise<boolean> {
  return await readFile(`/proc/${pid}/stat`).then(
    () => true,
    () => false,
  );
}
