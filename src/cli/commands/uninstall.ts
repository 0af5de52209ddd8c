// The command `mountaineer uninstall`.
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, readFlag } from "../input/options.ts";

export const uninstallCommand: CommandDefinition = {
  name: "uninstall",
  summary: "stop and remove the service",
  description:
    "What is mounted stays mounted, and the configuration, the secrets and the log stay as they are. Without a service " +
    "it changes nothing.",
  examples: [{ command: "mountaineer uninstall", does: "stop the daemon and remove its service" }],
  exits: { 1: "the service could not be stopped or removed" },
  addOptions(command) {
    addJsonOption(command);
  },
  async run(context, options) {
    const { uninstallService } = await import("../service/service-command.ts");
    return uninstallService(context, readFlag(options, "json"));
  },
};
