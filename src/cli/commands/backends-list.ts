// The command `mountaineer backends list`.

import { command } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { listedOr, withGateway } from "../sessions/gateway-session.ts";

export const backendsListCommand = command("backends list", {
  asksElsewhere: true,
  summary: "show every MCP server, what it publishes and what is wrong",
  description:
    "Changes nothing. Asks the running daemon; without one, starts the backends once, shows the result, and " +
    "stops them.",
  examples: {
    "mountaineer backends list": "see the backends' status",
    [`mountaineer backends list --json | jq -r '.backends[] | select(.phase != "Ready") | .name'`]:
      "list those that are not ready",
  },
  exits: { 0: "the list is shown, whatever the backends' state" },
  async run(context) {
    const asking = withGateway(context, (gateway) => gateway.backends(context.signal));
    const listed = await listedOr(context, null, asking);
    const backends = listed ?? [];
    const { renderBackends } = await import("../views/gateway-view.ts");
    showResult(context, { backends }, () =>
      renderBackends(backends, { ...context.stdoutStyle, now: Date.now() }),
    );
    if (listed?.length === 0)
      context.note("no backend is configured; the gateway listens with nothing to publish");
  },
});
