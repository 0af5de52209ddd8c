// The command `mountaineer status`.

import { packageVersion } from "../../api/version.ts";
import { command } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { askEngine } from "../sessions/control-session.ts";

export const statusCommand = command("status", {
  summary: "show every share and backend, and what is wrong",
  description:
    "Changes nothing. Asks the running daemon; without one, it checks by itself. Shows shares and gateway if " +
    "they are configured.",
  examples: {
    "mountaineer status": "see how things are",
    [`mountaineer status --json | jq -r '.shares[] | select(.mount_alive | not) | .name'`]:
      "list the shares that are not usable",
  },
  exits: { 0: "the status is shown, good or bad" },
  async run(context) {
    const report = await askEngine(context, "look", "status", null);
    const { renderStatus } = await import("../views/status-view.ts");
    showResult(context, report, () => renderStatus(report, { ...context.stdoutStyle, now: Date.now() }));
    const { pid, version } = report.global;
    const own = packageVersion();
    if (pid !== null && version !== own) {
      context.note(`version ${own} is installed by now; to run it without an outage: mountaineer restart`);
    }
  },
});
