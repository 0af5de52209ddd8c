// The command `mountaineer tools diff`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const toolsDiffCommand: CommandDefinition = {
  name: "tools diff",
  summary: "show how what servers show differs from what was approved",
  description:
    "Old beside new, with characters that nobody sees spelled out. What a server says of its tools, prompts, resources and " +
    "itself decides how models use it: the gateway remembers all of it, and tells what changes. Asks the running daemon; " +
    "without one, starts the backends once and ends them again.",
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
    command.argument("[names...]", "the names that clients use or that the server gives, or BACKEND:NAME");
    addJsonOption(command);
  },
  async run(context, options, names) {
    const { withGateway } = await import("../../sessions/gateway-session.ts");
    const tools = names.length === 0 ? null : [...names];
    const report = await withGateway(context, "tools diff", ({ ask }) =>
      ask("toolChanges", { tools }, context.signal),
    );
    if (readFlag(options, "json")) {
      context.print(`${JSON.stringify(report, null, 2)}\n`);
      return 0;
    }
    const { renderToolChanges } = await import("../../views/tool-changes-view.ts");
    context.print(renderToolChanges(report, context.stdoutStyle, tools === null));
    if (report.lost !== null) context.note(`what servers showed before now is not known: ${report.lost}`);
    if (report.changes.length === 0) {
      context.note(
        tools === null ? "all is as it was approved" : "nothing of that name is waiting for approval",
      );
    }
    return 0;
  },
};
