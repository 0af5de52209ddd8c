// The command `mountaineer backends list`.

import { command } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { show } from "../sessions/control-session.ts";
import { notifyNoGateway } from "../sessions/gateway-session.ts";

export const backendsListCommand = command("backends list", {
  takesUrl: true,
  summary: "show every MCP server, what it publishes and what is wrong",
  description: "Without a daemon it shows those of the file, and starts none.",
  examples: {
    "mountaineer backends list": "see their status",
    [`mountaineer backends list --json | jq -r '.backends[] | select(.phase != "Ready") | .name'`]:
      "list those that are not ready",
  },
  exits: { 0: "the list is shown, whatever the servers' state" },
  async run(context) {
    const { global, gateway, backends = [] } = await show(context, "status", null);
    const { renderBackends } = await import("../../api/views/gateway-view.ts");
    showResult(context, { backends }, () =>
      renderBackends(backends, { ...context.stdoutStyle, now: Date.now() }, global.pid !== null),
    );
    if (gateway === undefined) notifyNoGateway(context);
    else if (global.pid === null)
      context.notify("the daemon is not running, so no MCP server is either; mountaineer up starts it");
    else if (backends.length === 0)
      context.notify("no server is configured; the gateway listens with nothing to publish");
  },
});
