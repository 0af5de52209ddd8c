// The command `mountaineer monitor`, which runs the daemon in the foreground.
import { runMonitorCommand } from "../in-process/run-monitor.ts";
import { command } from "../input/command.ts";
import { INTERVAL_RULE, intervalMs } from "../input/monitor-arguments.ts";

export const monitorCommand = command({
  name: "monitor",
  summary: "keep the shares mounted over the best route, until stopped",
  description:
    "Runs the daemon in the foreground, one for each home. Ctrl-C or SIGTERM stop it in order and leave the mounts " +
    "as they are; a second one stops it at once. Closing its terminal does not: it goes on without one, as SIGHUP has it " +
    "read its configuration again. Creates a commented starter configuration when there is none.",
  examples: {
    "mountaineer monitor": "run with the configuration in ~/.mountaineer",
    "mountaineer monitor --interval 0.5": "look twice a second, whatever the file says",
    "mountaineer monitor --unmount-on-exit": "leave nothing mounted behind",
  },
  exits: {},
  takes: {
    "--interval <seconds>": {
      about: "how often to look; beats check_interval_secs until restart",
      read: intervalMs,
      expected: INTERVAL_RULE,
    },
    "--unmount-on-exit": "unmount the shares when stopping; waits up to 10 s for unsent writes",
  },
  run: (context, given) => runMonitorCommand(context, { ...given, intervalMs: given.interval }),
});
