// The command `mountaineer alias list`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, showResult } from "../../input/options.ts";

export const aliasListCommand: CommandDefinition = {
  name: "alias list",
  summary: "show every alias, where its link is and where it leads",
  description: "Looks at the links alone, never at what they lead to; changes nothing.",
  examples: [
    { command: "mountaineer alias list", does: "see which links there are" },
    {
      command: `mountaineer alias list --json | jq -r '.aliases[] | select(.link != "right") | .name'`,
      does: "name those whose link is not right",
    },
  ],
  exits: { 0: "it could answer, however the links are" },
  addOptions: addJsonOption,
  async run(context, options) {
    const { askEngine } = await import("../../sessions/control-session.ts");
    const { renderAliases } = await import("../../views/place-view.ts");
    const purpose = { intent: "look", command: "alias list" } as const;
    const report = await askEngine(context, purpose, "aliases", null);
    showResult(context, options, report, () => renderAliases(report.aliases, context.stdoutStyle));
    if (report.aliases.length === 0) context.note("no alias is configured; mountaineer alias add makes one");
    return 0;
  },
};
