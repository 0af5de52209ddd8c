// The command `mountaineer tools diff`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const toolsDiffCommand: CommandDefinition = {
  name: "tools diff",
  summary: "show how tools differ from what was approved",
  description:
    "Old beside new, with characters that nobody sees spelled out. What a server says of a tool decides how models use " +
    "it: the gateway remembers all of it, and tells when they change. Asks the " +
    "running daemon; without one, starts the backends once and ends them again.",
  examples: [
    { command: "mountaineer tools diff", does: "see all that changed" },
    { command: "mountaineer tools diff read_file", does: "see what changed of one" },
    {
      command: "mountaineer tools diff files:read_file",
      does: "the same, where two backends have one of that name",
    },
  ],
  exits: { 0: "it could be shown, whether anything differs or not" },
  addOptions(command) {
    command.argument("[names...]", "tools, by the name that clients use or that the server gives");
    addJsonOption(command);
  },
  async run(context, options, names) {
    const { withGateway } = await import("../../sessions/gateway-session.ts");
    const tools = names.length === 0 ? null : [...names];
    const report = await withGateway(context, "tools diff", ({ control }) =>
      control.toolChanges({ tools }, context.signal),
    );
    if (readFlag(options, "json")) {
      context.print(`${JSON.stringify(report, null, 2)}\n`);
      return 0;
    }
    const { renderToolChanges } = await import("../../views/tool-changes-view.ts");
    context.print(renderToolChanges(report, context.stdoutStyle, tools === null));
    if (report.lost !== null) context.note(`what tools were like before now is not known: ${report.lost}`);
    if (report.changes.length === 0) {
      context.note(
        tools === null ? "every tool is as it was approved" : "nothing of that name is waiting for approval",
      );
    }
    return 0;
  },
};
