// The command `mountaineer folders`.
import { command } from "../input/command.ts";
import { JSON_OPTION, showResult } from "../input/options.ts";

export const foldersCommand = command({
  name: "folders",
  summary: "list the folders of a share",
  description:
    "A name a line, of one folder of the share; what leads out of the share is neither entered nor listed. Has its " +
    "answer within seconds, also when the share hangs.",
  examples: {
    "mountaineer folders --share CORE": "the folders at its top",
    "mountaineer folders --share CORE --subpath Projects": "those in one of them",
  },
  exits: { 1: "it is not mounted, does not answer, or has no such folder", 2: "there is no such share" },
  takes: {
    "--share <name>": { about: "the share", isRequired: true },
    "--subpath <folder>": "the folder to list, from the top of the share",
    ...JSON_OPTION,
  },
  async run(context, { share, subpath }) {
    const { askEngine } = await import("../sessions/control-session.ts");
    const { renderFolders } = await import("../views/place-view.ts");
    const purpose = { intent: "look", command: "folders" } as const;
    const report = await askEngine(context, purpose, "folders", { share, subpath: subpath ?? "" });
    showResult(context, report, () => renderFolders(report));
    if (report.truncated) context.note("there are more; only the first are listed");
    return 0;
  },
});
