// The command `mountaineer unsent`.
import type { UnsentReport, UnsentServer } from "../../api/contract.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { counted } from "../../runtime/text/plain-text.ts";
import { command } from "../input/command.ts";
import { JSON_OPTION, showResult } from "../input/options.ts";

export const unsentCommand = command({
  name: "unsent",
  summary: "show files that are not on their server yet, and decide about them",
  description:
    "What a program wrote belongs to the server that it was written for: it waits on this machine until that is back. " +
    "For a server that never comes back, or cannot be proved, you decide.",
  examples: {
    "mountaineer unsent": "how many, how old, and for which server",
    "mountaineer unsent --share CORE --send-here": "send them to the server that is mounted now",
    "mountaineer unsent --share CORE --set-aside": "move them to a folder of this machine",
  },
  exits: { 1: "it cannot be done now; nothing was changed" },
  takes: {
    "--share <name>": "the share; needed to decide",
    "--server <id>": "the server they were written for, where files wait for several",
    "--send-here": "send them to the server that is mounted now, over files of the same names",
    "--set-aside": "never send them: move them to the share's set-aside folder",
    ...JSON_OPTION,
  },
  async run(context, { share, server, sendHere, setAside }) {
    const { askEngine } = await import("../sessions/control-session.ts");
    const { leaveFolder } = await import("../sessions/step-command.ts");
    if (sendHere && setAside) throw new MountaineerError("usage", "--send-here or --set-aside, not both");
    const what = sendHere ? "send_here" : setAside ? "set_aside" : "show";
    if (what !== "show" && share === null) throw new MountaineerError("usage", "name the share: --share");
    leaveFolder();
    const request = { share, server, what } as const;
    const asked = { intent: what === "show" ? "look" : "change", command: "unsent" } as const;
    const report = await askEngine(context, asked, "unsent", request);
    showResult(context, report, () => renderUnsent(report));
    return 0;
  },
});

function renderUnsent({ servers }: UnsentReport): string {
  if (servers.length === 0) return "everything is on its server\n";
  return servers.map((server) => `${serverLines(server).join("\n")}\n`).join("\n");
}

const SHOWN_AT_MOST = 20;

function serverLines({
  share,
  server,
  source,
  in_use,
  proved,
  files,
  oldest,
  folder,
}: UnsentServer): string[] {
  const state = in_use
    ? "being sent"
    : proved
      ? "waits for its server"
      : "waits for your word: not proved whose";
  const more = files.length - SHOWN_AT_MOST;
  return [
    `${share}: ${counted(files.length, "file")} for ${source ?? "a server"} (${server}), ${state}`,
    ...(oldest === null ? [] : [`  the oldest was written at ${oldest}`]),
    ...files.slice(0, SHOWN_AT_MOST).map(({ path, bytes }) => `  ${path} (${bytes} bytes)`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    `  kept in ${folder}`,
  ];
}
