// The command `mountaineer fleet config history`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const fleetConfigHistoryCommand: CommandDefinition = {
  name: "fleet config history",
  summary: "list the revisions of what all machines have in common, newest first",
  description: "The newest 64 are kept in the fleet, each with the machine where it was signed.",
  examples: [
    { command: "mountaineer fleet config history", does: "see what was set when" },
    { command: "mountaineer fleet config history --json | jq '.[0].revision'", does: "use it in a script" },
  ],
  exits: { 1: "no fleet is configured, or it is not reached", 8: "no daemon runs" },
  addOptions: addJsonOption,
  async run(context, options) {
    const { layerHistory } = await import("../../fleet/layer-commands.ts");
    return layerHistory(context, { json: readFlag(options, "json") });
  },
};
