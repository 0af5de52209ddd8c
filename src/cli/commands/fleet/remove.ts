// The command `mountaineer fleet remove`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const fleetRemoveCommand: CommandDefinition = {
  name: "fleet remove",
  summary: "take another machine out of the fleet",
  description:
    "On the machine where the fleet began. The machine's connection ends at once, and its key opens nothing any more. " +
    "It may join again with a new code.",
  examples: [{ command: "mountaineer fleet remove laptop", does: "take it out" }],
  exits: { 1: "the server did not take it", 2: "the fleet has no machine of that name" },
  addOptions(command) {
    command.argument("<name>", "as fleet status shows it");
    addJsonOption(command);
  },
  async run(context, options, [machine = ""]) {
    const { remove } = await import("../../fleet/fleet-commands.ts");
    return remove(context, { machine, json: readFlag(options, "json") });
  },
};
