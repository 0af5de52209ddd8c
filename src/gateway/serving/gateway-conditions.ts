// Lasting problems that do not belong to one backend.
import { createSinceTracker, type FoundCondition } from "../../runtime/conditions/conditions.ts";
import { firstNames } from "../../runtime/text/plain-text.ts";
import { safeLine } from "../../runtime/text/safe-line.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";
import type { Catalog, InvisibleTextEntry } from "../catalog/catalog.ts";
import { newCollisions } from "../catalog/diff-catalogs.ts";
import { NO_OWNERS, type RuleOwners } from "../catalog/rule-names.ts";
import type { KeyState } from "../middleware/incoming-auth.ts";
import { CALL_TOOL, FIND_TOOL, RUN_SCRIPT } from "../middleware/middleware.ts";
import type { OwnerQuestion } from "../middleware/owner-questions.ts";
import { memberChanges } from "../pins/pinned-entry.ts";
import { type PendingChange, type PinsState, shortDiff, shownName } from "../pins/pins.ts";
import { GATEWAY_CONDITIONS, type GatewayCondition, type GatewayConditionName } from "./condition-rows.ts";
import type { GatewayRules } from "./gateway-rules.ts";
import { narrowedNames } from "./rule-bindings.ts";
import { mayOptimize, mayRunScripts } from "./selection.ts";
import type { UnmatchedName } from "./unmatched-names.ts";

const NO_PINS: PinsState = {
  pending: [],
  beyond: new Map(),
  lost: null,
  isUnread: false,
  unsavedBecause: null,
};

interface StoredState {
  readonly ruleOwners?: RuleOwners;
  readonly unmatched?: readonly UnmatchedName[];
  readonly sessionKeyUnsavedBecause: string | null;
  readonly namesLost: string | null;
  /** The questions to the owner. */
  readonly questions?: readonly OwnerQuestion[];
}

const NOTHING_WRONG: StoredState = { sessionKeyUnsavedBecause: null, namesLost: null };

type Add = (condition: FoundCondition<GatewayConditionName>) => void;

/** The returned function keeps the time when each condition was first found. */
export function createGatewayConditions(clock: Pick<Clock, "wallMs">) {
  const sinceTracker = createSinceTracker(clock, ({ code, title }) => `${code} ${title}`);
  return (
    rules: GatewayRules,
    catalog: Catalog,
    listening: GatewayCondition | null,
    pins: PinsState = NO_PINS,
    url: string | null = null,
    stored: StoredState = NOTHING_WRONG,
  ): readonly GatewayCondition[] => {
    const found: FoundCondition<GatewayConditionName>[] = listening === null ? [] : [listening];
    const add: Add = (condition) => void found.push(condition);
    for (const { tool, server, by, openedMs } of stored.questions ?? [])
      add({ ...GATEWAY_CONDITIONS.question_waits(tool, server, by), since: isoTime(openedMs) });
    addRules(rules, add);
    addNames(rules, catalog, add);
    addRuleNames(rules, catalog, stored.ruleOwners, add);
    addSignIn(rules, url, add);
    addTelemetry(rules, add);
    addTrust(pins, catalog, add);
    for (const { location, written } of stored.unmatched ?? [])
      add(GATEWAY_CONDITIONS.rule_matches_nothing(location, shown(written)));
    addStored(stored, add);
    return sinceTracker(found);
  };
}

function addRules({ authentication: { missing }, sessionKeys, auditFile }: GatewayRules, add: Add): void {
  if (missing.length > 0) add(GATEWAY_CONDITIONS.auth_token_missing(missing));
  if (sessionKeys.missing.length > 0) add(GATEWAY_CONDITIONS.session_key_missing(sessionKeys.missing));
  if (auditFile === null || auditFile.state.kind !== "failing") return;
  const { state } = auditFile;
  add({ ...GATEWAY_CONDITIONS.audit_not_written(state), since: isoTime(state.sinceMs) });
}

function addNames({ config }: GatewayRules, catalog: Catalog, add: Add): void {
  addUnfit(catalog, add);
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
    const names = firstNames(same, ({ name }) => shown(name));
    add(GATEWAY_CONDITIONS.names_prefixed(backend, names));
  }
  const shortened = [...tools.values()].filter(({ name, fullName }) => name !== fullName);
  if (shortened.length === 0) return;
  const names = firstNames(shortened, ({ name, fullName }) => `${shown(fullName)} as ${name}`);
  add(GATEWAY_CONDITIONS.names_shortened(names));
}

/** Names in rules that mean less than they seem to say. */
function addRuleNames(
  { config }: GatewayRules,
  catalog: Catalog,
  owners: RuleOwners = NO_OWNERS,
  add: Add,
): void {
  for (const { written, locations, owner, lines } of narrowedNames(config, owners, catalog).slice(
    0,
    MOST_COLLISIONS,
  )) {
    const isThere = config.backends.some(({ name, enabled }) => name === owner && enabled);
    const rule = `\`${shown(written)}\` in ${locations}`;
    const named = firstNames(lines, (line) => `\`${shown(line)}\``);
    add(GATEWAY_CONDITIONS.rule_names_one_server({ rule, owner, isThere, lines: named }));
  }
}

