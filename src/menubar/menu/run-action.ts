// Runs an action of the menu: one call of the management API, or one program, each with a deadline.

import { basename, normalize, relative } from "node:path/posix";
import { connectToDaemon, type DaemonClient } from "../../api/client/client.ts";
import type { AliasReport, ConfigMistakeWire, ReloadReport } from "../../api/contract.ts";
import { actionsFor, actionWith, sentence } from "../../api/words/actions.ts";
import { reloadOutcome } from "../../api/words/outcome-words.ts";
import { nameKey, parseAliasName } from "../../config/values/names.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MenuAction } from "./action.ts";
import { approveWaiting, type YesQuestion } from "./approve-waiting.ts";
import type { FolderPlace } from "./menu.ts";
import type { ActionOutcome } from "./world.ts";

/** A failover of many shares takes time, and nobody waits for it in front of the menu. */
const STEPS_DEADLINE_MS = 120_000;
const ASK_DEADLINE_MS = 20_000;
const OPEN_DEADLINE_MS = 10_000;
/** A window waits for a person; one that was forgotten does not wait for ever. */
const CHOICE_DEADLINE_MS = 10 * 60_000;
const SOURCE = "menu";

/** Without the actions about the menu itself, which the face performs. */
export type RunnableAction = Exclude<MenuAction, { kind: "quit" | "dismiss" }>;

export interface ActionPorts {
  /** Absolute. */
  readonly home: string;
  readonly clock: Clock;
  /** Shows a path on the desktop; rejects when no program could be started for it. */
  readonly openPath: (path: string, signal: AbortSignal) => Promise<void>;
  /** Asks a person for a folder, beginning at `folder`; null when they want none of it. */
  readonly chooseFolder: (prompt: string, folder: string, signal: AbortSignal) => Promise<string | null>;
  /** Asks a person in a window; false: they want none of it. */
  readonly askYes: (question: YesQuestion, signal: AbortSignal) => Promise<boolean>;
  /** Starts the daemon, and resolves once it answers. */
  readonly startDaemon: (signal: AbortSignal) => Promise<void>;
}

/** Never rejects: what went wrong is the outcome. Ends at its deadline, or when `signal` aborts, whatever hangs. */
export async function runAction(
  action: RunnableAction,
  ports: ActionPorts,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const limit = new AbortController();
  const late = new MountaineerError("timed_out", `no answer within ${deadlineOf(action) / 1000} s`);
  const timer = ports.clock.setTimer(deadlineOf(action), () => limit.abort(late));
  const either = AbortSignal.any([signal, limit.signal]);
  try {
    // Some waits (a connect, a program) end later than their signal.
    return await unlessAborted(perform(action, ports, either), either);
  } catch (error) {
    // The error of a call that was cut off says only that; people want to know the reason.
    const reason = limit.signal.aborted && !signal.aborted ? late : error;
    const hint = reason instanceof MountaineerError ? reason.hint : null;
    return { action, ok: false, text: `${titleOf(action)}: ${errorText(reason)}`, hint, results: [] };
  } finally {
    timer[Symbol.dispose]();
  }
}

function deadlineOf({ kind }: RunnableAction): number {
  if (kind === "do") return STEPS_DEADLINE_MS;
  if (kind === "alias-choose" || kind === "approve") return CHOICE_DEADLINE_MS;
  return kind === "open" ? OPEN_DEADLINE_MS : ASK_DEADLINE_MS;
}

/** What a person clicked, for the line that says what became of it. */
function titleOf(action: MenuAction): string {
  switch (action.kind) {
    case "do":
      return `${sentence(action.id.join(" "))}${action.force ? " by force" : ""}`;
    case "toggle":
      return `Set ${action.setting}`;
    case "approve":
      return "Approve";
    case "alias-choose":
      return `Alias in ${action.share}`;
    case "alias-add":
      return `Alias in ${action.share}`;
    case "alias-remove":
      return `Remove the alias ${action.alias}`;
    case "alias-repair":
      return "Repair the aliases";
    case "open":
      return `Open ${action.path}`;
    case "start":
      return "Start Mountaineer";
    case "dismiss":
      return "Dismiss";
    case "quit":
      return "Quit";
  }
}

async function perform(
  action: RunnableAction,
  ports: ActionPorts,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  if (action.kind === "open") {
    await ports.openPath(action.path, signal);
    return done(action, "opened");
  }
  if (action.kind === "start") {
    await ports.startDaemon(signal);
    return done(action, "started");
  }
  const daemon = await connectToDaemon(ports.home, { clock: ports.clock });
  if (daemon === null)
    throw new MountaineerError("daemon_unreachable", "Mountaineer is not running", {
      hint: "start it in this menu, or with: mountaineer up",
    });
  if (action.kind === "do") return doAction(action, daemon, signal);
  if (action.kind === "alias-choose") return chooseAlias(action, daemon, ports, signal);
  if (action.kind === "approve") return approveWaiting(action, daemon, ports, signal);
  if (action.kind === "alias-add") return addAlias(action, action, daemon, signal);
  return ask(action, daemon, signal);
}

