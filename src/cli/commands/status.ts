// The command `mountaineer status`.

import { packageVersion } from "../../runtime/version.ts";
import { command } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { show } from "../sessions/control-session.ts";

export const statusCommand = command("status", {
  summary: "show every share and server, and what is wrong",
  description:
    "Without a daemon it checks directly. --follow prints each change once, in a sentence that a screen reader can follow, until Ctrl-C.",
  examples: {
    "mountaineer status": "see how things are",
    "mountaineer status --follow": "print each change as it happens",
    [`mountaineer status --json | jq -r '.shares[] | select(.mount_alive | not) | .name'`]:
      "list the shares that are not usable",
  },
  exits: { 0: "the status is shown, good or bad" },
  takesUrl: true,
  takes: {
    "-f, --follow": { about: "keep running, and print each change", conflicts: ["json"] },
  },
  async run(context, { follow }) {
    if (follow) {
      const { followStatus } = await import("../sessions/follow-status.ts");
      await followStatus(context);
      return;
    }
    const report = await show(context, "status", null);
    const { renderStatus } = await import("../../api/views/status-view.ts");
    showResult(context, report, () => renderStatus(report, { ...context.stdoutStyle, now: Date.now() }));
    const { pid, version } = report.global;
    const own = packageVersion();
    if (pid !== null && version !== own && context.remote === null) {
      context.notify(`version ${own} is installed by now; to run it without an outage: mountaineer restart`);
    }
  },
});
