// Lasting problems that do not belong to one backend.
import { standingSince } from "../../reconcile/decision.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { safeLine } from "../../runtime/text/safe-line.ts";
import { missingHint, missingText } from "../../secrets/reference.ts";
import type { BackendCondition } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog, InvisibleTextEntry } from "../catalog/catalog.ts";
import { newCollisions } from "../catalog/diff-catalogs.ts";
import type { KeyState } from "../middleware/incoming-auth.ts";
import { CALL_TOOL, FIND_TOOL, RUN_SCRIPT } from "../middleware/middleware.ts";
import { memberChanges } from "../pins/pinned-entry.ts";
import { type PendingChange, type PinsState, shortDiff, shownName } from "../pins/pins.ts";
import type { GatewayRules } from "./gateway-rules.ts";
import { mayOptimize, mayRunScripts } from "./selection.ts";

const NO_PINS: PinsState = {
  pending: [],
  beyond: new Map(),
  lost: null,
  isUnread: false,
  unsavedBecause: null,
};

interface StoredState {
  readonly sessionsUnsavedBecause: string | null;
  readonly namesLost: string | null;
}

const NOTHING_WRONG: StoredState = { sessionsUnsavedBecause: null, namesLost: null };

/** If `sinceMs` is absent, the condition counts from when it was first found. */
type FoundCondition = Omit<BackendCondition, "sinceMs"> & { readonly sinceMs?: number };

type Add = (
  severity: BackendCondition["severity"],
  code: string,
  title: string,
  hint: string,
  sinceMs?: number,
) => void;

function collected(fill: (add: Add) => void): readonly FoundCondition[] {
  const found: FoundCondition[] = [];
  fill((severity, code, title, hint, sinceMs) =>
    found.push({ code, severity, title, hint, ...(sinceMs !== undefined && { sinceMs }) }),
  );
  return found;
}

/** The returned function keeps the time when each condition was first found. */
export function createGatewayConditions(wallMs: () => number) {
  let since: ReadonlyMap<string, number> = new Map();
  return (
    rules: GatewayRules,
    catalog: Catalog,
    listening: BackendCondition | null,
    pins: PinsState = NO_PINS,
    url: string | null = null,
    stored: StoredState = NOTHING_WRONG,
  ): readonly BackendCondition[] => {
    const now = wallMs();
    const found = [
      ...(listening === null ? [] : [listening]),
      ...collected((add) => {
        addRules(rules, add);
        addNames(rules, catalog, add);
        addSignIn(rules, url, add);
        addTelemetry(rules, add);
        addTrust(pins, catalog, add);
        addStored(stored, add);
      }),
    ];
    since = standingSince(
      found.map((condition) => ({ code: keyOf(condition) })),
      since,
      now,
    );
    return found.map((condition) => ({
      ...condition,
      sinceMs: condition.sinceMs ?? since.get(keyOf(condition)) ?? now,
    }));
  };
}

function keyOf({ code, title }: FoundCondition): string {
  return `${code} ${title}`;
}

function addRules({ authentication: { missing }, auditFile }: GatewayRules, add: Add): void {
  if (missing.length > 0) {
    const title = `These tokens are unusable: ${missingText(missing)}`;
    add("error", "auth_token_missing", title, missingHint(missing));
  }
  if (auditFile === null || auditFile.state.kind !== "failing") return;
  const { reason, sinceMs, dropped } = auditFile.state;
  const title = `The audit cannot be written: ${reason}${dropped === 0 ? "" : ` (${dropped} lines lost)`}`;
  const hint = "Requests are served without it; free some space, or set another [audit].path.";
  add("error", "audit_not_written", title, hint, sinceMs);
}

function addNames({ config }: GatewayRules, catalog: Catalog, add: Add): void {
  if (config.conflictResolution.strategy === "error") addCollisions(catalog, add);
  else addHidden(catalog, add);
  if (mayOptimize(config)) {
    addBehindOwnTools(catalog, [FIND_TOOL, CALL_TOOL], "tools are found instead of listed", add);
  }
  if (mayRunScripts(config)) addBehindOwnTools(catalog, [RUN_SCRIPT], "scripts run", add);
  const { tools, prompts } = catalog;
  const prefixed = [...tools.values(), ...prompts.values()].filter(
    ({ plainName }) => plainName !== undefined,
  );
  for (const [backend, same] of Map.groupBy(prefixed, (entry) => entry.backend)) {
    const title = `${backend} offers names that others had before, and they are published with its own: ${firstOf(same, ({ name }) => shown(name))}`;
    const hint = `They stay as they are. Name tools yourself with [backends.${backend}.tool_overrides].`;
    add("info", "names_prefixed", title, hint);
  }
  const shortened = [...tools.values()].filter(({ name, fullName }) => name !== fullName);
  if (shortened.length === 0) return;
  const names = firstOf(shortened, ({ name, fullName }) => `${shown(fullName)} as ${name}`);
  const title = `Tools whose names clients could not use are published under others: ${names}`;
  const hint =
    "Give them names of your own with `tool_overrides`, or set [conflict_resolution].longest_name or dots_in_names if your clients allow more.";
  add("info", "names_shortened", title, hint);
}