function addUnfit({ entries }: Catalog, add: Add): void {
  const unfit = entries.flatMap(({ backend, originalName, reasons }) =>
    reasons.flatMap((reason) => (reason.status === "unfit" ? [{ backend, originalName, ...reason }] : [])),
  );
  for (const { backend, originalName, why } of unfit.slice(0, MOST_COLLISIONS))
    add(GATEWAY_CONDITIONS.arguments_unfit(backend, shown(originalName), why));
}

function addCollisions(catalog: Catalog, add: Add): void {
  const collisions = newCollisions(null, catalog);
  for (const { kind, name, kept, hidden } of collisions.slice(0, MOST_COLLISIONS)) {
    const title = `${kind} ${shown(name)} is offered by ${kept} and by ${hidden}; that of ${hidden} is not published`;
    const hint = `Rename one with [backends.${hidden}.tool_overrides], or set [conflict_resolution].strategy.`;
    add(GATEWAY_CONDITIONS.catalog_collision(title, hint));
  }
  const more = collisions.length - MOST_COLLISIONS;
  if (more <= 0) return;
  const title = `${more} more names are offered twice, and the later ones are not published`;
  const hint = 'Set [conflict_resolution].strategy = "prefix", and no two names are the same.';
  add(GATEWAY_CONDITIONS.catalog_collision(title, hint));
}

function addStored({ sessionKeyUnsavedBecause, namesLost }: StoredState, add: Add): void {
  if (sessionKeyUnsavedBecause !== null)
    add(GATEWAY_CONDITIONS.session_key_not_saved(sessionKeyUnsavedBecause));
  if (namesLost !== null) add(GATEWAY_CONDITIONS.names_lost(namesLost));
}

const MOST_COLLISIONS = 20;
const LONGEST_SHOWN = 100;

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
    add(GATEWAY_CONDITIONS.catalog_hidden(title, hint));
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
    const names = firstNames(same, ({ kind, name }) => `${kind} ${shown(name)}`);
    const title =
      kept === hidden
        ? `${kept} offers names twice, and the second ones are not published: ${names}`
        : `${kept} and ${hidden} offer the same names, and those of ${hidden} are not published: ${names}`;
    const hint = `Hide those that you do not need, with [backends.${hidden}.filters].`;
    add(GATEWAY_CONDITIONS.catalog_hidden(title, hint));
  }
}

function addTrust(pins: PinsState, { unseen }: Pick<Catalog, "unseen">, add: Add): void {
  addPins(pins, add);
  for (const [backend, of] of Map.groupBy(unseen, (one) => one.backend))
    add(GATEWAY_CONDITIONS.unseen_characters(backend, firstNames(of, unseenText)));
}

function addPins({ pending, beyond, lost, isUnread, unsavedBecause }: PinsState, add: Add): void {
  if (lost !== null) add(GATEWAY_CONDITIONS.pins_lost(lost, isUnread));
  if (unsavedBecause !== null) add(GATEWAY_CONDITIONS.pins_not_saved(unsavedBecause));
  for (const [backend, of] of Map.groupBy(pending, (one) => one.backend)) {
    const steady = of.filter(({ earlier }) => earlier === undefined);
    addUnsteady(backend, of, add);
    const withheld = steady.filter(({ isWithheld }) => isWithheld);
    const changed = steady.filter(({ isWithheld }) => !isWithheld);
    if (changed.length > 0)
      add(GATEWAY_CONDITIONS.tools_changed(backend, whatOf(changed), firstNames(changed, entryText)));
    if (withheld.length > 0) {
      const names = firstNames(withheld, (one) => `${entryText(one)} (${one.change})`);
      add(GATEWAY_CONDITIONS.tools_withheld(backend, whatOf(withheld), names));
    }
  }
  for (const [backend, { count, isWithheld }] of beyond)
    add(GATEWAY_CONDITIONS.tools_not_pinned(backend, count, isWithheld));
}

/** Entries that changed again before a person could approve them: the next start would undo an approval. */
function addUnsteady(backend: string, pending: readonly PendingChange[], add: Add): void {
  const unsteady = pending.filter(({ earlier }) => earlier !== undefined);
  const [first] = unsteady;
  if (first?.earlier === undefined) return;
  const [before = "", after = ""] = shortDiff(memberChanges(first.earlier, first.definition));
  const changes = `${firstNames(unsteady, entryText)} (${shown(before)} | ${shown(after)})`;
  add(GATEWAY_CONDITIONS.tools_unsteady(backend, whatOf(unsteady), first.isWithheld, changes));
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
  if (url !== null && config.incomingAuth.type === "anonymous") add(GATEWAY_CONDITIONS.auth_open());
}

function addKeys(keys: KeyState, add: Add): void {
  if (keys.kind !== "none" && keys.kind !== "aging") return;
  const { auth_keys_unavailable, auth_keys_aging } = GATEWAY_CONDITIONS;
  const condition = (keys.kind === "none" ? auth_keys_unavailable : auth_keys_aging)(keys.reason);
  add({ ...condition, since: isoTime(keys.sinceMs) });
}

function addTelemetry({ telemetry }: GatewayRules, add: Add): void {
  const failure = telemetry?.failure;
  if (!telemetry || !failure) return;
  const condition = GATEWAY_CONDITIONS.telemetry_not_sent(failure.reason, telemetry.dropped);
  add({ ...condition, since: failure.sinceMs === undefined ? undefined : isoTime(failure.sinceMs) });
}
