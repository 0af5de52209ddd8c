// Finds all monitors of this user, whatever their home; picks the platform's implementation.
import { listMonitorsDarwin } from "./monitor-processes-darwin.ts";
import { listMonitorsLinux } from "./monitor-processes-linux.ts";
import type { MonitorProcess } from "./process-arguments.ts";

/** Lists the monitors. Never rejects. */
export function listMonitors(): Promise<readonly MonitorProcess[]> {
  return process.platform === "darwin" ? listMonitorsDarwin() : listMonitorsLinux();
}
