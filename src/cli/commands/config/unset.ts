// The command `mountaineer config unset`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";
import { EDIT_EXITS } from "./edit-exits.ts";
import { addKeyArgument } from "./key-argument.ts";

export const configUnsetCommand: CommandDefinition = {
  name: "config unset",
  summary: "remove one key from the configuration file, so that its default applies",
  description: "As `config set`; what is not in the file is no mistake.",
  examples: [
    { command: "mountaineer config unset global.check_interval_secs", does: "back to the default" },
    { command: "mountaineer config unset shares.CORE.fallback_interface", does: "of one share" },
  ],
  exits: EDIT_EXITS,
  addOptions(command) {
    addKeyArgument(command);
    addJsonOption(command);
  },
  async run(context, options, [key = ""]) {
    const { setKey } = await import("../../edits/config-key-change.ts");
    return setKey(context, { key, value: null }, readFlag(options, "json"));
  },
};
