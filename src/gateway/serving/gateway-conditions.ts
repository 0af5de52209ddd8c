// The standing problems of the gateway that do not belong to one backend.
import { standingSince } from "../../reconcile/decision.ts";
import { foreignLine } from "../../runtime/text/foreign-line.ts";
import { missingHint, missingText } from "../../secrets/reference.ts";
import type { BackendCondition } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog, UnseenEntry } from "../catalog/catalog.ts";
import { newCollisions } from "../catalog/diff-catalogs.ts";
import type { KeyState } from "../middleware/incoming-auth.ts";
import { CALL_TOOL, FIND_TOOL } from "../optimizer/own-tools.ts";
import type { PendingChange, PinsState } from "../pins/pins.ts";
import { shownName } from "../pins/short-diff.ts";
import type { GatewayRules } from "./gateway-rules.ts";
import { mayOptimize } from "./selection.ts";

const NO_PINS: PinsState = {
  pending: [],
  beyond: new Map(),
  lost: null,
  isUnread: false,
  unsavedBecause: null,
};

/** What is wrong with what the gateway keeps in its home; null: nothing. */
interface KeptState {
  readonly sessionsUnsavedBecause: string | null;
  readonly namesLost: string | null;
}

const NOTHING_WRONG: KeptState = { sessionsUnsavedBecause: null, namesLost: null };

type Standing = Omit<BackendCondition, "sinceMs"> & { readonly sinceMs?: number };

/** Remembers since when each stands, where that is not known otherwise. */
export function createGatewayConditions(
  wallMs: () => number,
): (
  rules: GatewayRules,
  catalog: Catalog,
  listening: BackendCondition | null,
  pins?: PinsState,
  url?: string | null,
  kept?: KeptState,
) => readonly BackendCondition[] {
  let since: ReadonlyMap<string, number> = new Map();
  return (rules, catalog, listening, pins = NO_PINS, url = null, kept = NOTHING_WRONG) => {
    const now = wallMs();
    const found = [
      ...standing(rules, catalog, listening),
      ...signInConditions(rules, url),
      ...telemetryConditions(rules),
      ...trustConditions(pins, catalog),
      ...sessionConditions(kept.sessionsUnsavedBecause),
      ...nameConditions(kept.namesLost),
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

function keyOf({ code, title }: Standing): string {
  return `${code} ${title}`;
}

function standing(
  { config, authentication, auditFile }: GatewayRules,
  catalog: Catalog,
  listening: BackendCondition | null,
): Standing[] {
  const conditions: Standing[] = listening === null ? [] : [listening];
  if (authentication.missing.length > 0) {
    conditions.push({
      code: "auth_token_missing",
      severity: "error",
      title: `Nobody can come in with these tokens: ${missingText(authentication.missing)}`,
      hint: missingHint(authentication.missing),
    });
  }
  if (auditFile !== null && auditFile.state.kind === "failing") {
    const { reason, sinceMs, dropped } = auditFile.state;
    conditions.push({
      code: "audit_not_written",
      severity: "error",
      title: `The audit cannot be written: ${reason}${dropped === 0 ? "" : ` (${dropped} lines lost)`}`,
      hint: "Requests are served all the same; make room, or give [audit].path another place.",
      sinceMs,
    });
  }
  if (config.conflictResolution.strategy === "error") {
    const collisions = newCollisions(null, catalog);
    for (const { kind, name, kept, hidden } of collisions.slice(0, MOST_COLLISIONS)) {
      conditions.push({
        code: "catalog_collision",
        severity: "warning",
        title: `${kind} ${shown(name)} is offered by ${kept} and by ${hidden}; that of ${hidden} is not published`,
        hint: `Rename one with [backends.${hidden}.tool_overrides], or set [conflict_resolution].strategy.`,
      });
    }
    const more = collisions.length - MOST_COLLISIONS;
    if (more > 0) {
      conditions.push({
        code: "catalog_collision",
        severity: "warning",
        title: `${more} more names are offered twice, and the later ones are not published`,
        hint: 'Set [conflict_resolution].strategy = "prefix", and no two names are the same.',
      });
    }
  } else conditions.push(...hiddenNames(catalog));
  if (mayOptimize(config)) conditions.push(...behindOwnTools(catalog));
  conditions.push(...prefixedNames(catalog), ...shortenedNames(catalog));
  return conditions;
}

function sessionConditions(unsavedBecause: string | null): Standing[] {
  if (unsavedBecause === null) return [];
  return [
    {
      code: "sessions_not_saved",
      severity: "warning",
      title: `The sessions of clients cannot be written: ${unsavedBecause}`,
      hint: "They go on until the daemon ends; it is tried again within a minute. Make room, or make the home writable.",
    },
  ];
}

function nameConditions(lost: string | null): Standing[] {
  if (lost === null) return [];
  return [
    {
      code: "names_lost",
      severity: "warning",
      title: `Which tools you have switched off, and whose each name was, is not known: ${lost}`,
      hint: "What `names.sealed` says is off stays off, whoever wrote it. Unlock the keyring: it is asked again every minute. Else switch them off anew; names are given by the file's order.",
    },
  ];
}

function prefixedNames({ tools, prompts }: Catalog): Standing[] {
  const named = [...tools.values(), ...prompts.values()];
  const prefixed = named.filter(({ plainName }) => plainName !== undefined);
  return [...Map.groupBy(prefixed, ({ backend }) => backend)].map(([backend, same]) => ({
    code: "names_prefixed",
    severity: "info",
    title: `${backend} offers names that others had before, and they are published with its own: ${firstOf(same, ({ name }) => shown(name))}`,
    hint: `They stay as they are. Name tools yourself with [backends.${backend}.tool_overrides].`,
  }));
}

function shortenedNames({ tools }: Catalog): Standing[] {
  const shortened = [...tools.values()].filter(({ name, fullName }) => name !== fullName);
  if (shortened.length === 0) return [];
  const told = firstOf(shortened, ({ name, fullName }) => `${shown(fullName)} as ${name}`);
  return [
    {
      code: "names_shortened",
      severity: "info",
      title: `Tools whose names clients could not use are published under others: ${told}`,
      hint: "Give them names of your own with `tool_overrides`, or set [conflict_resolution].longest_name if your clients allow more.",
    },
  ];
}

const MOST_NAMES = 5;
/** Told one by one. */
const MOST_COLLISIONS = 20;
const LONGEST_SHOWN = 100;

/** The first of them in words, and how many more there are. */
function firstOf<Item>(items: readonly Item[], told: (item: Item) => string): string {
  const more = items.length - MOST_NAMES;
  return `${items.slice(0, MOST_NAMES).map(told).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** A name that a server gave, safe to show. */
function shown(name: string): string {
  return foreignLine(name, LONGEST_SHOWN);
}

/** Tools of servers that have the names of the gateway's own. */
function behindOwnTools({ tools }: Catalog): Standing[] {
  return [FIND_TOOL, CALL_TOOL].flatMap((name) => {
    const entry = tools.get(name);
    if (entry === undefined) return [];
    return {
      code: "catalog_hidden",
      severity: "info" as const,
      title: `${entry.backend} offers a tool ${name}, and where tools are found instead of listed it is not published: the gateway's own has that name`,
      hint: `Rename it with [backends.${entry.backend}.tool_overrides], or set [conflict_resolution].strategy = "prefix".`,
    };
  });
}

