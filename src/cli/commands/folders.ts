// The command `mountaineer folders`.
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, readText, showResult } from "../input/options.ts";

export const foldersCommand: CommandDefinition = {
  name: "folders",
  summary: "list the folders of a share",
  description:
    "A name a line, of one folder of the share; what leads out of the share is neither entered nor listed. Has its " +
    "answer within seconds, also when the share hangs.",
  examples: [
    { command: "mountaineer folders --share CORE", does: "the folders at its top" },
    { command: "mountaineer folders --share CORE --subpath Projects", does: "those in one of them" },
  ],
  exits: { 1: "it is not mounted, does not answer, or has no such folder", 2: "there is no such share" },
  addOptions(command) {
    command
      .requiredOption("--share <name>", "the share")
      .option("--subpath <folder>", "the folder to list, from the top of the share");
    addJsonOption(command);
  },
  async run(context, options) {
    const { askEngine } = await import("../sessions/control-session.ts");
    const { renderFolders } = await import("../views/place-view.ts");
    const share = readText(options, "share") ?? "";
    const subpath = readText(options, "subpath") ?? "";
    const purpose = { intent: "look", command: "folders" } as const;
    const report = await askEngine(context, purpose, "folders", { share, subpath });
    showResult(context, options, report, () => renderFolders(report));
    if (report.truncated) context.note("there are more; only the first are listed");
    return 0;
  },
};
