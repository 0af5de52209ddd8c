// `connect`: makes an MCP client use Mountaineer, or undoes that. Shows the change of the client's file, and
// asks before it is written.
import { servingNames } from "../../api/client/backend-phases.ts";
import type { BackendStatus } from "../../api/contract/contract.ts";
import { CLIENTS, type ClientName, hasOwnFile, type OwnProgram } from "../../clients/client.ts";
import { editedClientText } from "../../clients/client-edit.ts";
import { ownProgram } from "../../clients/client-entry.ts";
import {
  type ConnectionPlan,
  type ConnectionSurroundings,
  clientFilePath,
  entryNameIn,
  type KnownBackends,
  planConnection,
  planDiff,
  planUndo,
  undoCommand,
  writePlan,
} from "../../clients/connection-plan.ts";
import { findHomeContext } from "../../config/home-context.ts";
import { decodedText } from "../../config/read/config-bytes.ts";
import { textValues } from "../../config/read/file-values.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { hasOutcome } from "../edits/backend-outcome.ts";
import type { CommandContext, Signals, Target, Terminal } from "../input/command.ts";
import { confirms } from "../input/confirm.ts";
import { launcherPath } from "../input/launcher-path.ts";
import { doneLine, showJson, showResult } from "../input/options.ts";
import { viewConfig } from "../sessions/config-session.ts";
import { withOperations } from "../sessions/control-session.ts";
import { pollUntil } from "../sessions/poll-until.ts";
import { renderDiff } from "../views/diff-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

/** How long backends may take to start, ms: npx may first download a server. */
const START_WAIT_MS = 30_000;

interface ConnectOptions {
  readonly client: ClientName;
  /** The path of the client's file; null: the client's usual path. */
  readonly file: string | null;
  readonly yes: boolean;
  /** True: the client's file also keeps the servers that the client now gets through Mountaineer. */
  readonly keepOthers: boolean;
}

/** Prints the entry that a person can add to the client's file by hand. */
export async function printEntry(context: Terminal & Target, options: ConnectOptions): Promise<number> {
  const client = CLIENTS[options.client];
  const surroundings = surroundingsOf(context, options);
  const path = await clientFilePath(client, options.file, surroundings);
  const name = await entryNameIn(client, path, surroundings);
  const entry = client.entry(programOf(context));
  if (context.json) showJson(context, { client: client.name, path, name, entry });
  else {
    context.notify(`for ${path}:`);
    context.print(await editedClientText(client, "", [{ name, entry }]));
  }
  return 0;
}

/** Resolves with the exit code. Rejects with `client_unreadable`; nothing is written then. */
export async function connectClient(context: CommandContext, options: ConnectOptions): Promise<number> {
  const client = CLIENTS[options.client];
  const known = options.keepOthers ? null : knownBackends(context, client.title);
  const plan = await planConnection(client, programOf(context), known, surroundingsOf(context, options));
  for (const remark of plan.notes) context.notify(remark);
  if (plan.after === plan.text) {
    if (!context.json) context.notify(`${client.title} uses Mountaineer already: ${plan.path}`);
    return showChange(context, plan, { connected: true, changed: false });
  }
  if (!(await showAndConfirm(context, plan, options.yes)))
    return showChange(context, plan, { connected: false, changed: false }, FAILED_EXIT);
  await writePlan(context.home, plan);
  showChange(context, plan, { connected: true, changed: true });
  if (context.json) return 0;
  if (client.afterwards !== null) context.print(`  next: ${client.afterwards}\n`);
  context.print(`  ${undoCommand(client, plan.path)} puts its file back\n`);
  return 0;
}

/**
 * Undoes `connectClient`. Resolves with the exit code. Rejects with `client_unreadable`; nothing is written
 * then.
 */
