// The command `mountaineer backends enable`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, addWaitOption, readFlag, readWaitMs } from "../../input/options.ts";

export const backendsEnableCommand: CommandDefinition = {
  name: "backends enable",
  summary: "start an MCP server that was disabled",
  description: "Returns when it is known whether it serves.",
  examples: [{ command: "mountaineer backends enable files", does: "start one again" }],
  exits: { 1: "it is saved, and does not serve", 2: "there is no such backend" },
  addOptions(command) {
    command.argument("<name>", "the backend");
    addWaitOption(command);
    addJsonOption(command);
  },
  async run(context, options, [name = ""]) {
    const { enableBackend, tellChange } = await import("../../edits/backend-change.ts");
    const changed = await enableBackend(context, name, true, { waitMs: readWaitMs(options) });
    return tellChange(context, changed, { json: readFlag(options, "json"), done: "is enabled" });
  },
};