function addCollisions(catalog: Catalog, add: Add): void {
  const collisions = newCollisions(null, catalog);
  for (const { kind, name, kept, hidden } of collisions.slice(0, MOST_COLLISIONS)) {
    const title = `${kind} ${shown(name)} is offered by ${kept} and by ${hidden}; that of ${hidden} is not published`;
    const hint = `Rename one with [backends.${hidden}.tool_overrides], or set [conflict_resolution].strategy.`;
    add("warning", "catalog_collision", title, hint);
  }
  const more = collisions.length - MOST_COLLISIONS;
  if (more <= 0) return;
  const title = `${more} more names are offered twice, and the later ones are not published`;
  const hint = 'Set [conflict_resolution].strategy = "prefix", and no two names are the same.';
  add("warning", "catalog_collision", title, hint);
}

function addStored({ sessionsUnsavedBecause: unsaved, namesLost }: StoredState, add: Add): void {
  if (unsaved !== null) {
    const hint =
      "Sessions are kept in memory until the daemon ends, and written again within a minute. Free some space, or make the home writable.";
    add("warning", "sessions_not_saved", `The sessions of clients cannot be written: ${unsaved}`, hint);
  }
  if (namesLost === null) return;
  const title = `The tools that you have switched off, and the owner of each name, are not known: ${namesLost}`;
  const hint =
    "Tools that `names.sealed` lists as off stay off. Unlock the keyring: it is asked again every minute. Otherwise switch them off again; names are assigned in the file's order.";
  add("warning", "names_lost", title, hint);
}

const MOST_NAMES = 5;
const MOST_COLLISIONS = 20;
const LONGEST_SHOWN = 100;

function firstOf<Item>(items: readonly Item[], textOf: (item: Item) => string): string {
  const more = items.length - MOST_NAMES;
  return `${items.slice(0, MOST_NAMES).map(textOf).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function shown(name: string): string {
  return safeLine(name, LONGEST_SHOWN);
}

/** Adds a condition for each tool of a server that has the name of one of the gateway's own tools. */
function addBehindOwnTools({ tools }: Catalog, names: readonly string[], where: string, add: Add): void {
  for (const name of names) {
    const entry = tools.get(name);
    if (entry === undefined) continue;
    const title = `${entry.backend} offers a tool ${name}, and where ${where} it is not published: the gateway's own has that name`;
    const hint = `Rename it with [backends.${entry.backend}.tool_overrides], or set [conflict_resolution].strategy = "prefix".`;
    add("info", "catalog_hidden", title, hint);
  }
}

/** One condition for each pair of backends. A person who misses a tool finds the reason here. */
function addHidden(catalog: Catalog, add: Add): void {
  const pairs = Map.groupBy(newCollisions(null, catalog), ({ kept, hidden }) =>
    JSON.stringify([kept, hidden]),
  );
  for (const same of pairs.values()) {
    const [first] = same;
    if (first === undefined) continue;
    const { kept, hidden } = first;
    const names = firstOf(same, ({ kind, name }) => `${kind} ${shown(name)}`);
    const title =
      kept === hidden
        ? `${kept} offers names twice, and the second ones are not published: ${names}`
        : `${kept} and ${hidden} offer the same names, and those of ${hidden} are not published: ${names}`;
    const hint = `Hide those that you do not need, with [backends.${hidden}.filters].`;
    add("info", "catalog_hidden", title, hint);
  }
}

function addTrust(pins: PinsState, { unseen }: Pick<Catalog, "unseen">, add: Add): void {
  addPins(pins, add);
  for (const [backend, of] of Map.groupBy(unseen, (one) => one.backend)) {
    const title = `backend ${backend} has invisible text, and clients get its entries without it: ${firstOf(of, unseenText)}`;
    const hint = "It may be meant only for models. `mountaineer tools diff` shows all of it.";
    add("warning", "unseen_characters", title, hint);
  }
}

