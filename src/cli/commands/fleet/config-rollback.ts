// The command `mountaineer fleet config rollback`.
import { InvalidArgumentError } from "commander";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const fleetConfigRollbackCommand: CommandDefinition = {
  name: "fleet config rollback",
  summary: "make an earlier revision what all machines have in common",
  description:
    "Signs its text anew, as the next revision: machines take nothing older than what they have accepted. All else is as " +
    "with fleet config set.",
  examples: [{ command: "mountaineer fleet config rollback 7", does: "back to what revision 7 was" }],
  exits: {
    1: "the operator's key is not here, or the fleet is not reached",
    2: "the fleet keeps no such revision",
    8: "no daemon runs",
    9: "somebody else was first; nothing was written",
  },
  addOptions(command) {
    command.argument("<revision>", "a number of `mountaineer fleet config history`", (text) => {
      if (!/^\d{1,9}$/.test(text))
        throw new InvalidArgumentError("It is a number of `mountaineer fleet config history`.");
      return text;
    });
    addJsonOption(command);
  },
  async run(context, options, [revision = ""]) {
    const { rollBackLayer } = await import("../../fleet/layer-commands.ts");
    return rollBackLayer(context, { revision: Number(revision), json: readFlag(options, "json") });
  },
};
