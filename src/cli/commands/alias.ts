// The commands `mountaineer alias ...`.

import { harmless } from "../../runtime/text/plain-text.ts";
import { command, type GroupedCommands } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { askEngine } from "../sessions/control-session.ts";
import { renderAliases } from "../views/place-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

export const aliasListCommand = command("alias list", {
  summary: "show every alias, where its link is and where it leads",
  description: "Looks at the links alone, never at what they lead to; changes nothing.",
  examples: {
    "mountaineer alias list": "see which links there are",
    [`mountaineer alias list --json | jq -r '.aliases[] | select(.link != "right") | .name'`]:
      "name those whose link is not right",
  },
  exits: { 0: "it could answer, however the links are" },
  async run(context) {
    const report = await askEngine(context, "look", "aliases", null);
    showResult(context, report, () => renderAliases(report.aliases, context.stdoutStyle));
    if (report.aliases.length === 0) context.note("no alias is configured; mountaineer alias add makes one");
  },
});

const aliasAddCommand = command("alias add", {
  summary: "make a link to a folder inside a share",
  description:
    "Saves it in the configuration and returns when the link is there. The link leads there whatever route is in " +
    "use, also while the share is not mounted; that the folder is there is not looked at. What stands at its path " +
    "already is left as it is.",
  examples: {
    "mountaineer alias add --name projects --share CORE --target-subpath Projects/2026":
      "a link in ~/Shares/Links",
    "mountaineer alias add --name film --share CORE --target-subpath Film --alias-path ~/Desktop/film":
      "one somewhere else",
  },
  exits: {
    0: "the link is there",
    1: "it is saved, and its link cannot be made",
    2: "the share is not known, or another alias has the name",
  },
  takes: {
    "--name <name>": {
      about: "what it is called here, and its link unless --alias-path says",
      isRequired: true,
    },
    "--share <name>": { about: "the share that holds the folder", isRequired: true, completes: "shares" },
    "--target-subpath <folder>": {
      about: "the folder, from the top of the share",
      isRequired: true,
      completes: "folders",
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
  summary: "remove an alias and its link",
  description:
    "The folder that it leads to, and all in it, stay. What stands at its path and is no link that Mountaineer made " +
    "is left as it is.",
  examples: { "mountaineer alias remove --name projects": "the link goes, the folder stays" },
  exits: { 0: "it is gone", 1: "it is gone from the file, which does not run", 2: "there is no such alias" },
  takes: {
    "--name <name>": { about: "the alias", isRequired: true, completes: "aliases" },
  },
  async run(context, given) {
    const { removeAlias } = await import("../edits/alias-change.ts");
    const removed = await removeAlias(context, given.name);
    if (removed === null) return FAILED_EXIT;
    const { name, path, kept } = removed;
    showResult(context, removed, (paint) => [
      doneLine(paint, `${harmless(name)} is removed`),
      ...(kept ? [paint.dim(`  what stands at ${harmless(path)} is not ours, and stays`)] : []),
    ]);
    return 0;
  },
});

const aliasReconcileCommand = command("alias reconcile", {
  summary: "make, mend and remove links now",
  description:
    "What a running daemon does at every check: links of aliases are made and mended, those of aliases that are gone " +
    "are removed. What is not ours is never touched.",
  examples: { "mountaineer alias reconcile": "after a link was lost while no daemon ran" },
  exits: { 0: "every link is right", 1: "one cannot be made" },
  async run(context) {
    const { reconcileAliases } = await import("../edits/alias-change.ts");
    const aliases = await reconcileAliases(context);
    showResult(context, { aliases }, () => renderAliases(aliases, context.stdoutStyle));
    if (aliases.length === 0) context.note("no alias is configured; mountaineer alias add makes one");
    return aliases.every(({ link }) => link === "right") ? 0 : FAILED_EXIT;
  },
});

export const ALIAS_COMMANDS: GroupedCommands = {
  group: {
    name: "alias",
    summary: "links to folders inside shares",
    description:
      "An alias leads to a folder of a share by a path that never changes. A daemon mends its link at every check.",
    examples: {
      "mountaineer alias list": "see which links there are",
      "mountaineer alias add --name projects --share CORE --target-subpath Projects/2026": "make one",
    },
  },
  commands: [aliasListCommand, aliasAddCommand, aliasRemoveCommand, aliasReconcileCommand],
};
