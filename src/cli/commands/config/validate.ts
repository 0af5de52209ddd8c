// The command `mountaineer config validate`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const configValidateCommand: CommandDefinition = {
  name: "config validate",
  summary: "check a configuration file, and list every mistake in it",
  description:
    "Checks FILE, else the file in use. Nothing is applied and nothing is asked of the daemon but its place.",
  examples: [
    { command: "mountaineer config validate", does: "check the file in use" },
    { command: "mountaineer config validate draft.toml", does: "check another one before it is used" },
  ],
  exits: { 0: "it is a valid configuration", 3: "it has mistakes; every one is listed with its place" },
  addOptions(command) {
    command.argument("[file]", "TOML or YAML by its extension");
    addJsonOption(command);
  },
  async run(context, options, [file]) {
    const { checkConfig } = await import("../../edits/config-check.ts");
    return checkConfig(context, file ?? null, readFlag(options, "json"));
  },
};
