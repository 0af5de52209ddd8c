// The command `mountaineer install`.
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, readFlag } from "../input/options.ts";

export const installCommand: CommandDefinition = {
  name: "install",
  summary: "run the daemon as a service, from login on",
  description:
    "Writes a unit for systemd's user manager (Linux) or an agent for launchd (macOS), and starts it; run again, it " +
    "changes what has changed. The service has this shell's PATH, and nothing else of its environment. Mounts outlive " +
    "its restarts. Nothing of the configuration is touched.",
  examples: [
    { command: "mountaineer install", does: "install the service and start it" },
    { command: "mountaineer install --print", does: "only see what would be written" },
  ],
  exits: { 1: "the service could not be written or started" },
  addOptions(command) {
    command.option("--print", "print the service's file, and do nothing else");
    addJsonOption(command);
  },
  async run(context, options) {
    const { installService, printService } = await import("../service/service-command.ts");
    if (readFlag(options, "print")) return printService(context);
    return installService(context, readFlag(options, "json"));
  },
};
