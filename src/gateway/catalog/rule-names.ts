// Names without wildcards in rules (policies, groups). Each means an entry of one server: `SERVER/NAME` says which; a bare name is
// bound to the first server in the approved order that lists it, and keeps that server for as long as a rule has the name. Pure.
import { machineOf } from "../../config/values/backend-names.ts";
import type { Catalog, CatalogEntry, EntryKind } from "./catalog.ts";
import { compileGlobs, literalOf } from "./glob.ts";
import { resolveTarget } from "./resolve.ts";

export interface RuleName {
  readonly kind: "tool" | "prompt" | "resource";
  readonly name: string;
  /** The backends that the rule is limited to; null: all. */
  readonly among: readonly string[] | null;
}

/** The backend that each bare name means, by `ruleKey`. A name that is missing means no entry yet. */
export type RuleOwners = ReadonlyMap<string, string>;

export const NO_OWNERS: RuleOwners = new Map();

/**
 * `namesake`: the entry has the name that the rule has, but belongs to another server than the rule means, or has it only in the
 * reading of `compileWide`. Such a match restricts, and never opens.
 */
export type RuleMatch = "meant" | "namesake" | "none";

/** What a rule may be about. `backend`: absent or empty for what the gateway itself offers. */
export type RuleTarget = Pick<CatalogEntry, "kind" | "name"> &
  Partial<Pick<CatalogEntry, "fullName" | "plainName" | "originalName">> & {
    readonly backend?: string | undefined;
  };

const KINDS = ["tool", "prompt", "resource"] as const;
/** The kind that a pattern names; a pattern without one is about every kind. */
const OF_KIND = /^(tool|prompt|resource):/;
const SERVER_AND_NAME = /^([A-Za-z][\w-]*(?:@[\w-]+)?)\/(.+)$/s;

export function ruleKey({ kind, name, among }: RuleName): string {
  return JSON.stringify([kind, name, among]);
}

/** The server and the name that `SERVER/NAME` says; null: the name is bare. */
export function serverIn(name: string): { readonly backend: string; readonly name: string } | null {
  const [, backend, own] = SERVER_AND_NAME.exec(name) ?? [];
  return backend === undefined || own === undefined ? null : { backend, name: own };
}

/** The names without wildcards among patterns. Those of `of` "any" may begin with a kind; without one they are about every kind. */
export function exactNames(
  patterns: readonly string[],
  of: "any" | "tool" = "any",
  among: RuleName["among"] = null,
): readonly RuleName[] {
  return patterns.flatMap((pattern) => {
    const text = literalOf(pattern);
    if (text === null) return [];
    const named = of === "any" ? OF_KIND.exec(text)?.[1] : undefined;
    const name = named === undefined ? text : text.slice(named.length + 1);
    const kinds = KINDS.filter((kind) =>
      of === "any" ? named === undefined || kind === named : kind === of,
    );
    return kinds.map((kind) => ({ kind, name, among }));
  });
}

/**
 * How the patterns match a target. One with a kind is about that kind only: `tool:x` is not a prompt called "tool:x". One of a
 * server, as `tool:SERVER/*`, means that server's entries, and not those of others that have the whole text as their name.
 */
export function compilePatterns(
  patterns: readonly string[],
  owners: RuleOwners,
  exact = exactNames(patterns),
): (target: RuleTarget) => RuleMatch {
  const wild = patterns.filter((pattern) => literalOf(pattern) === null);
  // By the server that each names; "": none.
  const byServer = Map.groupBy(wild, (pattern) => serverIn(pattern.replace(OF_KIND, ""))?.backend ?? "");
  const ofServer = new Map(
    [...byServer].map(([backend, some]) => {
      const within = backend === "" ? some : some.map((pattern) => pattern.replace(`${backend}/`, ""));
      return [backend, compileWild(within)];
    }),
  );
  const isNamed = compileWild(wild);
  const isWidelyNamed = compileWide(patterns);
  return (target) => {
    if (["", target.backend ?? ""].some((backend) => ofServer.get(backend)?.(target) === true))
      return "meant";
    const matches = new Set(exact.map((rule) => matchRule(rule, owners, target)));
    if (isNamed(target) || isWidelyNamed(target)) matches.add("namesake");
    return (["meant", "namesake"] as const).find((match) => matches.has(match)) ?? "none";
  };
}

function compileWild(patterns: readonly string[]): (target: RuleTarget) => boolean {
  const matchesLabel = compileGlobs(patterns);
  const matchesName = compileGlobs(patterns.filter((pattern) => !OF_KIND.test(pattern)));
  return (target) =>
    namesOf(target).some((name) => matchesLabel(`${ruleKind(target.kind)}:${name}`) || matchesName(name));
}

/** A URI whose scheme is called like a kind. */
const KIND_AS_SCHEME = /^(?:tool|prompt|resource):\/\//;

/**
 * The reading in which a rule that restricts misses nothing: the name that an entry has at its own server counts too, and a pattern
 * before the slash means servers. For URIs only a server's name does: a pattern there is about folders.
 */
