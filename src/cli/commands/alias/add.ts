// The command `mountaineer alias add`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag, readText } from "../../input/options.ts";
import { FAILED_EXIT } from "../../views/results-view.ts";

export const aliasAddCommand: CommandDefinition = {
  name: "alias add",
  summary: "make a link to a folder inside a share",
  description:
    "Saves it in the configuration and returns when the link is there. The link leads there whatever route is in " +
    "use, also while the share is not mounted; that the folder is there is not looked at. What stands at its path " +
    "already is left as it is.",
  examples: [
    {
      command: "mountaineer alias add --name projects --share CORE --target-subpath Projects/2026",
      does: "a link in ~/Shares/Links",
    },
    {
      command:
        "mountaineer alias add --name film --share CORE --target-subpath Film --alias-path ~/Desktop/film",
      does: "one somewhere else",
    },
  ],
  exits: {
    0: "the link is there",
    1: "it is saved, and its link cannot be made",
    2: "the share is not known, or another alias has the name",
  },
  addOptions(command) {
    command
      .requiredOption("--name <name>", "what it is called here, and its link unless --alias-path says")
      .requiredOption("--share <name>", "the share that holds the folder")
      .requiredOption("--target-subpath <folder>", "the folder, from the top of the share")
      .option("--alias-path <path>", "where to make the link; default: Links in shares_root");
    addJsonOption(command);
  },
  async run(context, options) {
    const { addAlias } = await import("../../edits/alias-change.ts");
    const { renderAliases } = await import("../../views/place-view.ts");
    const added = await addAlias(context, {
      name: readText(options, "name") ?? "",
      share: readText(options, "share") ?? "",
      targetSubpath: readText(options, "targetSubpath") ?? "",
      path: readText(options, "aliasPath"),
    });
    const { alias } = added;
    if (readFlag(options, "json")) context.print(`${JSON.stringify(added, null, 2)}\n`);
    else if (alias !== null) context.print(renderAliases([alias], context.stdoutStyle));
    return alias?.link === "right" ? 0 : FAILED_EXIT;
  },
};
