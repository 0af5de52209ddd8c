// The command `mountaineer alias reconcile`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, showResult } from "../../input/options.ts";
import { FAILED_EXIT } from "../../views/results-view.ts";

export const aliasReconcileCommand: CommandDefinition = {
  name: "alias reconcile",
  summary: "make, mend and remove links now",
  description:
    "What a running daemon does at every check: links of aliases are made and mended, those of aliases that are gone " +
    "are removed. What is not ours is never touched.",
  examples: [{ command: "mountaineer alias reconcile", does: "after a link was lost while no daemon ran" }],
  exits: { 0: "every link is right", 1: "one cannot be made" },
  addOptions: addJsonOption,
  async run(context, options) {
    const { reconcileAliases } = await import("../../edits/alias-change.ts");
    const { renderAliases } = await import("../../views/place-view.ts");
    const aliases = await reconcileAliases(context, "alias reconcile");
    showResult(context, options, { aliases }, () => renderAliases(aliases, context.stdoutStyle));
    if (aliases.length === 0) context.note("no alias is configured; mountaineer alias add makes one");
    return aliases.every(({ link }) => link === "right") ? 0 : FAILED_EXIT;
  },
};
