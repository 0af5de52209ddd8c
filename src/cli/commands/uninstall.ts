// The command `mountaineer uninstall`.
import { command } from "../input/command.ts";
import { JSON_OPTION } from "../input/options.ts";

export const uninstallCommand = command({
  name: "uninstall",
  summary: "stop the daemon and remove its service",
  description:
    "A daemon that runs without a service is stopped as well. What is mounted stays mounted, and the configuration, the " +
    "secrets and the log stay as they are.",
  examples: { "mountaineer uninstall": "stop the daemon and remove its service" },
  exits: { 1: "the daemon could not be stopped, or its service not removed" },
  takes: JSON_OPTION,
  async run(context) {
    const { uninstallService } = await import("../service/service-command.ts");
    return uninstallService(context);
  },
});
