// The commands about programs that use MCP: `clients`, `import`, `connect` and `mcp`.

import { CLIENT_NAMES, CLIENTS, type ClientName } from "../../clients/client.ts";
import { MountaineerError, valueOr } from "../../runtime/errors.ts";
import { printable, shellWord } from "../../runtime/text/plain-text.ts";
import { openWithoutDaemon } from "../in-process/open.ts";
import { command, type GroupedCommands } from "../input/command.ts";
import { doneLine, showResult, WAIT_OPTION } from "../input/options.ts";
import {
  callDaemon,
  findDaemon,
  onceOpened,
  returningDaemon,
  withDaemonOr,
} from "../sessions/control-session.ts";
import { RUNNING_BACKENDS } from "../sessions/gateway-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

const clientsCommand = command("clients", {
  takesUrl: true,
  summary: "list the connected MCP clients, and let programs in",
  description:
    "Each with its name, user, MCP version, transport, times, lists and last error. Clients of version 2026-07-28 have no session, and are not listed.",
  examples: {
    "mountaineer clients": "see who is connected",
    "mountaineer clients approve 7K4-9QX": "let a program in, by the code that its page shows",
    "mountaineer clients --json | jq -r '.clients[] | select(.last_error != null) | .name'":
      "list those with a failed call",
  },
  exits: { 8: "no daemon runs" },
  takes: { "--all": "also those that are silent for five minutes, without a stream" },
  async run(context, { all }) {
    const { renderTable } = await import("../views/table-view.ts");
    const { CLIENT_TITLES, clientCells } = await import("../../api/labels/client-labels.ts");
    const { clients } = await callDaemon(context, RUNNING_BACKENDS, "clients", null);
    const report = { clients: clients.filter(({ idle }) => all || idle !== true) };
    const rows = report.clients.map((client) => clientCells(client, Date.now()));
    showResult(context, report, () =>
      rows.length === 0 ? "" : renderTable(CLIENT_TITLES, rows, context.stdoutStyle),
    );
    if (rows.length === 0) context.notify("no client is connected");
  },
});

const LIMITS = {
  "--server <name>": { about: "only this server; repeatable", isList: true, completes: "backends" },
  "--read-only": "only tools whose server says that they change nothing",
} as const;

const clientsApproveCommand = command("clients approve", {
  summary: "let a program in that asks in a browser",
  description:
    "Shows which program asks and what it may do, and asks you. Type only codes from a page that you opened.",
  examples: {
    "mountaineer clients approve 7K4-9QX": "let it in",
    "mountaineer clients approve 7K4-9QX --as ann --server github --read-only": "with less than ann may",
  },
  exits: { 1: "you said no: the program is refused", 4: "no page shows this code", 8: "no daemon runs" },
  takes: {
    "<code>": { about: "the code in the page" },
    "--as <user>": "the user as whom it acts; needed if there are several",
    ...LIMITS,
  },
  run: async (context, { code, as: user, server, readOnly }) =>
    (await import("../clients/program-access.ts")).approveProgram(context, {
      ...{ code, user, readOnly },
      backends: server.length === 0 ? null : server,
    }),
});

const clientsListCommand = command("clients list", {
  takesUrl: true,
  summary: "list the programs that were let in",
  description: "Each with its user, its limits, and when it was used last.",
  examples: { "mountaineer clients list": "see them" },
  exits: { 8: "no daemon runs" },
  async run(context) {
    const { renderGrants } = await import("../views/people-view.ts");
    const { people } = await callDaemon(context, RUNNING_BACKENDS, "people", {});
    const programs = people.flatMap((one) => one.programs.map((grant) => ({ user: one.name, ...grant })));
    showResult(context, { programs }, () => renderGrants(people, context.stdoutStyle, Date.now()));
    if (programs.length === 0) context.notify("no program was let in");
  },
});

const clientsRevokeCommand = command("clients revoke", {
  takesUrl: true,
  summary: "end the access of programs, or limit it",
  description:
    "Their tokens, sessions and streams end at once. With --server or --read-only they stay, and may do less.",
  examples: {
    "mountaineer clients revoke 4e07c29b81fa": "end it",
    "mountaineer clients revoke 4e07c29b81fa --read-only": "let it only read",
  },
  exits: { 2: "there is no such program", 8: "no daemon runs" },
  takes: { "<ids...>": { about: "as clients list shows them" }, ...LIMITS },
  async run(context, { ids, server, readOnly }) {
    const isLimited = server.length > 0 || readOnly;
    const limits = { backends: server.length === 0 ? null : [...server], read_only: readOnly };
    const request = { ids: [...ids], to: isLimited ? limits : null };
    const report = await callDaemon(context, RUNNING_BACKENDS, "changeGrants", request);
    if (report.changed.length === 0)
      throw new MountaineerError("usage", "there is no such program", { hint: "mountaineer clients list" });
    const done = isLimited ? "may do less now" : "has no access any longer";
    showResult(context, report, (paint) =>
      report.changed.map((name) => doneLine(paint, `${printable(name)} ${done}`)),
    );
  },
});

export const CLIENTS_COMMANDS: GroupedCommands = {
  group: clientsCommand,
  commands: [clientsApproveCommand, clientsListCommand, clientsRevokeCommand],
};

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
    `Reads ${titlesOf(CLIENT_NAMES)}, or any file in one of their formats; without a name, all that exist here. ` +
    "Values that look like secrets are stored as secrets. Servers of a project's file start in its folder. The other program's file is not changed.",
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
    "starts mountaineer mcp, so its file needs no token. Servers that Mountaineer serves are removed from the file. Shows what would change, and asks.",
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
    "--keep-others": "keep servers in its file that come through Mountaineer",
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
    "Connects an MCP client to the daemon's gateway, as the home's owner. After a restart of the daemon it resumes the session; unanswered calls fail, and none is repeated. New calls wait 30 s for the next daemon. Without a daemon at the start it runs its own gateway and servers. --group needs a daemon.",
  examples: {
    "claude mcp add mountaineer -- mountaineer mcp": "add it to a client that starts its servers",
    [`echo '{"jsonrpc":"2.0","id":1,"method":"ping"}' | mountaineer mcp`]: "check that it answers",
  },
  exits: {
    0: "the client has left",
    1: "no gateway is configured",
    2: "no group of that name is configured",
    8: "no daemon returned within an hour, or it did not resume the session",
  },
  isText: true,
  takes: {
    "--group <name>": "serve only this group",
  },
  async run(context, { group }) {
    const { bridge } = await import("../../mcp-bridge/mcp-bridge.ts");
    const { serveHere } = await import("../../mcp-bridge/serve-here.ts");
    const { stdin, stdout } = process;
    if (stdin.isTTY) context.notify("this speaks MCP with a program; Ctrl-D ends it");
    const ends = { input: stdin, output: stdout, signal: context.signal };
    // It throws if the folder is gone.
    const workingFolder = valueOr(() => process.cwd(), null);
    const means = { find: () => findDaemon(context), notify: context.notify, group, folder: workingFolder };
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

function groupNeedsDaemon(): MountaineerError {
  return new MountaineerError("daemon_unreachable", "no daemon runs, and only a daemon serves a group", {
    hint: "mountaineer up starts one",
  });
}
