// Owns finding the monitors that this user runs, for whatever home; it picks the platform's way.
import { listMonitorsDarwin } from "./monitor-processes-darwin.ts";
import { listMonitorsLinux } from "./monitor-processes-linux.ts";
import type { MonitorProcess } from "./process-arguments.ts";

/** Without this process. Never rejects. */
export function listMonitors(): Promise<readonly MonitorProcess[]> {
  return process.platform === "darwin" ? listMonitorsDarwin() : listMonitorsLinux();
}
