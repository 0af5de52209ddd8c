// The command `mountaineer config history`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, showResult } from "../../input/options.ts";

export const configHistoryCommand: CommandDefinition = {
  name: "config history",
  summary: "list the configurations that were accepted, newest first",
  description: "The newest 50 are kept, whatever brought them. Entry 0 is the one that runs.",
  examples: [
    { command: "mountaineer config history", does: "see what changed when" },
    { command: "mountaineer config history --json | jq -r '.[0].sha256'", does: "use it in a script" },
  ],
  exits: {},
  addOptions: addJsonOption,
  async run(context, options) {
    const { viewConfig } = await import("../../sessions/config-session.ts");
    const { renderHistory } = await import("../../views/history-view.ts");
    const { entries } = await viewConfig(context, ({ ask }) => ask("history", null, context.signal));
    showResult(context, options, entries, () => renderHistory(entries, context.stdoutStyle));
    if (entries.length === 0) context.note("no configuration has been accepted yet");
    return 0;
  },
};
