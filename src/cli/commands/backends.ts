// The commands `mountaineer backends ...`.

import type { LoginPerson, LoginReport } from "../../api/setup/backend-sign-in.ts";
import type { BackendInput } from "../../config/edit/new-backend.ts";
import { isOwnError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import type { Paint } from "../../runtime/text/paint.ts";
import { printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { openSignIn } from "../in-process/open.ts";
import { BACKEND_OPTIONS } from "../input/backend-options.ts";
import { type CommandContext, command, type GroupedCommands, type Terminal } from "../input/command.ts";
import { confirms } from "../input/confirm.ts";
import { doneLine, showResult, WAIT_OPTION } from "../input/options.ts";
import { readFirstLine } from "../input/standard-input.ts";
import { callDaemon } from "../sessions/control-session.ts";
import { RUNNING_BACKENDS } from "../sessions/gateway-session.ts";
import { restartBackend } from "../sessions/sign-in-notice.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { backendsListCommand } from "./backends-list.ts";

const AS_USER = 'a user\'s account, at a server with accounts = "each"';
const BACKEND_ARGUMENT = { "<name>": { about: "the server", completes: "backends" } } as const;

const backendsAddCommand = command("backends add", {
  summary: "add an MCP server to the configuration and start it",
  description:
    "The command after -- is started directly, never through a shell. Returns when the server is ready or has failed. At a terminal, values that look like secrets are stored as secrets; elsewhere they are refused. The first server brings a token for HTTP clients.",
  examples: {
    "mountaineer backends add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents":
      "a program",
    "mountaineer backends add tickets --url https://tickets.example/mcp --header 'Authorization: Bearer ${TICKETS_TOKEN}'":
      "a remote server",
    "mountaineer backends add github --env GITHUB_TOKEN=secret:github -- github-mcp-server stdio":
      "with a stored secret",
    "mountaineer backends add --registry io.github.example/fetch": "from the MCP registry, as fetch",
  },
  exits: {
    0: "it is ready or still starting; or it is saved, and disabled or no daemon runs",
    1: "it is saved, but does not start; or, with nothing written, you said no, or the registry lacks it",
    2: "a server of that name exists, or a value looks like a secret; nothing was written",
  },
  takes: {
    "[name]": "the server's name; with --registry, the last part of its name there is the default",
    "[command...]": "the program and its arguments, after --; or an address",
    ...BACKEND_OPTIONS,
    "--registry <server>": "take the server from the MCP registry, pinned to its newest version",
    "--input <name=value>": {
      about: "an input of the registry's server; repeatable",
      isList: true,
    },
    "--yes": "do not ask before adding the registry's server",
    "--disabled": "do not start it",
    "--no-token": "create no client token with the first server",
    ...WAIT_OPTION,
  },
  async run(context, { name, command: commandArgs, registry: server, wait: waitMs, ...given }) {
    const { readBackendName, readBackendOptions } = await import("../input/backend-options.ts");
    const { addBackend, requireFreeName, showChange } = await import("../edits/backend-change.ts");
    const typed = readBackendOptions(given, commandArgs);
    const backend = readBackendName(name ?? (await registryName(server)));
    // Without `--`, the -y of `backends add NAME npx -y PACKAGE` is read as Mountaineer's own --yes.
    if (server === null && given.yes) {
      throw new MountaineerError("usage", "--yes only goes with --registry", {
        hint: `a program's own options come after --: ${shellCommand`mountaineer backends add ${backend} -- PROGRAM -y …`}`,
      });
    }
    let whole: BackendInput | null = typed;
    if (server !== null) {
      // Checks the name before inputs are asked for and secrets are kept.
      await requireFreeName(context, backend);
      const { registryBackend } = await import("../clients/registry-backend.ts");
      const order = { name: backend, server, given: new Map(given.input.map(nameAndValue)), yes: given.yes };
      whole = await registryBackend(context, order, typed);
    }
    if (whole === null) return FAILED_EXIT;
    const { allowLiteral } = given;
    const token = given.token === false ? false : null;
    const added = await addBackend(context, backend, whole, { waitMs, allowLiteral, token });
    return showChange(context, added, "is added");
  },
});

/** `fetch` for `io.github.example/fetch`. */
async function registryName(server: string | null): Promise<string> {
  const { backendName } = await import("../../clients/imported-server.ts");
  if (server !== null) return backendName(server.slice(server.lastIndexOf("/") + 1));
  throw new MountaineerError("usage", "missing required argument 'name'", {
    hint: "mountaineer backends add --help shows what there is",
  });
}

function nameAndValue(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

const backendsEditCommand = command("backends edit", {
  summary: "change an MCP server's command, address or settings",
  description:
    "What you do not name stays. A command after -- replaces program and arguments. The old instance serves until the new one is ready.",
  examples: {
    "mountaineer backends edit files -- npx -y @modelcontextprotocol/server-filesystem ~/Projects":
      "give it another folder",
    "mountaineer backends edit search --set timeouts.call=120": "change one key",
    "mountaineer backends edit search --unset env.DEBUG": "remove one",
  },
  exits: {
    0: "it is ready with the change; or the change is saved, and no daemon runs",
    1: "it is saved, but the server does not start with it",
    2: "there is no such server, or a value looks like a secret; nothing was written",
  },
  takes: {
    ...BACKEND_ARGUMENT,
    "[command...]": "another command, after --; or an address",
    ...BACKEND_OPTIONS,
    "--unset <key>": { about: "remove a key, as in env.DEBUG; repeatable", isList: true },
    ...WAIT_OPTION,
  },
  async run(context, { name, command: commandArgs, unset, wait: waitMs, ...given }) {
    const { readBackendOptions } = await import("../input/backend-options.ts");
    const { editBackend, showChange } = await import("../edits/backend-change.ts");
    const typed = readBackendOptions(given, commandArgs);
    const { allowLiteral } = given;
    const changed = await editBackend(context, name, typed, unset, { waitMs, allowLiteral });
    return showChange(context, changed, "is changed");
  },
});

const backendsRemoveCommand = command("backends remove", {
  takesUrl: true,
  summary: "remove an MCP server from the configuration",
  description: "Its tools leave the catalog at once; calls in flight finish. Its secrets stay stored.",
  examples: { "mountaineer backends remove files": "remove one" },
  exits: { 1: "the changed file could not be applied", 2: "there is no such server" },
  takes: BACKEND_ARGUMENT,
  async run(context, { name }) {
    const { removeBackend, showChange } = await import("../edits/backend-change.ts");
    return showChange(context, await removeBackend(context, name), "is removed");
  },
});

const backendsEnableCommand = command("backends enable", {
  takesUrl: true,
  summary: "start a disabled MCP server",
  description: "Returns when it is ready or has failed.",
  examples: { "mountaineer backends enable files": "enable one" },
  exits: { 1: "it is saved, but does not start", 2: "there is no such server" },
  takes: { ...BACKEND_ARGUMENT, ...WAIT_OPTION },
  run: (context, { name, wait }) => enable(context, name, true, wait),
});

const backendsDisableCommand = command("backends disable", {
  takesUrl: true,
  summary: "stop an MCP server and keep its configuration",
  description: "Its tools leave the catalog at once; calls in flight finish.",
  examples: { "mountaineer backends disable files": "stop one for now" },
  exits: { 1: "it is saved, but could not be applied", 2: "there is no such server" },
  takes: { ...BACKEND_ARGUMENT, ...WAIT_OPTION },
  run: (context, { name, wait }) => enable(context, name, false, wait),
});

async function enable(
  context: CommandContext,
  name: string,
  enabled: boolean,
  waitMs: number,
): Promise<number> {
  const { DISABLED, enableBackend, showChange } = await import("../edits/backend-change.ts");
  const changed = await enableBackend(context, name, enabled, { waitMs });
  return showChange(context, changed, enabled ? "is enabled" : DISABLED);
}

const backendsRestartCommand = command("backends restart", {
  takesUrl: true,
  summary: "restart MCP servers, without losing a call",
  description:
    "The old instance serves until the new one is ready. Returns at once; mountaineer backends list shows the progress.",
  examples: {
    "mountaineer backends restart files": "restart one",
    "mountaineer backends restart --all": "restart all",
  },
  exits: { 2: "there is no such server; none was restarted", 8: "no daemon runs" },
  takes: {
    "[names...]": { about: "the servers", completes: "backends" },
    "--all": "all that are enabled",
  },
  async run(context, { names, all }) {
    requireOneChoice(names, all);
    const report = await callDaemon(context, RUNNING_BACKENDS, "restart", {
      backends: all ? null : [...new Set(names)],
    });
    const left = names.filter((name) => !report.restarted.includes(name)).map(printable);
    showResult(context, report, (paint) => [
      ...report.restarted.map((name) => doneLine(paint, `${paint.bold(printable(name))}  is restarted`)),
      ...left.map(
        (name) =>
          `${paint.dim(paint.symbols.skip)} ${paint.bold(name)}  is disabled or ending: left as it is`,
      ),
    ]);
    if (report.restarted.length === 0 && all) context.notify("no server is enabled, so none is restarted");
  },
});

function requireOneChoice(names: readonly string[], all: boolean): void {
  if (names.length === 0 && !all) {
    throw new MountaineerError("usage", "no server was named", {
      hint: "name them, or say --all",
    });
  }
  if (names.length > 0 && all) {
    throw new MountaineerError("usage", "--all cannot be used with names", {
      hint: "give only one",
    });
  }
}

const backendsLogsCommand = command("backends logs", {
  takesUrl: true,
  summary: "print what an MCP server writes on stderr",
  description: "The newest 200 lines, oldest first, across restarts. A server over HTTP has none.",
  examples: {
    "mountaineer backends logs files": "see why it fails",
    "mountaineer backends logs files | tail -5": "its last lines",
  },
  exits: { 8: "no daemon runs" },
  takes: BACKEND_ARGUMENT,
  async run(context, { name }) {
    const { printableLines } = await import("../../runtime/text/plain-text.ts");
    const report = await callDaemon(context, RUNNING_BACKENDS, "logs", { backend: name });
    const text = report.lines.map((line) => `${line}\n`).join("");
    showResult(context, report, () => (context.isTerminal ? printableLines(text) : text));
    if (report.lines.length === 0 && !context.json) context.notify("it has written nothing");
  },
});

const backendsLoginCommand = command("backends login", {
  summary: "sign in to an MCP server in the browser",
  description:
    "The daemon keeps the tokens encrypted, and renews them. Sign in again when a condition asks for it, or for more scopes.",
  examples: {
    "mountaineer backends login tickets": "sign in, in this machine's browser",
    "mountaineer backends login tickets --no-browser": "over SSH",
    "mountaineer backends login tickets --as ben": "let Ben sign in here, for himself",
  },
  exits: { 2: "there is no such server" },
  takes: {
    ...BACKEND_ARGUMENT,
    "--no-browser": "only print the address, and ask for the one the browser ends at",
    "--scope <scope...>": "also ask for these scopes",
    "--as <user>": AS_USER,
    "--yes": "do not ask whose account it becomes",
  },
  async run(context, { name, browser, scope, as: user, yes }) {
    const next = `The account that signs in next becomes ${user}'s. Go ahead?`;
    if (user !== null && !yes && !(await confirms(context, next))) return FAILED_EXIT;
    const method = browser === false ? "paste" : "browser";
    const order = { backend: name, user, method, moreScopes: scope } as const;
    const report = await (await openSignIn(context)).login(order, personAt(context, method), context.signal);
    showResult(context, report, (paint) => loginLines(paint, report));
    await restartBackend(context, name, user);
    return 0;
  },
});

function personAt(context: Terminal, method: "browser" | "paste"): LoginPerson {
  const { notify, stdin } = context;
  return {
    visit(address) {
      notify(`Sign in here: ${printable(address)}`);
      if (method === "browser") void openBrowser(address);
    },
    async paste(signal) {
      const question = "Paste the address at which the browser ended, even if it shows an error: ";
      return context.prompt === null ? readFirstLine({ stdin, signal }) : context.prompt(question);
    },
  };
}

/** Ignores a missing browser: the address was printed. */
async function openBrowser(address: string): Promise<void> {
  const { openInBrowser } = await import("../sessions/web-browser.ts");
  await openInBrowser(address).catch(recoverFrom(isOwnError));
}

function loginLines(
  paint: Paint,
  { backend, issuer, scopes, renews_itself, expires_at }: LoginReport,
): string[] {
  const what = scopes === null ? "" : `, with the scopes ${printable(scopes.join(" "))}`;
  const done = doneLine(
    paint,
    `${paint.bold(printable(backend))}  is signed in at ${printable(issuer)}${what}`,
  );
  if (renews_itself) return [done];
  const until = expires_at === null ? "" : `, ${expires_at}`;
  return [done, `  The server gave nothing to renew it with: sign in again when it ends${until}.`];
}

const backendsLogoutCommand = command("backends logout", {
  summary: "forget the sign-in to an MCP server",
  description: "Removes the tokens and the registered client, here and at the server.",
  examples: { "mountaineer backends logout tickets": "sign out" },
  exits: { 2: "there is no such server" },
  takes: { ...BACKEND_ARGUMENT, "--as <user>": AS_USER },
  async run(context, { name, as: user }) {
    const report = await (await openSignIn(context)).logout(name, user, context.signal);
    showResult(context, report, (paint) => {
      const shown = paint.bold(printable(name));
      if (!report.was_signed_in) return [`${paint.dim(paint.symbols.skip)} ${shown}  was not signed in`];
      return [doneLine(paint, `${shown}  is signed out${report.revoked ? ", and its server notified" : ""}`)];
    });
    if (report.was_signed_in) await restartBackend(context, name, user);
  },
});

export const BACKENDS_COMMANDS: GroupedCommands = {
  group: {
    name: "backends",
    summary: "see, add, change and restart MCP servers",
    description: "They are configured as [backends.NAME].",
    examples: {
      "mountaineer backends list": "see how they are",
      "mountaineer backends add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents":
        "add one",
      "mountaineer backends logs files": "see its output",
    },
  },
  commands: [
    backendsListCommand,
    backendsAddCommand,
    backendsEditCommand,
    backendsRemoveCommand,
    backendsEnableCommand,
    backendsDisableCommand,
    backendsRestartCommand,
    backendsLogsCommand,
    backendsLoginCommand,
    backendsLogoutCommand,
  ],
};
