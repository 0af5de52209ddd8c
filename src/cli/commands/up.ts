// The commands about the service: `up`, `down` and `uninstall`.

import { resolve } from "node:path";
import { harmless } from "../../runtime/text/plain-text.ts";
import { runMonitorCommand } from "../in-process/run-monitor.ts";
import { command, JSON_OPTION } from "../input/command.ts";
import { INTERVAL_RULE, intervalMs } from "../input/monitor-arguments.ts";
import { showResult } from "../input/options.ts";
import { findDaemon } from "../sessions/control-session.ts";

export const upCommand = command("up", {
  summary: "run the daemon in the background, from now on",
  description:
    "As a service from login on, where there is a service manager: writes a unit for systemd's user manager (Linux) or an agent " +
    "for launchd (macOS), and starts it; run again, it changes what has changed. The service has this shell's PATH, and nothing " +
    "else of its environment. Elsewhere, as in a container, as a process of its own, with this shell's environment. Ends when it " +
    "answers, with how things are and what to do next. Nothing of the configuration is touched.",
  examples: {
    "mountaineer up": "start it, and see what is there",
    "mountaineer up --print": "only see what the service's file would be",
  },
  exits: { 1: "it could not be started, or does not answer" },
  takes: {
    "--print": "print the service's file, and do nothing else",
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
    "What is mounted stays mounted, and is there as long as its server is: nothing moves to another route meanwhile. A service " +
    "stays, and starts again at the next login. Without a daemon it changes nothing.",
  examples: { "mountaineer down": "stop it; mountaineer up starts it again" },
  exits: { 1: "it could not be stopped" },
  run: async (context) => (await import("../service/service-command.ts")).takeDown(context),
});

export const uninstallCommand = command("uninstall", {
  summary: "stop the daemon and remove its service",
  description:
    "A daemon that runs without a service is stopped as well. What is mounted stays mounted, and the configuration, the " +
    "secrets and the log stay as they are. With --purge every share is unmounted first, clients get their files back as " +
    "`connect --undo` does it, and the configuration, secrets, links, log and home go. It refuses, and removes nothing, " +
    "while a share is busy or a file is not on its NAS.",
  examples: {
    "mountaineer uninstall": "stop the daemon and remove its service",
    "mountaineer uninstall --purge": "leave nothing but the files on the NAS",
  },
  exits: {
    1: "the daemon could not be stopped, or its service not removed, or nobody agreed",
    7: "with --purge: files are open, unsent or set aside; nothing was removed",
  },
  takes: {
    "--purge": "also unmount, and remove all that Mountaineer has put on this machine",
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
      context.note(
        "the configuration, secrets and log stay: mountaineer uninstall --purge removes them, too",
      );
    return code;
  },
});

// The command `mountaineer monitor`, which runs the daemon in the foreground.

export const monitorCommand = command("monitor", {
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
  isText: true,
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

// The command `mountaineer upgrade`.

export const upgradeCommand = command("upgrade", {
  summary: "put a newer version in this one's place, without an outage",
  description:
    "Takes the single file of a release, with its signature beside it (FILE.sig). Both versions lie side by side; the daemon " +
    "hands over to the new one as `mountaineer restart` does, and no session ends. Nothing is fetched. What dpkg, rpm, " +
    "Homebrew or npm installed is theirs to upgrade: the command says how.",
  examples: {
    "mountaineer upgrade ./mountaineer-0.2.0-linux-x64.run": "from now on this version",
    "mountaineer upgrade --older ./mountaineer-0.1.0-linux-x64.run": "back to the one before",
  },
  exits: { 1: "it was refused, or the daemon did not hand over; the version that ran goes on" },
  takes: {
    "<file>": "the release's single file",
    "--older": "also a version from before this one",
  },
  async run(context, { file, older }) {
    const { upgrade } = await import("../upgrade/upgrade.ts");
    const { handOver } = await import("./restart.ts");
    let served = false;
    const done = await upgrade(context, {
      file: resolve(file),
      older,
      async handOver() {
        if ((await findDaemon(context)) === null) return;
        await handOver(context);
        served = true;
      },
    });
    showResult(
      context,
      { ...done, served },
      () =>
        `version ${harmless(done.to)} is current, before it ${harmless(done.from)}${served ? "; the daemon has handed over to it" : ""}\n`,
    );
  },
});
