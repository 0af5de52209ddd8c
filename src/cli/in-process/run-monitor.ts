// Runs the daemon in this process, and passes SIGHUP on to it. Its code is loaded when it runs.
import type { MonitorOptions } from "../../api/in-process.ts";
import type { CommandContext } from "../input/command.ts";
import { launcherPath } from "../input/launcher-path.ts";
import type { MonitorArguments } from "../input/monitor-arguments.ts";

/** Resolves with the exit code when the daemon has stopped; rejects with what keeps it from starting. */
export async function runMonitorCommand(
  { home, configPath, signal, forceSignal }: CommandContext,
  { intervalMs, unmountOnExit }: Omit<MonitorArguments, "config">,
): Promise<number> {
  // Before all else: unheard, a SIGHUP would end a daemon that is still starting.
  const reloadRequests = listenForHangups(process);
  const [{ runMonitor }, { builtPage }] = await Promise.all([
    import("../../daemon/monitor.ts"),
    import("../../web/built-page.ts"),
  ]);
  const program = { command: launcherPath(), args: process.argv.slice(2) };
  await runMonitor({
    home,
    configPath,
    intervalMs,
    unmountOnExit,
    program,
    page: builtPage(),
    signal,
    forceSignal,
    reloadRequests,
  });
  return 0;
}

/** What signals come from. */
interface SignalSource {
  on(signal: "SIGHUP", listener: () => void): unknown;
}

/** Hears SIGHUP from now on, for as long as the process lives; see `MonitorOptions.reloadRequests`. */
export function listenForHangups(source: SignalSource): MonitorOptions["reloadRequests"] {
  const listeners = new Set<() => void>();
  let cameBefore = false;
  source.on("SIGHUP", () => {
    if (listeners.size === 0) cameBefore = true;
    for (const listener of [...listeners]) listener();
  });
  return (listener) => {
    // Wrapped, so that the same function registered twice is two listeners.
    const own = (): void => listener();
    listeners.add(own);
    if (cameBefore) {
      cameBefore = false;
      queueMicrotask(() => {
        if (listeners.has(own)) own();
      });
    }
    return () => void listeners.delete(own);
  };
}