/** As things are now: the item may be older. */
async function doAction(
  action: Extract<MenuAction, { kind: "do" }>,
  daemon: DaemonClient,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const known = actionWith(actionsFor(await daemon.ask("status", null, signal)), ...action.id);
  if (known === null) throw new MountaineerError("usage", "it is not configured any more");
  const { tone, text, hint, results } = await known.perform(daemon.ask, signal, action.force);
  const failed = results.some(({ result }) => result === "busy");
  return { action, ok: tone !== "bad" && !failed, text: `${sentence(known.name)}: ${text}`, hint, results };
}

/** The window is a program of its own: a share that hangs blocks only that. */
async function chooseAlias(
  action: Extract<MenuAction, { kind: "alias-choose" }>,
  daemon: DaemonClient,
  { chooseFolder }: ActionPorts,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { shares } = await daemon.ask("status", null, signal);
  const share = shares.find(({ name }) => name === action.share);
  if (share === undefined) throw new MountaineerError("share_unknown", "it is not configured any more");
  const chosen = await chooseFolder(`A folder in ${share.name} to link to`, share.stable_path, signal);
  if (chosen === null) return done(action, "nothing was chosen");
  const subpath = subpathIn(chosen, [share.stable_path, share.mount_path]);
  if (subpath === null)
    throw new MountaineerError("usage", `${chosen} is no folder inside of the share`, {
      hint: "choose a folder below the share's own",
    });
  return addAlias(action, { share: share.name, subpath }, daemon, signal);
}

async function addAlias(
  action: MenuAction,
  { share, subpath }: FolderPlace,
  daemon: DaemonClient,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { aliases = [] } = await daemon.ask("status", null, signal);
  const name = freeName(aliasNameOf(subpath), new Set(aliases.map((alias) => nameKey(alias.name))));
  const entry = { name, share, target_subpath: subpath };
  const { errors, reload } = await daemon.ask(
    "edit",
    { edits: [{ add: "aliases", entry }], source: SOURCE },
    signal,
  );
  const outcome = ofReload(action, errors, reload);
  return outcome.ok ? ofAliases(action, await daemon.ask("reconcileAliases", null, signal), name) : outcome;
}

/** null: outside of the share, or its root. Paths are compared as texts; nothing is read. */
function subpathIn(chosen: string, tops: readonly string[]): string | null {
  const path = normalize(chosen);
  for (const top of tops) {
    const subpath = relative(top, path);
    if (subpath !== "" && subpath !== ".." && !subpath.startsWith("../")) return subpath.replace(/\/+$/, "");
  }
  return null;
}

/** The folder's own name, as far as an alias can have that name. */
function aliasNameOf(subpath: string): string {
  const name = basename(subpath).normalize("NFC").trim();
  return parseAliasName(name).ok ? name : "folder";
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted;
  for (let copy = 2; taken.has(nameKey(name)); copy += 1) name = `${wanted} ${copy}`;
  return name;
}

function ofAliases(action: MenuAction, { aliases }: AliasReport, name: string | null): ActionOutcome {
  const asked = name === null ? aliases : aliases.filter((alias) => alias.name === name);
  const wrong = asked.filter(({ link }) => link !== "right");
  const text = wrong.map((alias) => `${alias.name}: ${alias.detail ?? alias.link}`).join("; ");
  if (wrong.length === 0) return done(action, name === null ? "all links are right" : `${name} is there`);
  return { action, ok: false, text: `${titleOf(action)}: ${text}`, hint: null, results: [] };
}

async function ask(
  action: Extract<RunnableAction, { kind: "toggle" | "alias-remove" | "alias-repair" }>,
  daemon: DaemonClient,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  switch (action.kind) {
    case "toggle": {
      const edits = [{ key: `global.${action.setting}`, value: String(action.on) }];
      const { errors, reload } = await daemon.ask("edit", { edits, source: SOURCE }, signal);
      return ofReload(action, errors, reload);
    }
    case "alias-remove": {
      const edits = [{ remove: "aliases" as const, name: action.alias }];
      const { errors, reload } = await daemon.ask("edit", { edits, source: SOURCE }, signal);
      const outcome = ofReload(action, errors, reload);
      // The link goes with it, if it is ours.
      if (outcome.ok) await daemon.ask("reconcileAliases", null, signal);
      return outcome;
    }
    case "alias-repair":
      return ofAliases(action, await daemon.ask("reconcileAliases", null, signal), null);
  }
}

function done(action: MenuAction, what: string): ActionOutcome {
  return { action, ok: true, text: `${titleOf(action)}: ${what}`, hint: null, results: [] };
}

function ofReload(
  action: MenuAction,
  errors: readonly ConfigMistakeWire[],
  report: ReloadReport | null,
): ActionOutcome {
  const { failure = null, summary = "done" } = report ?? {};
  const { tone, text, hint } = reloadOutcome({ errors: [...errors], failure, summary });
  return { action, ok: tone === "good", text: `${titleOf(action)}: ${text}`, hint, results: [] };
}
