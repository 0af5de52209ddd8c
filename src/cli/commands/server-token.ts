// The command `mountaineer server-token`.
import { Option } from "commander";
import type { CommandDefinition } from "../input/command.ts";
import { addJsonOption, readFlag } from "../input/options.ts";

export const serverTokenCommand: CommandDefinition = {
  name: "server-token",
  summary: "make the token of the management API, for programs and for other machines",
  description:
    "Prints a new token, once: the daemon keeps only its hash. The one before opens nothing any more. It opens the management " +
    "API and the page at the gateway's address, and never /mcp; a client's token for MCP never opens these.",
  examples: [
    { command: "mountaineer server-token > token.txt", does: "make one, and keep it in a file" },
    { command: "mountaineer server-token --remove", does: "let no token in any more" },
  ],
  exits: { 8: "no daemon runs" },
  addOptions(command) {
    command.addOption(new Option("--remove", "forget the token there is, and make none"));
    addJsonOption(command);
  },
  async run(context, options) {
    const { askDaemon } = await import("../sessions/control-session.ts");
    const operation = readFlag(options, "remove") ? "forgetToken" : "makeToken";
    const purpose = { intent: "change", so: "so none can take a token" } as const;
    const report = await askDaemon(context, purpose, operation, null);
    if (readFlag(options, "json")) context.print(`${JSON.stringify(report, null, 2)}\n`);
    else if ("token" in report) {
      context.print(`${report.token}\n`);
      if (report.replaced) context.note("the token before it opens nothing any more");
    } else context.print(report.forgotten ? "the token opens nothing any more\n" : "there was no token\n");
    return 0;
  },
};
