// The command `mountaineer tools list`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const toolsListCommand: CommandDefinition = {
  name: "tools list",
  summary: "list the tools that the gateway publishes",
  description:
    "As MCP clients see them, whatever the policies say, each with the backend that answers it. Asks the running " +
    "daemon; without one, starts the backends once and ends them again. A backend that publishes nothing because it " +
    "is not ready is named on stderr.",
  examples: [
    { command: "mountaineer tools list", does: "see what there is to call" },
    {
      command: "mountaineer tools list --json | jq '.tools[] | {name, input_schema}'",
      does: "see what each one takes",
    },
  ],
  exits: {},
  addOptions: addJsonOption,
  async run(context, options) {
    const { withGateway } = await import("../../sessions/gateway-session.ts");
    const { absentBackends } = await import("../../views/gateway-view.ts");
    const { signal } = context;
    const { report, backends } = await withGateway(context, "tools list", async (gateway) => ({
      report: await gateway.control.tools(signal),
      backends: await gateway.backends(signal),
    }));
    if (readFlag(options, "json")) {
      context.print(`${JSON.stringify(report, null, 2)}\n`);
    } else {
      const { renderTools } = await import("../../views/tools-view.ts");
      context.print(renderTools(report.tools, context.stdoutLook));
    }
    if (report.tools.length === 0) context.note("no tool is published");
    for (const line of absentBackends(backends, Date.now())) context.note(line);
    return 0;
  },
};
