// The daemon's program in a build: one script with all code that a daemon runs.
import { runMonitorCommand } from "./in-process/run-monitor.ts";
import type { MonitorArguments } from "./input/monitor-arguments.ts";
import { run } from "./run.ts";

/** Runs `monitor` and ends the process. `keepCompiledCode` is called once the start is over. */
export function runDaemon(
  args: readonly string[],
  { config, ...monitor }: MonitorArguments,
  keepCompiledCode: () => void,
): Promise<void> {
  return run(args, async (_args, _streams, contextFor) =>
    runMonitorCommand(await contextFor(config, true), monitor, keepCompiledCode),
  );
}
