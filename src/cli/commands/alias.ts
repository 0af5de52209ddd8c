// The commands `mountaineer alias ...`.

import { printable } from "../../runtime/text/plain-text.ts";
import { command, type GroupedCommands } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { show } from "../sessions/control-session.ts";
import { renderAliases } from "../views/place-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

export const aliasListCommand = command("alias list", {
  takesUrl: true,
  summary: "show every alias, where its link is and where it leads",
  description: "Checks only the links, never their targets; changes nothing.",
  examples: {
    "mountaineer alias list": "see which links there are",
    [`mountaineer alias list --json | jq -r '.aliases[] | select(.link != "right") | .name'`]:
      "list those whose link is wrong",
  },
  exits: { 0: "the list is shown, whatever the links' state" },
  async run(context) {
    const report = await show(context, "aliases", null);
    showResult(context, report, () => renderAliases(report.aliases, context.stdoutStyle));
    if (report.aliases.length === 0)
      context.notify("no alias is configured; mountaineer alias add makes one");
  },
});

const aliasAddCommand = command("alias add", {
  takesUrl: true,
  summary: "make a link to a folder inside a share",
  description: "The folder need not exist. Anything that is already at the link's path stays.",
  examples: {
    "mountaineer alias add --name projects --share CORE --target-subpath Projects/2026":
      "a link in ~/Shares/Links",
    "mountaineer alias add --name film --share CORE --target-subpath Film --alias-path ~/Desktop/film":
      "one somewhere else",
  },
  exits: {
    0: "the link exists",
    1: "it is saved, but its link cannot be made",
    2: "the share is unknown, or another alias has the name",
  },
  takes: {
    "--name <name>": {
      about: "the alias's name, and its link's",
      isRequired: true,
    },
    "--share <name>": { about: "the share that holds the folder", isRequired: true, completes: "shares" },
    "--target-subpath <folder>": {
      about: "the folder, from the top of the share",
      isRequired: true,
    },
    "--alias-path <path>": "where to make the link; default: Links in shares_root",
  },
  async run(context, given) {
    const { addAlias } = await import("../edits/alias-change.ts");
    const added = await addAlias(context, { ...given, path: given.aliasPath });
    const { alias } = added;
    showResult(context, added, () => (alias === null ? "" : renderAliases([alias], context.stdoutStyle)));
    return alias?.link === "right" ? 0 : FAILED_EXIT;
  },
});

const aliasRemoveCommand = command("alias remove", {
  takesUrl: true,
  summary: "remove an alias and its link",
  description: "The folder, and what Mountaineer did not make, stay.",
  examples: { "mountaineer alias remove --name projects": "remove the link, keep the folder" },
  exits: {
    0: "it is removed",
    1: "it is removed from the file, which could not be applied",
    2: "there is no such alias",
  },
  takes: {
    "--name <name>": { about: "the alias", isRequired: true, completes: "aliases" },
  },
  async run(context, given) {
    const { removeAlias } = await import("../edits/alias-change.ts");
    const removed = await removeAlias(context, given.name);
    if (removed === null) return FAILED_EXIT;
    const { name, path, kept } = removed;
    showResult(context, removed, (paint) => [
      doneLine(paint, `${printable(name)} is removed`),
      ...(kept ? [paint.dim(`  Mountaineer did not make what is at ${printable(path)}, so that stays`)] : []),
    ]);
    return 0;
  },
});

export const ALIAS_COMMANDS: GroupedCommands = {
  group: {
    name: "alias",
    summary: "manage links to folders in shares",
    description: "An alias is a path that always leads to a folder of a share.",
    examples: {
      "mountaineer alias list": "see which links there are",
      "mountaineer alias add --name projects --share CORE --target-subpath Projects/2026": "make one",
    },
  },
  commands: [aliasListCommand, aliasAddCommand, aliasRemoveCommand],
};