function addPins({ pending, beyond, lost, isUnread, unsavedBecause }: PinsState, add: Add): void {
  if (lost !== null) {
    const hint = isUnread
      ? "Unlock the keyring: it is asked again every minute."
      : "Look through `mountaineer tools list` and `mountaineer tools diff`; `mountaineer tools approve --all` approves everything as it is now.";
    add("error", "pins_lost", `What servers showed before now is not known: ${lost}`, hint);
  }
  if (unsavedBecause !== null) {
    const title = `The pins cannot be written: ${unsavedBecause}`;
    add(
      "warning",
      "pins_not_saved",
      title,
      "They hold until the daemon ends; it is tried again every minute.",
    );
  }
  for (const [backend, of] of Map.groupBy(pending, (one) => one.backend)) {
    const steady = of.filter(({ earlier }) => earlier === undefined);
    addUnsteady(backend, of, add);
    const withheld = steady.filter(({ isWithheld }) => isWithheld);
    const changed = steady.filter(({ isWithheld }) => !isWithheld);
    const hint = `\`mountaineer tools diff\` shows how; \`${shellCommand`mountaineer tools approve --backend ${backend}`}\` accepts it.`;
    if (changed.length > 0) {
      const title = `backend ${backend} has changed ${whatOf(changed)} since they were approved: ${firstOf(changed, entryText)}`;
      add("warning", "tools_changed", title, hint);
    }
    if (withheld.length > 0) {
      const names = firstOf(withheld, (one) => `${entryText(one)} (${one.change})`);
      const title = `${whatOf(withheld)} of backend ${backend} are withheld until you approve them: ${names}`;
      add("warning", "tools_withheld", title, hint);
    }
  }
  for (const [backend, { count, isWithheld }] of beyond) {
    const what = isWithheld ? "withheld" : "not watched for changes";
    const title = `backend ${backend} lists more entries than can be pinned: ${count} of them are ${what}`;
    const hint = `Publish fewer of them with [backends.${backend}.filters].`;
    add("warning", "tools_not_pinned", title, hint);
  }
}

/** Entries that changed again before a person could approve them: the next start would undo an approval. */
function addUnsteady(backend: string, pending: readonly PendingChange[], add: Add): void {
  const unsteady = pending.filter(({ earlier }) => earlier !== undefined);
  const [first] = unsteady;
  if (first?.earlier === undefined) return;
  const [before = "", after = ""] = shortDiff(memberChanges(first.earlier, first.definition));
  const names = firstOf(unsteady, entryText);
  const effect = first.isWithheld ? ", and they are withheld" : "";
  const title = `backend ${backend} describes ${whatOf(unsteady)} differently again and again${effect}: ${names} (${shown(before)} | ${shown(after)})`;
  const hint = `Its program writes them in another order, or with a time in them: ask its author to keep them the same. If you trust it, ${shellCommand`mountaineer config set ${`backends.${backend}.pin`} off`} ends the comparison.`;
  add("warning", "tools_unsteady", title, hint);
}

function whatOf(pending: readonly PendingChange[]): string {
  return pending.every(({ kind }) => kind === "tool") ? "tools" : "things";
}

/** Names a tool only by its name, and any other entry by kind and name. */
function entryText({ kind, name }: PendingChange): string {
  return kind === "tool" ? shownName(name) : kind === name ? kind : `${kind} ${shownName(name)}`;
}

function unseenText({ kind, name, faults }: InvisibleTextEntry): string {
  return `${kind} ${shownName(name)} (${faults.slice(0, 1).join("")}${faults.length > 1 ? ", …" : ""})`;
}

/** `url` is null while the gateway does not listen. */
function addSignIn({ authentication: { signed }, config }: GatewayRules, url: string | null, add: Add): void {
  if (signed !== null) addKeys(signed.keys, add);
  if (url === null || config.incomingAuth.type !== "anonymous") return;
  // Not a warning: by default each program on this machine has access, and often that is fine.
  const title = "No token is needed: anyone on this machine may use everything that is served";
  const hint = "mountaineer init --add --token makes one; the command mountaineer mcp needs none.";
  add("info", "auth_open", title, hint);
}

function addKeys(keys: KeyState, add: Add): void {
  if (keys.kind === "none") {
    const hint =
      "It is retried automatically; check [incoming_auth].issuer, and that this machine reaches it.";
    const title = `Signed tokens cannot be checked: ${keys.reason}`;
    add("error", "auth_keys_unavailable", title, hint, keys.sinceMs);
  } else if (keys.kind === "aging") {
    const hint = "The last ones are used for [incoming_auth].keys_max_age; it is retried automatically.";
    const title = `The keys that tokens are checked with cannot be read again: ${keys.reason}`;
    add("warning", "auth_keys_aging", title, hint, keys.sinceMs);
  }
}

function addTelemetry({ telemetry }: GatewayRules, add: Add): void {
  const failure = telemetry?.failure ?? null;
  if (telemetry === null || failure === null) return;
  const lost = telemetry.dropped === 0 ? "" : ` (${telemetry.dropped} spans lost)`;
  const title = `Traces and metrics do not arrive: ${failure.reason}${lost}`;
  const hint =
    "Requests are served without them; check [telemetry].endpoint. The gateway retries automatically.";
  add("warning", "telemetry_not_sent", title, hint, failure.sinceMs);
}
