// The command `mountaineer fleet leave`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const fleetLeaveCommand: CommandDefinition = {
  name: "fleet leave",
  summary: "take this machine out of its fleet",
  description:
    "Takes [fleet] out of the configuration, and forgets this machine's key. The server still knows the key until " +
    "fleet remove is typed where the fleet began. On that machine itself the server goes too, with all that it kept.",
  examples: [
    { command: "mountaineer fleet leave", does: "leave" },
    { command: "mountaineer fleet leave --dissolve", does: "where the fleet began: end it for all" },
  ],
  exits: { 2: "the fleet's server is here, and others are in it" },
  addOptions(command) {
    command.option("--dissolve", "where the fleet began: end it although other machines are in it");
    addJsonOption(command);
  },
  async run(context, options) {
    const { leave } = await import("../../fleet/fleet-commands.ts");
    return leave(context, { dissolves: readFlag(options, "dissolve"), json: readFlag(options, "json") });
  },
};
