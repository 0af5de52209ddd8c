// The command `mountaineer monitor`, which runs the daemon in the foreground.
import { InvalidArgumentError } from "commander";
import { runMonitorCommand } from "../in-process/run-monitor.ts";
import type { CommandDefinition } from "../input/command.ts";
import { INTERVAL_RULE, intervalMs } from "../input/monitor-arguments.ts";
import { readFlag } from "../input/options.ts";

export const monitorCommand: CommandDefinition = {
  name: "monitor",
  summary: "keep the shares mounted over the best route, until stopped",
  description:
    "Runs the daemon in the foreground, one for each home. Ctrl-C or SIGTERM stop it in order and leave the mounts " +
    "as they are; a second one stops it at once. Closing its terminal does not: it goes on without one, as SIGHUP has it " +
    "read its configuration again. Creates a commented starter configuration when there is none.",
  examples: [
    { command: "mountaineer monitor", does: "run with the configuration in ~/.mountaineer" },
    { command: "mountaineer monitor --interval 0.5", does: "look twice a second, whatever the file says" },
    { command: "mountaineer monitor --unmount-on-exit", does: "leave nothing mounted behind" },
  ],
  exits: {},
  addOptions(command) {
    command
      .option(
        "--interval <seconds>",
        "how often to look; beats check_interval_secs until restart",
        parseInterval,
      )
      .option("--unmount-on-exit", "unmount the shares when stopping; waits up to 10 s for unsent writes");
  },
  run(context, options) {
    const { interval } = options;
    return runMonitorCommand(context, {
      intervalMs: typeof interval === "number" ? interval : null,
      unmountOnExit: readFlag(options, "unmountOnExit"),
    });
  },
};

/** Seconds to milliseconds. */
function parseInterval(text: string): number {
  const ms = intervalMs(text);
  if (ms === null) throw new InvalidArgumentError(`It is ${INTERVAL_RULE}.`);
  return ms;
}
