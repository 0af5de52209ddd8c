// The command `mountaineer tools list`.
import type { ToolsReport } from "../../../api/contract.ts";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, showResult } from "../../input/options.ts";

const NOTHING: ToolsReport = { tools: [] };

export const toolsListCommand: CommandDefinition = {
  name: "tools list",
  summary: "list the tools that the gateway publishes",
  description:
    "As MCP clients see them, whatever the policies say, each with the backend that answers it. Asks the running " +
    "daemon; without one, starts the backends once and ends them again. A backend that publishes nothing because it " +
    "is not ready is named on stderr. What tools disable has switched off comes last.",
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
    const { listedOr, withGateway } = await import("../../sessions/gateway-session.ts");
    const { absentBackends } = await import("../../views/gateway-view.ts");
    const { signal } = context;
    const asking = withGateway(context, "tools list", ({ ask, backends }) =>
      Promise.all([ask("tools", null, signal), backends(signal)]),
    );
    const [report, backends] = (await listedOr(context, null, asking)) ?? [NOTHING, null];
    const { renderTools } = await import("../../views/tools-view.ts");
    const off = (report.off ?? []).map((tool) => ({ ...tool, description: "(switched off)" }));
    showResult(context, options, report, () => renderTools([...report.tools, ...off], context.stdoutStyle));
    if (backends !== null && report.tools.length === 0) context.note("no tool is published");
    for (const line of absentBackends(backends ?? [], Date.now())) context.note(line);
    return 0;
  },
};
