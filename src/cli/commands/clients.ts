// The commands about programs that use MCP: `clients`, `import`, `connect` and `mcp`.

import { CLIENT_NAMES, CLIENTS, type ClientName } from "../../clients/client.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellWord } from "../../runtime/text/plain-text.ts";
import { openWithoutDaemon } from "../in-process/open.ts";
import { command } from "../input/command.ts";
import { showResult, WAIT_OPTION } from "../input/options.ts";
import {
  callDaemon,
  findDaemon,
  onceOpened,
  returningDaemon,
  withDaemonOr,
} from "../sessions/control-session.ts";
import { RUNNING_BACKENDS } from "../sessions/gateway-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

export const clientsCommand = command("clients", {
  takesUrl: true,
  summary: "list the connected MCP clients",
  description:
    "For each client its name, its user, its MCP version and transport, since when it is connected, how many " +
    "tools, prompts and resources it requested, and its last error. A client of version 2026-07-28 has no " +
    "session: it is listed while it has a stream open, and for five minutes after each request.",
  examples: {
    "mountaineer clients": "see who is connected",
    "mountaineer clients --json | jq -r '.clients[] | select(.last_error != null) | .name'":
      "list those with a failed call",
  },
  exits: { 8: "no daemon runs" },
  async run(context) {
    const { renderTable } = await import("../views/table-view.ts");
    const { CLIENT_TITLES, clientCells } = await import("../../api/labels/client-labels.ts");
    const report = await callDaemon(context, RUNNING_BACKENDS, "clients", null);
    const rows = report.clients.map((client) => clientCells(client, Date.now()));
    showResult(context, report, () =>
      rows.length === 0 ? "" : renderTable(CLIENT_TITLES, rows, context.stdoutStyle),
    );
    if (rows.length === 0) context.notify("no client is connected");
  },
});

/** The clients' titles, each with its name where that differs. */
function titlesOf(names: readonly ClientName[]): string {
  return names
    .map((name) => [CLIENTS[name].title, name] as const)
    .map(([title, name]) => (title.toLowerCase() === name ? title : `${title} (${name})`))
    .join(", ");
}

export const importCommand = command("import", {
  summary: "import the MCP servers of another program",
  description:
    `Reads ${titlesOf(CLIENT_NAMES)}, or any file in one of their formats; without a name, all that exist here. Shows ` +
    "what it would add, and asks; with a running daemon it returns when each server is ready or has failed. " +
    "Values that look like secrets are stored as secrets, and the file gets references to them; others are named. The servers of a project's file " +
    "start in its folder. The other program's file is not changed.",
  examples: {
    "mountaineer import claude": "import from Claude Desktop",
    "mountaineer import": "import from every client on this machine",
    "mountaineer import ./mcp.json --yes": "from a file, without a question",
    "mountaineer import ./mcp.json --only files --dry-run": "show what one server of a file would become",
  },
  exits: {
    0: "they are imported, or there is nothing new",
    1: "you said no, or --json was given without --yes; nothing was changed",
    3: "a file cannot be read; nothing was changed",
  },
  takes: {
    "[what...]": {
      about: "clients, or file paths",
      choices: CLIENT_NAMES,
      isOpen: true,
    },
    "--only <name>": { about: "import only this server; repeatable", isList: true },
    "--dry-run": "only show what it would do",
    "--projects": "also the servers that a client keeps for other folders",
    "-y, --yes": "do not ask",
    ...WAIT_OPTION,
  },
  run: async (context, given) =>
    (await import("../clients/import-servers.ts")).importServers(context, {
      ...given,
      sources: given.what,
      waitMs: given.wait,
    }),
});

const CONNECTED = CLIENT_NAMES.filter((name) => CLIENTS[name].isConnected);

