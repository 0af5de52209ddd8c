// The command `mountaineer backends edit`.
import { addBackendOptions } from "../../input/backend-options.ts";
import type { CommandDefinition } from "../../input/command.ts";
import {
  addJsonOption,
  addWaitOption,
  collected,
  readFlag,
  readList,
  readWaitMs,
} from "../../input/options.ts";

export const backendsEditCommand: CommandDefinition = {
  name: "backends edit",
  summary: "change what an MCP server is started with",
  description:
    "Takes the options of backends add; what is not named stays. A program given behind -- replaces the program and all " +
    "its arguments. The new instance takes over when it is ready; until then, and if it does not come up, the old one serves.",
  examples: [
    {
      command: "mountaineer backends edit files -- npx -y @modelcontextprotocol/server-filesystem ~/Projects",
      does: "give it another folder",
    },
    { command: "mountaineer backends edit search --set timeouts.call=120", does: "change one key" },
    { command: "mountaineer backends edit search --unset env.DEBUG", does: "take one out" },
  ],
  exits: {
    0: "it serves with the change; or it is saved, and no daemon runs",
    1: "it is saved, and does not serve with the change",
    2: "there is no such backend, or a value is a secret; nothing was written",
  },
  addOptions(command) {
    command
      .argument("<name>", "the backend")
      .argument("[command...]", "another program with its arguments, behind --; or an address");
    addBackendOptions(command);
    command.option("--unset <key>", "take a key out, as in env.DEBUG; may be given again", collected);
    addWaitOption(command);
    addJsonOption(command);
  },
  async run(context, options, [name = "", ...words]) {
    const { readBackendOptions } = await import("../../input/backend-options.ts");
    const { editBackend, tellChange } = await import("../../edits/backend-change.ts");
    const typed = readBackendOptions(options, words);
    const changed = await editBackend(context, name, typed, readList(options, "unset"), {
      waitMs: readWaitMs(options),
      allowLiteral: readFlag(options, "allowLiteral"),
    });
    return tellChange(context, changed, { json: readFlag(options, "json"), done: "is changed" });
  },
};