export async function disconnectClient(context: Terminal & Target, options: ConnectOptions): Promise<number> {
  const plan = await planUndo(CLIENTS[options.client], surroundingsOf(context, options));
  const { client, path, text, after } = plan;
  const changed = after !== text;
  if (changed && !(await showAndConfirm(context, plan, options.yes)))
    return showChange(context, plan, { connected: true, changed: false }, FAILED_EXIT);
  await writePlan(context.home, plan);
  if (!changed && !context.json) context.notify(`${client.title} does not use Mountaineer: ${path}`);
  return showChange(context, plan, { connected: false, changed });
}

export function surroundingsOf(
  { home }: Target,
  { file }: Pick<ConnectOptions, "file">,
): ConnectionSurroundings {
  const environment = process.env;
  return { home, file, userHome: findHomeContext(environment).userHome, environment, folder: process.cwd() };
}

function knownBackends(context: CommandContext, title: string): KnownBackends {
  return {
    config: () =>
      viewConfig(context, async ({ read, format }) => {
        const bytes = await read();
        return bytes === null ? {} : textValues(decodedText(bytes), format);
      }),
    serving(names) {
      context.notify(`checking which servers of ${title} serve here, for up to ${START_WAIT_MS / 1000} s`);
      return readyBackends(context, names);
    },
  };
}

/**
 * Waits until the `wanted` backends have started or failed. Resolves with all backends that serve. Without a daemon,
 * starts them in this process.
 */
function readyBackends(context: Target & Signals, wanted: readonly string[]): Promise<readonly string[]> {
  const { signal } = context;
  return withOperations(context, "look", async (call) => {
    const limits = { withinMs: START_WAIT_MS, signal };
    const readBackends = async () => (await call("status", null, signal)).backends ?? [];
    // Without a daemon, this starts the backends and waits for them.
    await call("tools", null, signal);
    const areReady = (backends: readonly BackendStatus[]) =>
      backends.every((one) => !wanted.includes(one.name) || hasOutcome(one));
    return servingNames(await pollUntil(limits, readBackends, areReady));
  });
}

async function showAndConfirm(context: Terminal, plan: ConnectionPlan, yes: boolean): Promise<boolean> {
  if (context.json) return yes;
  context.print(renderDiff(await planDiff(plan), context.stdoutStyle));
  return yes || confirms(context, "Change it so?");
}

export function programOf({ home, configPath }: Target): OwnProgram {
  return ownProgram({ launcher: launcherPath(), home, configPath, environment: process.env });
}

/** Returns `exit`. */
function showChange(
  context: Terminal,
  { client, path }: ConnectionPlan,
  done: { readonly connected: boolean; readonly changed: boolean },
  exit = 0,
): number {
  const line = done.connected ? "uses Mountaineer now" : "is as it was";
  showResult(context, { client: client.name, path, ...done }, (paint) =>
    done.changed ? [doneLine(paint, printable(`${client.title} ${line}: ${path}`))] : "",
  );
  return exit;
}

/** The client that a typed name means; null: the person chose neither. Without a terminal, and with `yes`, it is not asked. */
export async function meantClient(
  context: Terminal,
  name: ClientName,
  yes: boolean,
): Promise<ClientName | null> {
  if (name !== "claude") return name;
  const { userHome } = findHomeContext(process.env);
  const surroundings = { userHome, environment: process.env, folder: process.cwd() };
  const [desktop, code] = await Promise.all([
    hasOwnFile("claude", surroundings),
    hasOwnFile("claude-code", surroundings),
  ]);
  if (desktop !== code) {
    if (code) context.notify("claude is Claude Code here: Claude Desktop has no file");
    return desktop ? "claude" : "claude-code";
  }
  const { prompt, json } = context;
  if (prompt === null || yes || json) {
    context.notify("claude is taken for Claude Desktop; Claude Code is claude-code");
    return "claude";
  }
  const answer = (await prompt("Which Claude: Claude Desktop or Claude Code? [d/c] ")).trim();
  if (/^(d|desktop|claude desktop)$/i.test(answer)) return "claude";
  if (/^(c|code|claude.code)$/i.test(answer)) return "claude-code";
  context.notify("nothing was changed");
  return null;
}
