// The command `mountaineer config edit`.
import type { CommandDefinition } from "../../input/command.ts";
import { EDIT_EXITS } from "./edit-exits.ts";

export const configEditCommand: CommandDefinition = {
  name: "config edit",
  summary: "edit the configuration file in your editor, checked before it lands",
  description:
    "Opens a private copy in $VISUAL, else $EDITOR, else vi; one with a window needs the option that makes it wait " +
    '(VISUAL="code --wait"). When the editor ends, the copy is checked: with mistakes it is not taken over, and on a ' +
    "terminal you may go on editing it; else it is left, and its path told. A file that somebody else changed " +
    "meanwhile is not overwritten.",
  examples: [
    { command: "mountaineer config edit", does: "edit the file" },
    { command: "EDITOR=nano mountaineer config edit", does: "in another editor" },
  ],
  exits: {
    ...EDIT_EXITS,
    1: "the editor failed, or the daemon could not apply the file",
    2: "the command line is not understood",
  },
  addOptions() {},
  async run(context) {
    const { editConfigFile } = await import("../../edits/config-edit.ts");
    return editConfigFile(context);
  },
};
