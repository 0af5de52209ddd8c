// The command `mountaineer backends list`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const backendsListCommand: CommandDefinition = {
  name: "backends list",
  summary: "show every MCP server, what it publishes and what is wrong",
  description:
    "Changes nothing. Asks the running daemon; without one, starts the backends once, tells how that went, and ends " +
    "them again.",
  examples: [
    { command: "mountaineer backends list", does: "see how the backends are" },
    {
      command: `mountaineer backends list --json | jq -r '.backends[] | select(.phase != "Ready") | .name'`,
      does: "name those that are not ready",
    },
  ],
  exits: { 0: "it could answer, however the backends are" },
  addOptions: addJsonOption,
  async run(context, options) {
    const { withGateway } = await import("../../sessions/gateway-session.ts");
    const backends = await withGateway(context, "backends list", (gateway) =>
      gateway.backends(context.signal),
    );
    if (readFlag(options, "json")) {
      context.print(`${JSON.stringify({ backends }, null, 2)}\n`);
    } else {
      const { renderBackends } = await import("../../views/gateway-view.ts");
      context.print(renderBackends(backends, { ...context.stdoutLook, now: Date.now() }));
    }
    if (backends.length === 0)
      context.note("no backend is configured; the gateway listens with nothing to publish");
    return 0;
  },
};
