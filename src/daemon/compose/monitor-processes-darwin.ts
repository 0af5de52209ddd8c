// Finds monitors through `ps`. Their homes stay unknown, because `ps` shows no environment.
import { runCommand } from "../../runtime/process/child-process.ts";
import { isMonitor, type MonitorProcess } from "./process-arguments.ts";

const DEADLINE_MS = 3_000;

export async function listMonitorsDarwin(): Promise<readonly MonitorProcess[]> {
  try {
    const { stdout } = await runCommand("ps", ["-xo", "pid=,command="], { deadlineMs: DEADLINE_MS });
    return parsePs(stdout);
  } catch {
    return [];
  }
}

/** Lines of `  PID ARGUMENTS`. Spaces inside an argument look like spaces between arguments. */
export function parsePs(output: string): readonly MonitorProcess[] {
  return output.split("\n").flatMap((line) => {
    const [, pid, command] = /^\s*(\d+)\s+(\S.*)$/.exec(line) ?? [];
    if (pid === undefined || command === undefined || !isMonitor(command.split(" "))) return [];
    return [{ pid: Number(pid), parent: null, home: null }];
  });
}