export const connectCommand = command("connect", {
  summary: "connect an agent program to Mountaineer",
  description:
    `Writes Mountaineer into the file where one of these keeps its MCP servers: ${titlesOf(CONNECTED)}. The client ` +
    "starts mountaineer mcp, so its file needs no token. Servers that are backends here are removed from the file, " +
    "because they come through Mountaineer. Shows what would change, and asks; the old content is kept, and --undo " +
    "restores it. Several homes of one user each have their own entry.",
  examples: {
    "mountaineer connect claude": "after mountaineer import claude",
    "mountaineer connect cursor --print": "see what to write, and change nothing",
    "mountaineer connect claude --undo": "restore its file",
  },
  exits: {
    0: "it is connected",
    1: "you said no, or --json was given without --yes; nothing was changed",
    3: "the client's file cannot be read; nothing was changed",
  },
  takes: {
    "<client>": { about: "the client", choices: CONNECTED, isOpen: true },
    "--print": "only print the entry that it would write",
    "--undo": "restore the file",
    "--file <path>": "the client's file, if it is elsewhere",
    "--keep-others": "keep servers in its file although they come through Mountaineer",
    "-y, --yes": "do not ask",
  },
  async run(context, { client: name, print, undo, ...given }) {
    const client = CONNECTED.find((one) => one === name);
    const { connectClient, disconnectClient, meantClient, printEntry, programOf } = await import(
      "../clients/connect-client.ts"
    );
    if (client === undefined) {
      const { command: program, args, env } = programOf(context);
      const variables = Object.entries(env).map(([variable, value]) => `${variable}=${value}`);
      const line = [...(variables.length === 0 ? [] : ["env", ...variables]), program, ...args];
      throw new MountaineerError("usage", `no client is known as ${JSON.stringify(name)}`, {
        hint: `known are ${CONNECTED.join(", ")}; others start: ${line.map(shellWord).join(" ")}`,
      });
    }
    const meant = given.file === null ? await meantClient(context, client, given.yes) : client;
    if (meant === null) return FAILED_EXIT;
    const options = { ...given, client: meant };
    if (print) return printEntry(context, options);
    return undo ? disconnectClient(context, options) : connectClient(context, options);
  },
});

export const mcpCommand = command("mcp", {
  summary: "speak MCP on stdin and stdout, for clients that start their servers",
  description:
    "Connects an MCP client to the running daemon's gateway, as the home's owner; several may run at once. It " +
    "survives a restart of the daemon: it resumes the session with the next daemon, and tells the client that " +
    "its lists have changed; calls that the old daemon left unanswered fail, and none is repeated. New calls " +
    "wait 30 s for the next daemon, and after that fail until one runs; it looks for one for an hour. Without a " +
    "daemon at the start it runs its own gateway and backends until the client leaves; if the daemon was killed " +
    "or is just starting, it first waits 10 s. Prints only MCP to stdout. Exits when the client has closed its " +
    "side and everything is answered. --group serves the client only that group, and needs a running daemon.",
  examples: {
    "claude mcp add mountaineer -- mountaineer mcp": "add it to a client that starts its servers",
    [`echo '{"jsonrpc":"2.0","id":1,"method":"ping"}' | mountaineer mcp`]: "check that it answers",
  },
  exits: {
    0: "the client has left",
    1: "no gateway is configured",
    2: "no group of that name is configured",
    8:
      "the daemon closed the connection, and no daemon returned within an hour or the next one did not resume the " +
      "session",
  },
  isText: true,
  takes: {
    "--group <name>": "serve only this group",
  },
  async run(context, { group }) {
    const { bridge } = await import("../../mcp-bridge/mcp-bridge.ts");
    const { serveHere } = await import("../../mcp-bridge/mcp-bridge.ts");
    const { stdin, stdout } = process;
    if (stdin.isTTY) context.notify("this speaks MCP with a program; Ctrl-D ends it");
    const ends = { input: stdin, output: stdout, signal: context.signal };
    const means = { find: () => findDaemon(context), notify: context.notify, group, folder: workingFolder() };
    await withDaemonOr(
      context,
      "look",
      (daemon) => bridge(daemon, ends, means),
      async () => {
        // Waits for a daemon that is about to return. Otherwise this process would run its own gateway for the client,
        // even after the daemon is back.
        const daemon = await returningDaemon(context);
        if (daemon !== null) return { kind: "done", value: await bridge(daemon, ends, means) };
        if (group !== null) throw groupNeedsDaemon();
        return onceOpened(openWithoutDaemon({ ...context, intent: "look" }), async (own) =>
          serveHere(await own.gateway(), ends, means.folder),
        );
      },
    );
    return 0;
  },
});

/** Null: the folder is gone. */
function workingFolder(): string | null {
  try {
    return process.cwd();
  } catch {
    return null;
  }
}

function groupNeedsDaemon(): MountaineerError {
  return new MountaineerError("daemon_unreachable", "no daemon runs, and only a daemon serves a group", {
    hint: "mountaineer up starts one",
  });
}
