// The command `mountaineer backends remove`.
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";

export const backendsRemoveCommand: CommandDefinition = {
  name: "backends remove",
  summary: "remove an MCP server from the configuration",
  description:
    "Its tools leave the catalog at once; calls in flight finish. mountaineer config rollback brings it back. Secrets that " +
    "it used stay kept.",
  examples: [{ command: "mountaineer backends remove files", does: "remove one" }],
  exits: { 1: "the file that lacks it does not run", 2: "there is no such backend" },
  addOptions(command) {
    command.argument("<name>", "the backend");
    addJsonOption(command);
  },
  async run(context, options, [name = ""]) {
    const { removeBackend, tellChange } = await import("../../edits/backend-change.ts");
    const removed = await removeBackend(context, name);
    return tellChange(context, removed, { json: readFlag(options, "json"), done: "is removed" });
  },
};
