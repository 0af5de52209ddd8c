// Finds all monitors that this user runs, whatever their home; picks the platform's way.
import { listMonitorsDarwin } from "./monitor-processes-darwin.ts";
import { listMonitorsLinux } from "./monitor-processes-linux.ts";
import type { MonitorProcess } from "./process-arguments.ts";

/** Without this process. Never rejects. */
export function listMonitors(): Promise<readonly MonitorProcess[]> {
  return process.platform === "darwin" ? listMonitorsDarwin() : listMonitorsLinux();
}