function compileWide(patterns: readonly string[]): (target: RuleTarget) => boolean {
  const isNamed = compileWild(patterns);
  const isUri = compileGlobs(patterns.filter((pattern) => KIND_AS_SCHEME.test(pattern)));
  const ofServers = patterns.flatMap((pattern) => {
    const kind = OF_KIND.exec(pattern)?.[1];
    const text = kind === undefined ? pattern : pattern.slice(kind.length + 1);
    const slash = text.indexOf("/");
    if (slash < 1) return [];
    const [server, name] = [text.slice(0, slash), text.slice(slash + 1)];
    const meansUris = literalOf(server) !== null;
    return [{ kind, meansUris, isServer: compileGlobs([server]), isName: compileGlobs([name]) }];
  });
  return (target) => {
    const { kind, name, backend = "", originalName = name } = target;
    const of = ruleKind(kind);
    const names = [...namesOf(target), originalName];
    // Also as prefixes make it of the server's own name, whether they are in use or not.
    const fullName = `${machineOf(backend) ?? backend}_${originalName}`;
    if (isNamed(of === "resource" ? { kind, name: originalName } : { kind, name: originalName, fullName }))
      return true;
    if (of === "resource" && names.some(isUri)) return true;
    if (backend === "") return false;
    return ofServers.some(
      (one) =>
        (one.kind ?? of) === of &&
        (one.meansUris || of !== "resource") &&
        one.isServer(backend) &&
        names.some(one.isName),
    );
  };
}

export function matchRule(rule: RuleName, owners: RuleOwners, target: RuleTarget): RuleMatch {
  if (ruleKind(target.kind) !== rule.kind) return "none";
  const { backend = "" } = target;
  const names = namesOf(target);
  const named = serverIn(rule.name);
  if (named?.backend === backend && names.includes(named.name)) return "meant";
  if (!names.includes(rule.name)) return "none";
  const owner = owners.get(ruleKey(rule));
  // A URI that belonged to no server when the name was bound is that of whichever is asked.
  const isOpen = owner === undefined && named === null && (backend === "" || rule.kind === "resource");
  return isOpen || (named === null && owner === backend) ? "meant" : "namesake";
}

export interface BindingParts {
  readonly catalog: Catalog;
  /** The enabled backends, in the approved order. */
  readonly backends: readonly string[];
  /** Whether the backend's list of this kind is known, also from an earlier run. */
  isKnown(backend: string, kind: RuleName["kind"]): boolean;
  /** What the names of the backend's entries begin with; null: they keep their own names. */
  prefixOf(backend: string): string | null;
}

/** Known owners stay; the other names are bound where it is certain by now which server is the first. */
export function bindNames(wanted: readonly RuleName[], known: RuleOwners, parts: BindingParts): RuleOwners {
  const owners = new Map<string, string>();
  const unbound = wanted.filter((rule) => !known.has(ruleKey(rule)));
  const offers = unbound.length === 0 ? [] : parts.catalog.entries.filter(isOffered);
  const byOwnName = Map.groupBy(offers, ({ fullName, plainName = fullName }) => plainName);
  const byName = Map.groupBy(offers, ({ name }) => name);
  for (const rule of wanted) {
    const owner = known.get(ruleKey(rule)) ?? ownerOf(rule, parts, byOwnName, byName);
    if (owner !== null) owners.set(ruleKey(rule), owner);
  }
  return owners;
}

type Offers = ReadonlyMap<string, readonly CatalogEntry[]>;

function ownerOf(rule: RuleName, parts: BindingParts, byOwnName: Offers, byName: Offers): string | null {
  const { kind, name, among } = rule;
  const { catalog, backends, isKnown, prefixOf } = parts;
  const candidates = backends.filter(
    (backend) =>
      among?.includes(backend) !== false && (kind === "resource" || name.startsWith(prefixOf(backend) ?? "")),
  );
  const ownersIn = (offers: Offers): readonly string[] =>
    (offers.get(name) ?? []).flatMap((entry) => (ruleKind(entry.kind) === kind ? [entry.backend] : []));
  const listing = [...ownersIn(byOwnName), ...ownersIn(byName)];
  for (const backend of candidates) {
    if (!isKnown(backend, kind)) return null;
    if (listing.includes(backend)) return backend;
  }
  if (kind !== "resource") return null;
  const found = resolveTarget(catalog, { kind, name });
  // Of several servers that may have the URI, each keeps its own.
  const isSole = found !== null && found.equals === undefined && candidates.includes(found.backend);
  return isSole ? found.backend : null;
}

/** Entries that the filters exclude are not offered. */
function isOffered({ reasons }: CatalogEntry): boolean {
  return !reasons.some(({ status }) => status === "filtered");
}

/** The names of an entry: as clients see it, in full, and without its server's name. */
export function namesOf({ name, fullName = name, plainName = name }: RuleTarget): readonly string[] {
  return [name, fullName, plainName];
}

function ruleKind(kind: EntryKind): RuleName["kind"] {
  return kind === "tool" || kind === "prompt" ? kind : "resource";
}
