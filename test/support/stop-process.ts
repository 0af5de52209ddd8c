// Owns stopping a process for a while: what is done next finds none of its threads still at work.
import { isAtRest } from "../../src/runtime/process/stopped-process.ts";
import { eventually } from "./eventually.ts";

/** SIGSTOP; resolves when no thread of it runs any more. */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  await eventually(() => isAtRest(pid));
}
