// Runs the daemon in this process, and passes SIGHUP to the daemon. The daemon's code is loaded on demand.
import type { MonitorOptions } from "../../api/in-process.ts";
import { BUNDLED_PROGRAMS } from "../../mount-program/mount-program.ts";
import type { Signals, Target } from "../input/command.ts";
import { launcherPath } from "../input/launcher-path.ts";
import type { MonitorArguments } from "../input/monitor-arguments.ts";

/** Resolves with the exit code when the daemon has stopped; rejects if it cannot start, as `runMonitor` does. */
export async function runMonitorCommand(
  { home, configPath, signal, forceSignal }: Target & Signals,
  { intervalMs, unmountOnExit }: Omit<MonitorArguments, "config">,
  keepCompiledCode: () => void = () => {},
): Promise<number> {
  // Registered before anything else, because an unhandled SIGHUP would end a daemon that is starting.
  const reloadRequests = listenForHangups(process);
  const [{ runMonitor }, { builtPage }] = await Promise.all([
    import("../../daemon/monitor.ts"),
    import("../../web/built-page.ts"),
  ]);
  await runMonitor({
    home,
    configPath,
    intervalMs,
    unmountOnExit,
    program: { command: launcherPath(), args: process.argv.slice(2) },
    neededPrograms: BUNDLED_PROGRAMS,
    page: builtPage(),
    keepCompiledCode,
    signal,
    forceSignal,
    reloadRequests,
  });
  return 0;
}

interface SignalSource {
  on(signal: "SIGHUP", listener: () => void): unknown;
}

/** Handles SIGHUP until the process ends; see `MonitorOptions.reloadRequests`. */
export function listenForHangups(source: SignalSource): MonitorOptions["reloadRequests"] {
  const listeners = new Set<() => void>();
  let cameBefore = false;
  source.on("SIGHUP", () => {
    if (listeners.size === 0) cameBefore = true;
    for (const listener of [...listeners]) listener();
  });
  return (listener) => {
    // Wraps the listener, so that the same function registered twice is two listeners.
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
