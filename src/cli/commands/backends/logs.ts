// The command `mountaineer backends logs`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const backendsLogsCommand: CommandDefinition = {
  name: "backends logs",
  summary: "print what a backend wrote to its stderr",
  description:
    "The newest 200 lines, oldest first, over its restarts. They are in the daemon's log, too. A server over HTTP " +
    "writes none.",
  examples: [
    { command: "mountaineer backends logs files", does: "see why it fails" },
    { command: "mountaineer backends logs files | tail -5", does: "its last words" },
  ],
  exits: { 8: "no daemon runs" },
  addOptions(command) {
    command.argument("<name>", "the backend");
    addJsonOption(command);
  },
  async run(context, options, [name = ""]) {
    const { askDaemon } = await import("../../sessions/control-session.ts");
    const { RUNNING_BACKENDS } = await import("../../sessions/gateway-session.ts");
    const { forTerminal } = await import("../../views/diff-view.ts");
    const report = await askDaemon(context, RUNNING_BACKENDS, "logs", { backend: name });
    if (readFlag(options, "json")) {
      context.print(`${JSON.stringify(report, null, 2)}\n`);
    } else {
      const text = report.lines.map((line) => `${line}\n`).join("");
      context.print(context.isTerminal ? forTerminal(text) : text);
      if (report.lines.length === 0) context.note("it has written nothing");
    }
    return 0;
  },
};
