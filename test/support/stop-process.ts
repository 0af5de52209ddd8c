// Stops a process for a while: once this returns, none of its threads is still at work.
import { isAtRest } from "../../src/runtime/process/process-identity.ts";
import { eventually } from "./eventually.ts";

/** SIGSTOP; resolves when no thread of it runs any more. */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  await eventually(() => isAtRest(pid));
}