/** What the strategy settles: whoever wonders where a tool is finds it here. One for each pair of backends. */
function hiddenNames(catalog: Catalog): Standing[] {
  const pairs = Map.groupBy(newCollisions(null, catalog), ({ kept, hidden }) =>
    JSON.stringify([kept, hidden]),
  );
  return [...pairs.values()].flatMap((same) => {
    const [first] = same;
    if (first === undefined) return [];
    const { kept, hidden } = first;
    const told = firstOf(same, ({ kind, name }) => `${kind} ${shown(name)}`);
    return {
      code: "catalog_hidden",
      severity: "info" as const,
      title:
        kept === hidden
          ? `${kept} offers names twice, and the second ones are not published: ${told}`
          : `${kept} and ${hidden} offer the same names, and those of ${hidden} are not published: ${told}`,
      hint: `Keep back those that nobody needs, with [backends.${hidden}.filters].`,
    };
  });
}

// What is to be said of pins, and of characters that nobody sees.

/** One for each backend and kind, however many entries it is about. */
export function trustConditions(
  { pending, beyond, lost, isUnread, unsavedBecause }: PinsState,
  { unseen }: Pick<Catalog, "unseen">,
): readonly Standing[] {
  const told: Standing[] = [];
  const warn = (code: string, title: string, hint: string): void => {
    told.push({ code, severity: "warning", title, hint });
  };
  if (lost !== null) {
    const title = `What servers showed before now is not known: ${lost}`;
    const hint = isUnread
      ? "Unlock the keyring: it is asked again every minute."
      : "Look through `mountaineer tools list` and `mountaineer tools diff`; `mountaineer tools approve --all` begins anew with all as it is.";
    told.push({ code: "pins_lost", severity: "error", title, hint });
  }
  if (unsavedBecause !== null) {
    const title = `The pins cannot be written: ${unsavedBecause}`;
    warn("pins_not_saved", title, "They hold until the daemon ends; it is tried again every minute.");
  }
  for (const [backend, of] of Map.groupBy(pending, (one) => one.backend)) {
    const withheld = of.filter(({ isWithheld }) => isWithheld);
    const changed = of.filter(({ isWithheld }) => !isWithheld);
    const hint = `\`mountaineer tools diff\` shows how; \`mountaineer tools approve --backend ${backend}\` accepts it.`;
    if (changed.length > 0) {
      const names = firstOf(changed, toldEntry);
      warn(
        "tools_changed",
        `backend ${backend} describes ${whatOf(changed)} otherwise than when they were approved: ${names}`,
        hint,
      );
    }
    if (withheld.length > 0) {
      const names = firstOf(withheld, (one) => `${toldEntry(one)} (${one.change})`);
      warn(
        "tools_withheld",
        `${whatOf(withheld)} of backend ${backend} are withheld until you approve them: ${names}`,
        hint,
      );
    }
  }
  for (const [backend, { count, isWithheld }] of beyond) {
    const what = isWithheld ? "withheld" : "not watched for changes";
    const title = `backend ${backend} lists more entries than can be pinned: ${count} of them are ${what}`;
    warn("tools_not_pinned", title, `Publish fewer of them with [backends.${backend}.filters].`);
  }
  for (const [backend, of] of Map.groupBy(unseen, (one) => one.backend)) {
    const names = firstOf(of, unseenTold);
    const title = `backend ${backend} has text that nobody sees, and clients get its entries without it: ${names}`;
    warn(
      "unseen_characters",
      title,
      "It may be meant for models alone. `mountaineer tools diff` shows all of it.",
    );
  }
  return told;
}

