// Stops a process for a while: once this returns, none of its threads is still at work.
import { readdir, readFile } from "node:fs/promises";
import { isSystemError, recoverFrom } from "../../src/runtime/errors.ts";
import { eventually } from "./eventually.ts";

/** SIGSTOP; resolves when no thread of it runs any more. */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  await eventually(() => isAtRest(pid));
}

/** Whether all threads of the process are stopped (T, t of proc(5)) or dead (X, Z). True without /proc or such a process. */
async function isAtRest(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`).catch(recoverFrom(isSystemError, []));
  const stats = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, "utf8").catch(() => "")),
  );
  // One that cannot be read counts as running: a thread that has just ended may have started another one.
  return stats.every((stat) => /\) [TtXZ] [^)]*$/.test(stat));
}
