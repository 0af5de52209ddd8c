// The command `mountaineer clients`.
import { command } from "../input/command.ts";
import { JSON_OPTION, showResult } from "../input/options.ts";

export const clientsCommand = command({
  name: "clients",
  summary: "list the MCP clients that are connected",
  description:
    "What each calls itself, who it came in as, the version of MCP that it speaks and over what, since when, how many " +
    "tools, prompts and resources it asked for, and its last error. A client of 2026-07-28 has no session: it is listed " +
    "while it listens, and for five minutes after each request.",
  examples: {
    "mountaineer clients": "see who is connected",
    "mountaineer clients --json | jq -r '.clients[] | select(.last_error != null) | .name'":
      "name those of which a call failed",
  },
  exits: { 8: "no daemon runs" },
  takes: JSON_OPTION,
  async run(context) {
    const { askDaemon } = await import("../sessions/control-session.ts");
    const { RUNNING_BACKENDS } = await import("../sessions/gateway-session.ts");
    const { renderTable } = await import("../views/table-view.ts");
    const { CLIENT_TITLES, clientWords } = await import("../../api/words/client-words.ts");
    const report = await askDaemon(context, RUNNING_BACKENDS, "clients", null);
    const rows = report.clients.map((client) => clientWords(client, Date.now()));
    showResult(context, report, () =>
      rows.length === 0 ? "" : renderTable(CLIENT_TITLES, rows, context.stdoutStyle),
    );
    if (rows.length === 0) context.note("no client is connected");
    return 0;
  },
});
