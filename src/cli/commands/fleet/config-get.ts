// The command `mountaineer fleet config get`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const fleetConfigGetCommand: CommandDefinition = {
  name: "fleet config get",
  summary: "print the configuration that all machines of the fleet have in common",
  description:
    "As it stands in the fleet, if the operator's key has signed it. It lies under each machine's own file: what that " +
    "says wins. --json has the revision, who signed it when, and whose word counts here.",
  examples: [
    { command: "mountaineer fleet config get", does: "see it" },
    { command: "mountaineer fleet config get > fleet.toml", does: "have it in a file, to change it" },
  ],
  exits: {
    1: "no fleet is configured, it is not reached, or what stands there is not signed",
    8: "no daemon runs",
  },
  addOptions: addJsonOption,
  async run(context, options) {
    const { getLayer } = await import("../../fleet/layer-commands.ts");
    return getLayer(context, { json: readFlag(options, "json") });
  },
};
