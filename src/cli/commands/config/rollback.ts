// The command `mountaineer config rollback`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";
import { EDIT_EXITS } from "./edit-exits.ts";
import { addEntryArgument, readEntry } from "./entry-argument.ts";

export const configRollbackCommand: CommandDefinition = {
  name: "config rollback",
  summary: "put an accepted configuration back, whole",
  description:
    "Writes entry N of the history into the file, and a running daemon applies it at once. The rollback is an entry " +
    "itself, so that it can be undone. 0 puts back what runs, over a file with mistakes or one that is gone. On a " +
    "terminal it shows the difference and asks; elsewhere, and with --yes, it does not.",
  examples: [
    { command: "mountaineer config rollback", does: "undo the last change" },
    { command: "mountaineer config rollback 0 --yes", does: "back to what runs, without a question" },
  ],
  exits: {
    ...EDIT_EXITS,
    1: "you said no, or the daemon could not apply it",
    2: "the history has no such entry",
  },
  addOptions(command) {
    addEntryArgument(command, "the entry");
    command.option("--yes", "do not ask");
    addJsonOption(command);
  },
  async run(context, options, args) {
    const { rollBack } = await import("../../edits/config-rollback.ts");
    const json = readFlag(options, "json");
    return rollBack(context, readEntry(args), { json, asks: !json && !readFlag(options, "yes") });
  },
};
