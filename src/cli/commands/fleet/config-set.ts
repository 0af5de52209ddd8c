// The command `mountaineer fleet config set`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const fleetConfigSetCommand: CommandDefinition = {
  name: "fleet config set",
  summary: "make a file the configuration that all machines have in common",
  description:
    "Checks the TOML by itself and under this machine's own file, signs it with the operator's key as the next revision, " +
    "and puts it into the fleet unless somebody else was first. Each machine checks the signature, applies it like an " +
    "edit of its file, or refuses it whole; programs that it would start wait for `mountaineer approve` there. It holds " +
    "no [server], [fleet], [trust], `pin`, hosts of shares, paths that Mountaineer writes to, or secrets. Then it says which machines run it.",
  examples: [
    { command: "mountaineer fleet config set fleet.toml", does: "for all machines" },
    { command: "mountaineer fleet config set - < fleet.toml", does: "from standard input" },
  ],
  exits: {
    1: "the operator's key is not here, or the fleet is not reached",
    3: "the file has mistakes; nothing was signed",
    8: "no daemon runs",
    9: "somebody else was first; nothing was written",
  },
  addOptions(command) {
    command.argument("<file>", "TOML; - reads it from standard input");
    addJsonOption(command);
  },
  async run(context, options, [file = ""]) {
    const { setLayer } = await import("../../fleet/layer-commands.ts");
    return setLayer(context, { file, json: readFlag(options, "json") });
  },
};
