// The commands about programs that use MCP: `clients`, `import`, `connect` and `mcp`.

import { CLIENT_NAMES, CLIENTS } from "../../clients/client.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { command } from "../input/command.ts";
import { showResult, WAIT_OPTION } from "../input/options.ts";
import { askDaemon, findDaemon, returningDaemon, withDaemonOr } from "../sessions/control-session.ts";
import { RUNNING_BACKENDS, withOwnGateway } from "../sessions/gateway-session.ts";

export const clientsCommand = command("clients", {
  summary: "list the MCP clients that are connected",
  description:
    "What each calls itself, who it came in as, the version of MCP that it speaks and over what, since when, how many " +
    "tools, prompts and resources it asked for, and its last error. A client of 2026-07-28 has no session: it is listed " +
    "while it listens, and for five minutes after each request.",
  examples: {
    "mountaineer clients": "see who is connected",
    "mountaineer clients --json | jq -r '.clients[] | select(.last_error != null) | .name'":
      "name those of which a call failed",
  },
  exits: { 8: "no daemon runs" },
  async run(context) {
    const { renderTable } = await import("../views/table-view.ts");
    const { CLIENT_TITLES, clientWords } = await import("../../api/words/client-words.ts");
    const report = await askDaemon(context, RUNNING_BACKENDS, "clients", null);
    const rows = report.clients.map((client) => clientWords(client, Date.now()));
    showResult(context, report, () =>
      rows.length === 0 ? "" : renderTable(CLIENT_TITLES, rows, context.stdoutStyle),
    );
    if (rows.length === 0) context.note("no client is connected");
  },
});

export const importCommand = command("import", {
  summary: "take over the MCP servers that another program has",
  description:
    "Reads Claude Desktop (claude), Claude Code (claude-code), Cursor, VS Code (vscode), Zed, Codex, Windsurf, Gemini " +
    "CLI (gemini), mcp-hub, 1MCP (1mcp), or any file in their manner; without a name, all that are here. Shows what " +
    "would be added, and asks; with a daemon it returns when it is known whether they serve. Secrets that are written out are kept as secrets, with a reference in the file. The " +
    "other program's file is only read.",
  examples: {
    "mountaineer import claude": "take over those of Claude Desktop",
    "mountaineer import": "take over those of every client of this machine",
    "mountaineer import ./mcp.json --yes": "from a file, without being asked",
  },
  exits: {
    0: "they are imported; or there is nothing new",
    1: "nobody agreed, or --json was given without --yes; nothing was changed",
    3: "a file cannot be read; nothing was changed",
  },
  takes: {
    "[what...]": {
      about: "clients, or paths of files",
      choices: CLIENT_NAMES,
      isOpen: true,
    },
    "-y, --yes": "do not ask",
    "--allow-literal": "write secrets in arguments and addresses into the file as they are",
    ...WAIT_OPTION,
  },
  run: async (context, given) =>
    (await import("../clients/import-servers.ts")).importServers(context, {
      ...given,
      words: given.what,
      waitMs: given.wait,
    }),
});

const CONNECTED = CLIENT_NAMES.filter((name) => CLIENTS[name].isConnected);

export const connectCommand = command("connect", {
  summary: "make an agent's program use Mountaineer",
  description:
    "Writes Mountaineer into the file where Claude Desktop (claude), Claude Code (claude-code), Cursor, VS Code " +
    "(vscode), Zed, Codex, Windsurf or Gemini CLI (gemini) keeps its MCP servers. The client starts mountaineer mcp, so " +
    "that no token stands in its file. Servers of the client that are backends here are taken out of it, as they come " +
    "through Mountaineer. Shows what would change, and asks; what was there is kept, and --undo puts it back.",
  examples: {
    "mountaineer connect claude": "after mountaineer import claude",
    "mountaineer connect cursor --print": "see what to write, and change nothing",
    "mountaineer connect claude --undo": "put its file back",
  },
  exits: {
    0: "it is connected",
    1: "nobody agreed; nothing was changed",
    3: "the client's file cannot be read; nothing was changed",
  },
  isText: true,
  takes: {
    "<client>": { about: "which one", choices: CONNECTED, isOpen: true },
    "--print": "only print what would stand in its file",
    "--undo": "put the file back",
    "--file <path>": "the client's file, if it is elsewhere",
    "--keep-others": "leave servers in its file that come through Mountaineer, too",
    "-y, --yes": "do not ask",
  },
  async run(context, { client: name, print, undo, ...given }) {
    const client = CONNECTED.find((one) => one === name);
    if (client === undefined) {
      throw new MountaineerError("usage", `no client is known as ${JSON.stringify(name)}`, {
        hint: `known are ${CONNECTED.join(", ")}; others start: mountaineer mcp`,
      });
    }
    const { connectClient, disconnectClient, printEntry } = await import("../clients/connect-client.ts");
    const options = { ...given, client };
    if (print) return printEntry(context, options);
    return undo ? disconnectClient(context, options) : connectClient(context, options);
  },
});

export const mcpCommand = command("mcp", {
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
  isText: true,
  takes: {
    "--group <name>": "serve the client this group instead of everything",
  },
  async run(context, { group }) {
    const { bridge } = await import("../../mcp-bridge/mcp-bridge.ts");
    const { serveHere } = await import("../../mcp-bridge/mcp-bridge.ts");
    const { stdin, stdout } = process;
    if (stdin.isTTY) context.note("this speaks MCP with a program; Ctrl-D ends it");
    const ends = { input: stdin, output: stdout, signal: context.signal };
    const means = { find: () => findDaemon(context), note: context.note, group };
    await withDaemonOr(
      context,
      "look",
      (daemon) => bridge(daemon, ends, means),
      async () => {
        // Waits first, because a gateway in this process would serve the client to its end.
        const daemon = await returningDaemon(context);
        if (daemon !== null) return { kind: "done", value: await bridge(daemon, ends, means) };
        if (group !== null) throw groupNeedsDaemon();
        return withOwnGateway(context, (gateway) => serveHere(gateway, ends));
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
