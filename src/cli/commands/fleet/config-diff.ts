// The command `mountaineer fleet config diff`.
import type { CommandDefinition } from "../../input/command.ts";

export const fleetConfigDiffCommand: CommandDefinition = {
  name: "fleet config diff",
  summary: "show what a file would change of the configuration that all machines have in common",
  description: "From what stands in the fleet to the file, as a unified diff.",
  examples: [{ command: "mountaineer fleet config diff fleet.toml", does: "look before `set`" }],
  exits: {
    0: "it could be shown, whether anything differs or not",
    1: "no fleet is configured, or it is not reached",
    8: "no daemon runs",
  },
  addOptions(command) {
    command.argument("<file>", "TOML; - reads it from standard input");
  },
  async run(context, _options, [file = ""]) {
    const { diffLayer } = await import("../../fleet/layer-commands.ts");
    return diffLayer(context, file);
  },
};
