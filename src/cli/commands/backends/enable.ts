// The commands `mountaineer backends enable` and `mountaineer backends disable`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, addWaitOption, readFlag, readWaitMs } from "../../input/options.ts";

type Told = Pick<CommandDefinition, "name" | "summary" | "description" | "examples" | "exits">;

export const backendsEnableCommand = enabling(true, {
  name: "backends enable",
  summary: "start an MCP server that was disabled",
  description: "Returns when it is known whether it serves.",
  examples: [{ command: "mountaineer backends enable files", does: "start one again" }],
  exits: { 1: "it is saved, and does not serve", 2: "there is no such backend" },
});

export const backendsDisableCommand = enabling(false, {
  name: "backends disable",
  summary: "end an MCP server and keep its configuration",
  description:
    "Its tools leave the catalog at once; calls in flight finish. mountaineer backends enable starts it again.",
  examples: [{ command: "mountaineer backends disable files", does: "end one for now" }],
  exits: { 1: "it is saved, and does not run", 2: "there is no such backend" },
});

function enabling(enabled: boolean, told: Told): CommandDefinition {
  return {
    ...told,
    addOptions(command) {
      command.argument("<name>", "the backend");
      addWaitOption(command);
      addJsonOption(command);
    },
    async run(context, options, [name = ""]) {
      const { DISABLED, enableBackend, tellChange } = await import("../../edits/backend-change.ts");
      const changed = await enableBackend(context, name, enabled, { waitMs: readWaitMs(options) });
      const done = enabled ? "is enabled" : DISABLED;
      return tellChange(context, changed, { json: readFlag(options, "json"), done });
    },
  };
}
