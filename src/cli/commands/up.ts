// The commands about the service: `up`, `down` and `uninstall`.

import { runMonitorCommand } from "../in-process/run-monitor.ts";
import { command, JSON_OPTION } from "../input/command.ts";
import { INTERVAL_RULE, intervalMs } from "../input/monitor-arguments.ts";

export const upCommand = command("up", {
  summary: "start the daemon now and at every login",
  description:
    "Writes and starts a unit of systemd's user manager (Linux) or an agent of launchd (macOS); run it again to update it. The service gets this shell's PATH, HTTP_PROXY, HTTPS_PROXY, NO_PROXY and NODE_EXTRA_CA_CERTS, but no proxy with a password. Without a service manager, it is a plain process with this shell's environment.",
  examples: {
    "mountaineer up": "start it, and see the status",
    "mountaineer up --print": "only print the service's file",
  },
  exits: {
    1: "the daemon could not be started, does not answer, or its gateway cannot listen",
    3: "the configuration has errors; nothing was started",
  },
  takes: {
    "--print": "only print the service's file, and start nothing",
  },
  async run(context, { print }) {
    const { bringUp, printService } = await import("../service/service-command.ts");
    if (print) return printService(context);
    return bringUp(context);
  },
});

export const downCommand = command("down", {
  summary: "stop the daemon, however it was started",
  description:
    "Shares stay mounted, and move only when their route is lost. A service starts again at the next login.",
  examples: { "mountaineer down": "stop it; mountaineer up starts it again" },
  exits: { 1: "the daemon could not be stopped" },
  run: async (context) => (await import("../service/service-command.ts")).takeDown(context),
});

export const uninstallCommand = command("uninstall", {
  summary: "stop the daemon and remove its service",
  description:
    "Mounts, configuration, secrets and log stay. --purge unmounts every share, restores clients' files, and removes all of Mountaineer. It removes nothing while a share is busy or a file is not on its NAS yet.",
  examples: {
    "mountaineer uninstall": "stop the daemon and remove its service",
    "mountaineer uninstall --purge": "keep only the files on the NAS",
  },
  exits: {
    1: "daemon or service could not be removed, or you said no",
    7: "with --purge: files are open or set aside; nothing was removed",
  },
  takes: {
    "--purge": "also unmount, and remove everything of Mountaineer from this machine",
    "-y, --yes": "with --purge: do not ask",
    "--json": { about: JSON_OPTION["--json"], conflicts: ["purge"] },
  },
  async run(context, { purge, yes }) {
    if (purge) {
      const { purgeAll } = await import("../service/purge.ts");
      return purgeAll(context, yes);
    }
    const { uninstallService } = await import("../service/service-command.ts");
    const code = await uninstallService(context);
    if (code === 0)
      context.notify(
        "the configuration, secrets and log stay: mountaineer uninstall --purge also removes them",
      );
    return code;
  },
});

// The command `mountaineer monitor`, which runs the daemon in the foreground.

export const monitorCommand = command("monitor", {
  refusesRoot: true,
  summary: "run the daemon in the foreground",
  description:
    "One per home. Ctrl-C or SIGTERM stops it and leaves the mounts; a second one stops it at once. Closing its terminal does not: SIGHUP reads the configuration again. Creates a starter configuration if there is none.",
  examples: {
    "mountaineer monitor": "run with the configuration in ~/.mountaineer",
    "mountaineer monitor --interval 0.5": "check twice a second, whatever the file says",
    "mountaineer monitor --unmount-on-exit": "leave nothing mounted",
  },
  isText: true,
  takes: {
    "--interval <seconds>": {
      about: "seconds between checks; overrides check_interval_secs until restart",
      read: intervalMs,
      expected: INTERVAL_RULE,
    },
    "--unmount-on-exit": "unmount the shares when stopping; waits up to 10 s",
  },
  run: (context, given) => runMonitorCommand(context, { ...given, intervalMs: given.interval }),
});
