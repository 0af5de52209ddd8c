// Runs an action of the menu: one call of the management API, or one program, each with a deadline.

import { basename, normalize, relative } from "node:path/posix";
import { connectToDaemon, type DaemonClient } from "../../api/client/client.ts";
import type { AliasReport } from "../../api/contract/contract.ts";
import type { InputOf } from "../../api/operations/operations.ts";
import { actionsFor, actionWith, sentence } from "../../api/words/actions.ts";
import { reloadOutcome } from "../../api/words/outcome-words.ts";
import { nameKey, parseAliasName } from "../../config/values/names.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { DesktopPrograms } from "../desktop/desktop-programs.ts";
import type { MenuAction } from "./action.ts";
import { approveWaiting } from "./approve-waiting.ts";
import { withDeadline } from "./deadline.ts";
import type { FolderPlace } from "./menu.ts";
import type { ActionOutcome } from "./world.ts";

/** A failover of many shares takes time. */
const STEPS_DEADLINE_MS = 120_000;
const ASK_DEADLINE_MS = 20_000;
const OPEN_DEADLINE_MS = 10_000;
/** A window waits for the user, but not for ever. */
const CHOICE_DEADLINE_MS = 10 * 60_000;

/** The actions that run here. The session performs the actions on the menu itself. */
export type RunnableAction = Exclude<MenuAction, { kind: "quit" | "dismiss" }>;

/** `home` is absolute. */
export interface ActionPorts extends DesktopPrograms {
  readonly home: string;
  readonly clock: Clock;
}

/** Never rejects: an error becomes the outcome. Ends at its deadline or when `signal` aborts, even if the work hangs. */
export async function runAction(
  action: RunnableAction,
  ports: ActionPorts,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const limitMs = deadlineOf(action);
  const late = new MountaineerError("timed_out", `no answer within ${limitMs / 1000} s`);
  try {
    return await withDeadline({ clock: ports.clock, limitMs, late }, signal, (until) =>
      // Some work, such as a connection attempt or a program, ends only some time after the signal has aborted.
      unlessAborted(perform(action, ports, until), until),
    );
  } catch (error) {
    const hint = error instanceof MountaineerError ? error.hint : null;
    return outcomeOf(action, false, errorText(error), hint);
  }
}

function deadlineOf({ kind }: RunnableAction): number {
  if (kind === "do") return STEPS_DEADLINE_MS;
  if (kind === "alias-choose" || kind === "approve") return CHOICE_DEADLINE_MS;
  return kind === "open" ? OPEN_DEADLINE_MS : ASK_DEADLINE_MS;
}

function titleOf(action: RunnableAction): string {
  switch (action.kind) {
    case "do":
      return `${sentence(action.id.join(" "))}${action.force ? " by force" : ""}`;
    case "toggle":
      return `Set ${action.setting}`;
    case "approve":
      return "Approve";
    case "alias-choose":
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
  }
}

async function perform(
  action: RunnableAction,
  ports: ActionPorts,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  if (action.kind === "open") {
    await ports.openPath(action.path);
    return outcomeOf(action, true, "opened");
  }
  if (action.kind === "start") {
    await ports.startDaemon(signal);
    return outcomeOf(action, true, "started");
  }
  const daemon = await connectToDaemon(ports.home, { clock: ports.clock });
  if (daemon === null)
    throw new MountaineerError("daemon_unreachable", "Mountaineer is not running", {
      hint: "start it in this menu, or with: mountaineer up",
    });
  const edit = (...edits: InputOf<"edit">["edits"]): Promise<ActionOutcome> =>
    editFile(action, edits, daemon, signal);
  switch (action.kind) {
    case "do":
      return doAction(action, daemon, signal);
    case "approve":
      return outcomeOf(action, true, await approveWaiting(daemon, ports, signal));
    case "toggle":
      return edit({ key: `global.${action.setting}`, value: String(action.on) });
    case "alias-choose":
      return chooseAlias(action, daemon, ports, signal);
    case "alias-add":
      return addAlias(action, action, daemon, signal);
    case "alias-remove": {
      const outcome = await edit({ remove: "aliases", name: action.alias });
      // Removes the alias's link, if Mountaineer has made it.
      if (outcome.ok) await daemon.ask("reconcileAliases", null, signal);
      return outcome;
    }
    case "alias-repair":
      return ofAliases(action, await daemon.ask("reconcileAliases", null, signal), null);
  }
}

/** Uses the current status: the clicked item may be out of date. */
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

/**
 * Asks for a folder of the share in a window, and makes an alias for it. The window is a separate program, so
 * that a share that hangs blocks only the window.
 */
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
  if (chosen === null) return outcomeOf(action, true, "nothing was chosen");
  const subpath = subpathIn(chosen, [share.stable_path, share.mount_path]);
  if (subpath === null)
    throw new MountaineerError("usage", `${chosen} is no folder inside of the share`, {
      hint: "choose a folder below the share's own",
    });
  return addAlias(action, { share: share.name, subpath }, daemon, signal);
}

async function addAlias(
  action: RunnableAction,
  { share, subpath }: FolderPlace,
  daemon: DaemonClient,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { aliases = [] } = await daemon.ask("status", null, signal);
  const name = freeName(aliasNameOf(subpath), new Set(aliases.map((alias) => nameKey(alias.name))));
  const entry = { name, share, target_subpath: subpath };
  const outcome = await editFile(action, [{ add: "aliases", entry }], daemon, signal);
  return outcome.ok ? ofAliases(action, await daemon.ask("reconcileAliases", null, signal), name) : outcome;
}

/**
 * The folder's path within the share; null if it is the share's root or outside of the share. Compares paths
 * as texts, without reading the folder.
 */
function subpathIn(chosen: string, tops: readonly string[]): string | null {
  const path = normalize(chosen);
  for (const top of tops) {
    const subpath = relative(top, path);
    if (subpath !== "" && subpath !== ".." && !subpath.startsWith("../")) return subpath;
  }
  return null;
}

/** The folder's name, or "folder" if an alias cannot have that name. */
function aliasNameOf(subpath: string): string {
  const name = basename(subpath).normalize("NFC").trim();
  return parseAliasName(name).ok ? name : "folder";
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted;
  for (let copy = 2; taken.has(nameKey(name)); copy += 1) name = `${wanted} ${copy}`;
  return name;
}

function ofAliases(action: RunnableAction, { aliases }: AliasReport, name: string | null): ActionOutcome {
  const asked = name === null ? aliases : aliases.filter((alias) => alias.name === name);
  const wrong = asked.filter(({ link }) => link !== "right");
  const text = wrong.map((alias) => `${alias.name}: ${alias.detail ?? alias.link}`).join("; ");
  if (wrong.length > 0) return outcomeOf(action, false, text);
  return outcomeOf(action, true, name === null ? "all links are right" : `${name} is there`);
}

async function editFile(
  action: RunnableAction,
  edits: InputOf<"edit">["edits"],
  daemon: DaemonClient,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { errors, reload } = await daemon.ask("edit", { edits, source: "menu" }, signal);
  const { failure = null, summary = "done" } = reload ?? {};
  const { tone, text, hint } = reloadOutcome({ errors: [...errors], failure, summary });
  return outcomeOf(action, tone === "good", text, hint);
}

function outcomeOf(
  action: RunnableAction,
  ok: boolean,
  text: string,
  hint: string | null = null,
): ActionOutcome {
  return { action, ok, text: `${titleOf(action)}: ${text}`, hint, results: [] };
}
