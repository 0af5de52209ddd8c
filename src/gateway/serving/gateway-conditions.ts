// The standing problems of the gateway that do not belong to one backend.
import { standingSince } from "../../reconcile/decision.ts";
import { foreignLine } from "../../runtime/text/foreign-line.ts";
import { missingHint, missingText } from "../../secrets/reference.ts";
import type { BackendCondition } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { newCollisions } from "../catalog/diff-catalogs.ts";
import { CALL_TOOL, FIND_TOOL } from "../optimizer/own-tools.ts";
import type { PinsState } from "../pins/pins.ts";
import type { GatewayRules } from "./gateway-rules.ts";
import { mayOptimize } from "./selection.ts";
import { signInConditions, telemetryConditions } from "./sign-in-conditions.ts";
import { trustConditions } from "./trust-conditions.ts";

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
