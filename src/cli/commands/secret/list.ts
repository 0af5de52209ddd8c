// The command `mountaineer secret list`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, showResult } from "../../input/options.ts";

export const secretListCommand: CommandDefinition = {
  name: "secret list",
  summary: "see which secrets are kept, where, and what uses them",
  description:
    "Names only; no value is read. Those that the configuration refers to and nobody keeps are listed, too.",
  examples: [
    { command: "mountaineer secret list", does: "see them" },
    {
      command: "mountaineer secret list --json | jq -r '.secrets[] | select(.kept == null) | .name'",
      does: "name those that are still to be set",
    },
  ],
  exits: {},
  addOptions(command) {
    addJsonOption(command);
  },
  async run(context, options) {
    const { openSecrets } = await import("../../in-process/open.ts");
    const { renderSecrets } = await import("../../views/secret-view.ts");
    const report = await (await openSecrets(context)).list();
    showResult(context, options, report, () => renderSecrets(report, context.stdoutStyle));
    return 0;
  },
};
