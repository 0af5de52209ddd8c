// The command `mountaineer server-token`.
import { command } from "../input/command.ts";
import { JSON_OPTION, showJson } from "../input/options.ts";

export const serverTokenCommand = command({
  name: "server-token",
  summary: "make the token of the management API, for programs and for other machines",
  description:
    "Prints a new token, once: the daemon keeps only its hash. The one before opens nothing any more. It opens the management " +
    "API and the page at the gateway's address, and never /mcp; a client's token for MCP never opens these.",
  examples: {
    "mountaineer server-token > token.txt": "make one, and keep it in a file",
    "mountaineer server-token --remove": "let no token in any more",
  },
  exits: { 8: "no daemon runs" },
  takes: {
    "--remove": "forget the token there is, and make none",
    ...JSON_OPTION,
  },
  async run(context, { remove }) {
    const { askDaemon } = await import("../sessions/control-session.ts");
    const operation = remove ? "forgetToken" : "makeToken";
    const purpose = { intent: "change", so: "so none can take a token" } as const;
    const report = await askDaemon(context, purpose, operation, null);
    if (context.json) showJson(context, report);
    else if ("token" in report) {
      context.print(`${report.token}\n`);
      if (report.replaced) context.note("the token before it opens nothing any more");
    } else context.print(report.forgotten ? "the token opens nothing any more\n" : "there was no token\n");
    return 0;
  },
});
