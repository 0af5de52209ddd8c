// The command `mountaineer config diff`.
import type { CommandDefinition } from "../../input/command.ts";
import { addEntryArgument, readEntry } from "./entry-argument.ts";

export const configDiffCommand: CommandDefinition = {
  name: "config diff",
  summary: "show what changed in the configuration file since an accepted one",
  description:
    "From entry N of the history to the file as it is now, as a unified diff. Of entry 0 it shows what in the file " +
    "does not run.",
  examples: [
    { command: "mountaineer config diff", does: "see what the last change was" },
    { command: "mountaineer config diff 0", does: "see what in the file was not accepted" },
  ],
  exits: { 0: "it could be shown, whether anything differs or not", 2: "the history has no such entry" },
  addOptions(command) {
    addEntryArgument(command, "the entry");
  },
  async run(context, _options, args) {
    const { viewConfig } = await import("../../sessions/config-session.ts");
    const { diffText } = await import("../../../config/history/text-diff.ts");
    const { decodedText } = await import("../../sessions/config-text.ts");
    const { renderDiff } = await import("../../views/diff-view.ts");
    const n = readEntry(args);
    const diff = await viewConfig(context, async (view) => {
      const names = { before: `history ${n}`, after: view.path };
      return diffText(
        await view.ask("historyText", { n }, context.signal),
        decodedText(await view.read()),
        names,
      );
    });
    context.print(context.isTerminal ? renderDiff(diff, context.stdoutStyle) : diff);
    if (diff === "") context.note(`the file is what entry ${n} was`);
    return 0;
  },
};
