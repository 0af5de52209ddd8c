// Owns the way from the command line into the daemon; with in-process/control.ts the only one. Loads it when it is run.
import type { CommandContext } from "../input/command.ts";
import type { MonitorArguments } from "../input/monitor-arguments.ts";
import { listenForHangups } from "./monitor-hangups.ts";

/** Resolves with the exit code when the daemon has stopped; rejects with what keeps it from starting. */
export async function runMonitorCommand(
  { home, configPath, signal, forceSignal }: CommandContext,
  { intervalMs, unmountOnExit }: Omit<MonitorArguments, "config">,
): Promise<number> {
  // Before all else: unheard, a SIGHUP would end a daemon that is still starting.
  const reloadRequests = listenForHangups(process);
  const { runMonitor } = await import("../../daemon/monitor.ts");
  await runMonitor({ home, configPath, intervalMs, unmountOnExit, signal, forceSignal, reloadRequests });
  return 0;
}
