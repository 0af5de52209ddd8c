// The command `mountaineer backends disable`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, addWaitOption, readFlag, readWaitMs } from "../../input/options.ts";

export const backendsDisableCommand: CommandDefinition = {
  name: "backends disable",
  summary: "end an MCP server and keep its configuration",
  description:
    "Its tools leave the catalog at once; calls in flight finish. mountaineer backends enable starts it again.",
  examples: [{ command: "mountaineer backends disable files", does: "end one for now" }],
  exits: { 1: "it is saved, and does not run", 2: "there is no such backend" },
  addOptions(command) {
    command.argument("<name>", "the backend");
    addWaitOption(command);
    addJsonOption(command);
  },
  async run(context, options, [name = ""]) {
    const { DISABLED, enableBackend, tellChange } = await import("../../edits/backend-change.ts");
    const changed = await enableBackend(context, name, false, { waitMs: readWaitMs(options) });
    return tellChange(context, changed, { json: readFlag(options, "json"), done: DISABLED });
  },
};
