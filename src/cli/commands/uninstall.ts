// The command `mountaineer uninstall`.
import { command } from "../input/command.ts";
import { JSON_OPTION } from "../input/options.ts";

export const uninstallCommand = command({
  name: "uninstall",
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
    return uninstallService(context);
  },
});
