// The commands `mountaineer backends ...`.

import type { LoginPerson, LoginReport } from "../../api/backend-sign-in.ts";
import type { TypedBackend } from "../../config/edit/new-backend.ts";
import { expecting, isOwnError, MountaineerError } from "../../runtime/errors.ts";
import type { Paint } from "../../runtime/text/paint.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { openSignIn } from "../in-process/open.ts";
import { BACKEND_OPTIONS } from "../input/backend-options.ts";
import { type CommandContext, command, type GroupedCommands } from "../input/command.ts";
import { doneLine, showResult, WAIT_OPTION } from "../input/options.ts";
import { readFirstLine } from "../input/standard-input.ts";
import { askDaemon } from "../sessions/control-session.ts";
import { RUNNING_BACKENDS } from "../sessions/gateway-session.ts";
import { restartBackend } from "../sessions/sign-in-notice.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { backendsListCommand } from "./backends-list.ts";

const BACKEND_ARGUMENT = { "<name>": { about: "the backend", completes: "backends" } } as const;

const backendsAddCommand = command("backends add", {
  summary: "add an MCP server to the configuration and start it",
  description:
    "What stands behind -- is started as it is, never through a shell. Returns when it is known whether the server " +
    "serves; it is saved all the same, and a daemon goes on trying. A value that looks like a secret is not written " +
    "into the file: at a terminal you are asked whether to keep it as a secret, elsewhere it is refused. The " +
    "first server makes a token, as init does: HTTP clients must send it.",
  examples: {
    "mountaineer backends add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents":
      "a program",
    "mountaineer backends add tickets --url https://tickets.example/mcp --header 'Authorization: Bearer ${TICKETS_TOKEN}'":
      "a server that is elsewhere",
    "mountaineer backends add github --env GITHUB_TOKEN=secret:github -- github-mcp-server stdio":
      "with a kept secret",
    "mountaineer backends add fetch --registry io.github.example/fetch": "from the MCP registry",
  },
  exits: {
    0: "it serves; or it is saved, and no daemon runs, or it is disabled",
    1: "it is saved, and does not serve; or the registry has no such server, or nobody agreed, and nothing was written",
    2: "a backend of that name is there, or a value is a secret; nothing was written",
  },
  takes: {
    "<name>": "its name here",
    "[command...]": "the program and its arguments, behind --; or an address",
    ...BACKEND_OPTIONS,
    "--registry <server>": "take what is to be started from the MCP registry, pinned to its newest version",
    "--input <name=value>": {
      about: "a value that the registry's server wants; may be given again",
      isList: true,
    },
    "--yes": "do not ask whether what the registry says is to be added",
    "--disabled": "do not start it",
    "--no-token": "make no token for clients with the first server",
    ...WAIT_OPTION,
  },
  async run(context, { name, command: words, registry: server, wait: waitMs, ...given }) {
    const { readBackendName, readBackendOptions } = await import("../input/backend-options.ts");
    const { addBackend, requireFreeName, showChange } = await import("../edits/backend-change.ts");
    const typed = readBackendOptions(given, words);
    const backend = readBackendName(name);
    // A program's own -y, as in `backends add NAME npx -y PACKAGE`, is read as --yes.
    if (server === null && given.yes) {
      throw new MountaineerError("usage", "--yes is for what --registry says", {
        hint: `a program's own options stand behind --: mountaineer backends add ${backend} -- PROGRAM -y …`,
      });
    }
    let whole: TypedBackend | null = typed;
    if (server !== null) {
      // Before inputs are asked for and secrets kept.
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

function nameAndValue(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

const backendsEditCommand = command("backends edit", {
  summary: "change what an MCP server is started with",
  description:
    "Takes the options of backends add; what is not named stays. A program given behind -- replaces the program and all " +
    "its arguments. The new instance takes over when it is ready; until then, and if it does not come up, the old one serves.",
  examples: {
    "mountaineer backends edit files -- npx -y @modelcontextprotocol/server-filesystem ~/Projects":
      "give it another folder",
    "mountaineer backends edit search --set timeouts.call=120": "change one key",
    "mountaineer backends edit search --unset env.DEBUG": "take one out",
  },
  exits: {
    0: "it serves with the change; or it is saved, and no daemon runs",
    1: "it is saved, and does not serve with the change",
    2: "there is no such backend, or a value is a secret; nothing was written",
  },
  takes: {
    ...BACKEND_ARGUMENT,
    "[command...]": "another program with its arguments, behind --; or an address",
    ...BACKEND_OPTIONS,
    "--unset <key>": { about: "take a key out, as in env.DEBUG; may be given again", isList: true },
    ...WAIT_OPTION,
  },
  async run(context, { name, command: words, unset, wait: waitMs, ...given }) {
    const { readBackendOptions } = await import("../input/backend-options.ts");
    const { editBackend, showChange } = await import("../edits/backend-change.ts");
    const typed = readBackendOptions(given, words);
    const { allowLiteral } = given;
    const changed = await editBackend(context, name, typed, unset, { waitMs, allowLiteral });
    return showChange(context, changed, "is changed");
  },
});

const backendsRemoveCommand = command("backends remove", {
  summary: "remove an MCP server from the configuration",
  description:
    "Its tools leave the catalog at once; calls in flight finish. mountaineer config rollback brings it back. Secrets that " +
    "it used stay kept.",
  examples: { "mountaineer backends remove files": "remove one" },
  exits: { 1: "the file that lacks it does not run", 2: "there is no such backend" },
  takes: BACKEND_ARGUMENT,
  async run(context, { name }) {
    const { removeBackend, showChange } = await import("../edits/backend-change.ts");
    return showChange(context, await removeBackend(context, name), "is removed");
  },
});

const backendsEnableCommand = command("backends enable", {
  summary: "start an MCP server that was disabled",
  description: "Returns when it is known whether it serves.",
  examples: { "mountaineer backends enable files": "start one again" },
  exits: { 1: "it is saved, and does not serve", 2: "there is no such backend" },
  takes: { ...BACKEND_ARGUMENT, ...WAIT_OPTION },
  run: (context, { name, wait }) => enable(context, name, true, wait),
});

const backendsDisableCommand = command("backends disable", {
  summary: "end an MCP server and keep its configuration",
  description:
    "Its tools leave the catalog at once; calls in flight finish. mountaineer backends enable starts it again.",
  examples: { "mountaineer backends disable files": "end one for now" },
  exits: { 1: "it is saved, and does not run", 2: "there is no such backend" },
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
  summary: "start backends anew, without losing a call",
  description:
    "A running one serves until the new one is ready, and finishes the calls it has; one that failed is tried again " +
    "at once. Answers when the restart is begun: mountaineer backends list tells how it goes.",
  examples: {
    "mountaineer backends restart files": "start one anew",
    "mountaineer backends restart --all": "start all anew",
  },
  exits: { 2: "there is no backend of that name; then none is restarted", 8: "no daemon runs" },
  takes: {
    "[names...]": { about: "the backends", completes: "backends" },
    "--all": "all backends that are enabled",
  },
  async run(context, { names, all }) {
    requireOneWay(names, all);
    const report = await askDaemon(context, RUNNING_BACKENDS, "restart", {
      backends: all ? null : [...new Set(names)],
    });
    const left = names.filter((name) => !report.restarted.includes(name)).map(harmless);
    showResult(context, report, (paint) => [
      ...report.restarted.map((name) => doneLine(paint, `${paint.bold(harmless(name))}  is started anew`)),
      ...left.map(
        (name) =>
          `${paint.dim(paint.symbols.skip)} ${paint.bold(name)}  is disabled or ending: left as it is`,
      ),
    ]);
    if (report.restarted.length === 0 && all) context.note("no backend is enabled, so none is restarted");
  },
});

function requireOneWay(names: readonly string[], all: boolean): void {
  if (names.length === 0 && !all) {
    throw new MountaineerError("usage", "no backend was named", {
      hint: "name them, or say --all",
    });
  }
  if (names.length > 0 && all) {
    throw new MountaineerError("usage", "--all cannot be used with names", {
      hint: "leave one of them out",
    });
  }
}

const backendsLogsCommand = command("backends logs", {
  summary: "print what a backend wrote to its stderr",
  description:
    "The newest 200 lines, oldest first, over its restarts. They are in the daemon's log, too. A server over HTTP " +
    "writes none.",
  examples: {
    "mountaineer backends logs files": "see why it fails",
    "mountaineer backends logs files | tail -5": "its last words",
  },
  exits: { 8: "no daemon runs" },
  takes: BACKEND_ARGUMENT,
  async run(context, { name }) {
    const { harmlessLines } = await import("../../runtime/text/plain-text.ts");
    const report = await askDaemon(context, RUNNING_BACKENDS, "logs", { backend: name });
    const text = report.lines.map((line) => `${line}\n`).join("");
    showResult(context, report, () => (context.isTerminal ? harmlessLines(text) : text));
    if (report.lines.length === 0 && !context.json) context.note("it has written nothing");
  },
});

const backendsLoginCommand = command("backends login", {
  summary: "sign in to a backend's server in the browser",
  description:
    "Opens the page of the server's authorization server, and prints its address as well. The tokens are kept in this " +
    "home, encrypted with a key from the keyring where there is one, and the daemon renews them. Repeat it when a " +
    "condition asks for it, or for more scopes.",
  examples: {
    "mountaineer backends login tickets": "sign in, in the browser of this machine",
    "mountaineer backends login tickets --device": "with a code, at any other device",
    "mountaineer backends login tickets --no-browser": "over SSH: paste where the browser ended",
  },
  exits: { 2: "there is no backend of that name" },
  takes: {
    ...BACKEND_ARGUMENT,
    "--device": "sign in with a code at another device, where the server offers it",
    "--no-browser": {
      about: "only print the address, and read the one that the browser ended at",
      conflicts: ["device"],
    },
    "--scope <scope...>": "ask for these scopes, too",
  },
  async run(context, { name, device, browser, scope }) {
    const way = device ? "device" : browser === false ? "paste" : "browser";
    const order = { backend: name, way, moreScopes: scope } as const;
    const report = await (await openSignIn(context)).login(order, personAt(context, way), context.signal);
    showResult(context, report, (paint) => loginLines(paint, report));
    await restartBackend(context, name);
  },
});

function personAt(context: CommandContext, way: "browser" | "paste" | "device"): LoginPerson {
  const { note, stdin } = context;
  return {
    visit(address) {
      note(`Sign in here: ${harmless(address)}`);
      if (way === "browser") void openBrowser(address);
    },
    showCode(code, address, completeAddress) {
      note(
        `Open ${harmless(completeAddress ?? address)} on any device, and enter the code ${harmless(code)}`,
      );
    },
    async paste(signal) {
      const question = "Paste the address at which the browser ended, even if it shows an error: ";
      return context.ask === null ? readFirstLine("address", { stdin, signal }) : context.ask(question);
    },
  };
}

/** Ignores a missing browser: the address was printed. */
async function openBrowser(address: string): Promise<void> {
  const { openInBrowser } = await import("../sessions/web-browser.ts");
  await openInBrowser(address).catch(expecting(isOwnError));
}

function loginLines(
  paint: Paint,
  { backend, issuer, scopes, renews_itself, expires_at }: LoginReport,
): string[] {
  const what = scopes === null ? "" : `, with the scopes ${harmless(scopes.join(" "))}`;
  const done = doneLine(
    paint,
    `${paint.bold(harmless(backend))}  is signed in at ${harmless(issuer)}${what}`,
  );
  if (renews_itself) return [done];
  const until = expires_at === null ? "" : `, ${expires_at}`;
  return [done, `  The server gave nothing to renew it with: sign in again when it ends${until}.`];
}

const backendsLogoutCommand = command("backends logout", {
  summary: "forget the sign-in to a backend's server",
  description:
    "Removes the tokens and the client that was registered for them, and tells the server, so that they are of no use to " +
    "anybody. The next login begins anew.",
  examples: { "mountaineer backends logout tickets": "sign out" },
  exits: { 2: "there is no backend of that name" },
  takes: BACKEND_ARGUMENT,
  async run(context, { name }) {
    const report = await (await openSignIn(context)).logout(name, context.signal);
    showResult(context, report, (paint) => {
      const shown = paint.bold(harmless(name));
      if (!report.was_signed_in) return [`${paint.dim(paint.symbols.skip)} ${shown}  was not signed in`];
      return [doneLine(paint, `${shown}  is signed out${report.revoked ? ", and its server was told" : ""}`)];
    });
    if (report.was_signed_in) await restartBackend(context, name);
  },
});

export const BACKENDS_COMMANDS: GroupedCommands = {
  group: {
    name: "backends",
    summary: "see, add, change and restart the MCP servers behind the gateway",
    description: "They are configured as [backends.NAME], and started, stopped and replaced by the daemon.",
    examples: {
      "mountaineer backends list": "see how they are",
      "mountaineer backends add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents":
        "add one",
      "mountaineer backends logs files": "see what it says",
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
