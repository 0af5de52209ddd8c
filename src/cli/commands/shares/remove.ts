// The command `mountaineer shares remove`.

import { Option } from "commander";
import { harmless } from "../../../runtime/text/plain-text.ts";
import type { RemovedFavorite } from "../../edits/favorite-change.ts";
import type { CommandContext, CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag, readText } from "../../input/options.ts";
import { paintFor } from "../../views/terminal-style.ts";

export const sharesRemoveCommand: CommandDefinition = {
  name: "shares remove",
  summary: "remove a share from the configuration",
  description:
    "What is mounted stays mounted, with nobody to look after it; --cleanup unmounts it first and removes its link, " +
    "and changes nothing when files are open. Aliases that lead into it are named, and go only by --with-aliases. " +
    "Nothing on the server is touched.",
  examples: [
    { command: "mountaineer shares remove --share MEDIA --cleanup", does: "with its mount and its link" },
  ],
  exits: {
    0: "it is removed",
    1: "it could not be unmounted, and nothing else was changed; or the file that lacks it does not run",
    2: "there is no such share, or aliases lead into it",
    7: "files are open or unsent; nothing was changed",
  },
  addOptions(command) {
    command
      .requiredOption("--share <name>", "the share")
      .option("--cleanup", "unmount it, and remove its link in shares_root")
      .option("--with-aliases", "remove the aliases that lead into it, too")
      .addOption(
        new Option("--force", "with --cleanup: although files are open or unsent").implies({ cleanup: true }),
      );
    addJsonOption(command);
  },
  async run(context, options) {
    const { removeFavorite } = await import("../../edits/favorite-change.ts");
    const { exitCodeOf, FAILED_EXIT, renderResults } = await import("../../views/results-view.ts");
    const removed = await removeFavorite(context, {
      share: readText(options, "share") ?? "",
      withAliases: readFlag(options, "withAliases"),
      cleanup: readFlag(options, "cleanup"),
      force: readFlag(options, "force"),
    });
    const { unmount } = removed;
    if (readFlag(options, "json")) context.print(`${JSON.stringify(removed, null, 2)}\n`);
    else {
      if (unmount !== null) context.print(renderResults([unmount], context.stdoutStyle));
      if (removed.removed) tell(context, removed);
    }
    if (!removed.runs) return FAILED_EXIT;
    return removed.removed || unmount === null ? 0 : exitCodeOf([unmount], "unmount");
  },
};

function tell(context: CommandContext, { share, aliases, link }: RemovedFavorite): void {
  const paint = paintFor(context.stdoutStyle);
  const also = aliases.length === 0 ? "" : ` with its aliases ${aliases.map(harmless).join(", ")}`;
  context.print(`${paint.green(paint.symbols.good)} ${harmless(share)} is removed${also}\n`);
  if (link === "kept") context.note("what stands in its link's place is not ours, and stays");
}
