// Owns `mountaineer mcp`.
import type { CommandDefinition } from "../command.ts";

export const mcpCommand: CommandDefinition = {
  name: "mcp",
  summary: "speak MCP on stdin and stdout, for clients that start their servers",
  description:
    "Carries what an MCP client says to the running daemon's gateway and back, as the home's owner; several may run " +
    "at once. Without a daemon it runs a gateway of its own, with backends of its own, until the client leaves. Only " +
    "MCP is on stdout. Ends when the client ends its side and everything is answered.",
  examples: [
    {
      command: "claude mcp add mountaineer -- mountaineer mcp",
      does: "give it to a client that starts its servers",
    },
    {
      command: `echo '{"jsonrpc":"2.0","id":1,"method":"ping"}' | mountaineer mcp`,
      does: "see that it answers",
    },
  ],
  exits: {
    0: "the client has left",
    1: "no gateway is configured",
    8: "the daemon ended the connection",
  },
  addOptions() {},
  async run(context) {
    const { withDaemonOr } = await import("../control-session.ts");
    const { withOwnGateway } = await import("../gateway-session.ts");
    const { bridge, serveHere } = await import("../mcp-bridge.ts");
    const { stdin, stdout } = process;
    if (stdin.isTTY) context.note("this speaks MCP with a program; Ctrl-D ends it");
    const ends = { input: stdin, output: stdout, signal: context.signal };
    await withDaemonOr(
      context,
      "look",
      (daemon) => bridge(daemon, ends),
      () => withOwnGateway(context, "mcp", (gateway) => serveHere(gateway, ends)),
    );
    return 0;
  },
};
