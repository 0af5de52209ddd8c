// The command `mountaineer mcp`.
import { MountaineerError } from "../../runtime/errors.ts";
import { command } from "../input/command.ts";

export const mcpCommand = command({
  name: "mcp",
  summary: "speak MCP on stdin and stdout, for clients that start their servers",
  description:
    "Carries what an MCP client says to the running daemon's gateway and back, as the home's owner; several may run " +
    "at once. It outlives a restart of the daemon: it looks for the next one, takes the session up there, and tells the " +
    "client that its lists have changed; calls that the daemon left unanswered fail, and none is repeated. New calls wait " +
    "30 s for the next one, and fail after that, until one is there; it is looked for for an hour. " +
    "Without a daemon at first it runs a gateway of its own, with backends of its own, until the client leaves; for one " +
    "that was killed, or is just starting, it waits 10 s before that. Only MCP is on stdout. Ends when the client ends " +
    "its side and everything is answered. With --group the client is served that group alone, which takes a daemon that runs.",
  examples: {
    "claude mcp add mountaineer -- mountaineer mcp": "give it to a client that starts its servers",
    [`echo '{"jsonrpc":"2.0","id":1,"method":"ping"}' | mountaineer mcp`]: "see that it answers",
  },
  exits: {
    0: "the client has left",
    1: "no gateway is configured",
    2: "no group of that name is configured",
    8: "the daemon ended the connection and none came back within an hour, or the next one did not take the session on",
  },
  takes: {
    "--group <name>": "serve the client this group instead of everything",
  },
  async run(context, { group }) {
    const { findDaemon, returningDaemon, withDaemonOr } = await import("../sessions/control-session.ts");
    const { withOwnGateway } = await import("../sessions/gateway-session.ts");
    const { bridge } = await import("../../mcp-bridge/mcp-bridge.ts");
    const { serveHere } = await import("../../mcp-bridge/serve-here.ts");
    const { stdin, stdout } = process;
    if (stdin.isTTY) context.note("this speaks MCP with a program; Ctrl-D ends it");
    const ends = { input: stdin, output: stdout, signal: context.signal };
    const means = { find: () => findDaemon(context), note: context.note, group };
    await withDaemonOr(
      context,
      "look",
      (daemon) => bridge(daemon, ends, means),
      async () => {
        // A gateway of its own would stay for as long as the client does.
        const daemon = await returningDaemon(context);
        if (daemon !== null) return { kind: "done", value: await bridge(daemon, ends, means) };
        if (group !== null) throw groupNeedsDaemon();
        return withOwnGateway(context, "mcp", (gateway) => serveHere(gateway, ends));
      },
    );
    return 0;
  },
});

function groupNeedsDaemon(): MountaineerError {
  return new MountaineerError("daemon_unreachable", "no daemon runs, and a group is served by one alone", {
    hint: "mountaineer up starts one",
  });
}
