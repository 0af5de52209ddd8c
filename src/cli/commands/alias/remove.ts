// The command `mountaineer alias remove`.
import { harmless } from "../../../runtime/text/plain-text.ts";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag, readText } from "../../input/options.ts";
import { FAILED_EXIT } from "../../views/results-view.ts";
import { paintFor } from "../../views/terminal-style.ts";

export const aliasRemoveCommand: CommandDefinition = {
  name: "alias remove",
  summary: "remove an alias and its link",
  description:
    "The folder that it leads to, and all in it, stay. What stands at its path and is no link that Mountaineer made " +
    "is left as it is.",
  examples: [
    { command: "mountaineer alias remove --name projects", does: "the link goes, the folder stays" },
  ],
  exits: { 0: "it is gone", 1: "it is gone from the file, which does not run", 2: "there is no such alias" },
  addOptions(command) {
    command.requiredOption("--name <name>", "the alias");
    addJsonOption(command);
  },
  async run(context, options) {
    const { removeAlias } = await import("../../edits/alias-change.ts");
    const removed = await removeAlias(context, readText(options, "name") ?? "");
    if (removed === null) return FAILED_EXIT;
    const { name, path, kept } = removed;
    if (readFlag(options, "json")) {
      context.print(`${JSON.stringify(removed, null, 2)}\n`);
      return 0;
    }
    const paint = paintFor(context.stdoutStyle);
    context.print(`${paint.green(paint.symbols.good)} ${harmless(name)} is removed\n`);
    if (kept) context.print(paint.dim(`  what stands at ${harmless(path)} is not ours, and stays\n`));
    return 0;
  },
};