/** Tools where they are nothing else, as they mostly are. */
function whatOf(pending: readonly PendingChange[]): string {
  return pending.every(({ kind }) => kind === "tool") ? "tools" : "things";
}

/** A tool by its name, anything else after its kind. */
function toldEntry({ kind, name }: PendingChange): string {
  return kind === "tool" ? shownName(name) : kind === name ? kind : `${kind} ${shownName(name)}`;
}

function unseenTold({ kind, name, faults }: UnseenEntry): string {
  return `${kind} ${shownName(name)} (${faults.slice(0, 1).join("")}${faults.length > 1 ? ", …" : ""})`;
}

// The standing facts about who comes in, and about what is told of them: keys that cannot be read, a door that is open to
// everybody, traces that do not arrive.

/** `url` null: it does not listen. */
function signInConditions(rules: GatewayRules, url: string | null): Standing[] {
  const { signed } = rules.authentication;
  return [...(signed === null ? [] : missingKeys(signed.keys)), ...openDoor(rules, url)];
}

/** Nobody waits for it, and nobody would miss it. */
function telemetryConditions({ telemetry }: GatewayRules): Standing[] {
  const failure = telemetry?.failure ?? null;
  if (telemetry === null || failure === null) return [];
  const lost = telemetry.dropped === 0 ? "" : ` (${telemetry.dropped} spans lost)`;
  return [
    {
      code: "telemetry_not_sent",
      severity: "warning",
      title: `Traces and metrics do not arrive: ${failure.reason}${lost}`,
      hint: "Requests are served all the same; check [telemetry].endpoint. It is tried again by itself.",
      ...(failure.sinceMs !== undefined && { sinceMs: failure.sinceMs }),
    },
  ];
}

/** Signed tokens cannot be checked, or only with keys that grow old. */
function missingKeys(keys: KeyState): Standing[] {
  if (keys.kind !== "aging" && keys.kind !== "none") return [];
  const { kind, reason, sinceMs } = keys;
  return [
    {
      code: kind === "none" ? "auth_keys_unavailable" : "auth_keys_aging",
      severity: kind === "none" ? "error" : "warning",
      title:
        kind === "none"
          ? `Nobody can come in with a signed token: ${reason}`
          : `The keys that tokens are checked with cannot be read again: ${reason}`,
      hint:
        kind === "none"
          ? "It is tried again by itself; check [incoming_auth].issuer, and that this machine reaches it."
          : "The last ones are used for [incoming_auth].keys_max_age; it is tried again by itself.",
      sinceMs,
    },
  ];
}

/** Any program of this machine, of any user, may use everything: worth knowing, and for many as it should be. */
function openDoor({ config }: GatewayRules, url: string | null): Standing[] {
  if (url === null || config.incomingAuth.type !== "anonymous") return [];
  return [
    {
      code: "auth_open",
      severity: "info",
      title: "No token is needed: whoever is on this machine may use everything that is served",
      hint: "mountaineer init --add --token makes one; the command mountaineer mcp needs none.",
    },
  ];
}
