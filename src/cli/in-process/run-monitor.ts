// Runs the daemon in this process, and passes SIGHUP on to it. Its code is loaded when it runs.
import { mkdirSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { dirname, extname, join } from "node:path";
import type { MonitorOptions } from "../../api/in-process.ts";
import { startReaderProcess } from "../../config/worker/reader-process.ts";
import { systemClock } from "../../runtime/time/clock.ts";
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
  // Started while the daemon's own code is loaded: a start would wait for it.
  const reader = startReaderProcess(systemClock);
  try {
    keepCompiledCode(import.meta.filename);
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
      reader,
      signal,
      forceSignal,
      reloadRequests,
    });
  } finally {
    // It may have failed before it read.
    reader.end();
  }
  return 0;
}

/**
 * Node takes what is imported from now on as V8 compiled it at an earlier start, and keeps it when the process ends. It is
 * beside the code, as it runs like the code: who cannot write the one cannot write the other. Without leave to write
 * there, as where the system's packages are, all is compiled at each start. `program`: of a build; sources keep nothing.
 */
export function keepCompiledCode(program: string): void {
  if (extname(program) !== ".js") return;
  const folder = join(dirname(program), "compiled");
  try {
    // Whatever the umask lets others do: who can write there runs as this user.
    mkdirSync(folder, { mode: 0o700 });
  } catch {
    // It is there already, or nothing is kept.
  }
  enableCompileCache(folder);
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
