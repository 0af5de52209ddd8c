// The command `mountaineer uninstall`.
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, readFlag } from "../input/options.ts";

export const uninstallCommand: CommandDefinition = {
  name: "uninstall",
  summary: "stop the daemon and remove its service",
  description:
    "A daemon that runs without a service is stopped as well. What is mounted stays mounted, and the configuration, the " +
    "secrets and the log stay as they are.",
  examples: [{ command: "mountaineer uninstall", does: "stop the daemon and remove its service" }],
  exits: { 1: "the daemon could not be stopped, or its service not removed" },
  addOptions(command) {
    addJsonOption(command);
  },
  async run(context, options) {
    const { uninstallService } = await import("../service/service-command.ts");
    return uninstallService(context, readFlag(options, "json"));
  },
};
