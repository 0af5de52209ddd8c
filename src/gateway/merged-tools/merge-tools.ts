// Publishes equal tools of several machines' backends as one tool. Pure, but for the versions in `published`.
import { commonName, plainName } from "../../config/values/backend-names.ts";
import { memoized } from "../../runtime/memo.ts";
import { permissionOf } from "../catalog/build-catalog.ts";
import { type CatalogSource, NO_LISTINGS } from "../catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { entryDigest } from "../pins/pinned-entry.ts";
import { agreementKey, type ReplicaFacts } from "./agreement.ts";

const ALL = { allow: null, deny: [] };
const FILTERS = { tools: ALL, resources: ALL, prompts: ALL };

/** Above this number of tool versions, those that no machine offers now are forgotten. */
const MOST_PUBLISHED = 2_000;

/** An enabled backend of this machine. */
export interface OwnBackend {
  readonly name: string;
  readonly facts: ReplicaFacts;
  /** Paths of other machines were seen, so calls may contain them even while no other machine is connected. */
  readonly knowsPaths: boolean;
}

export interface MergeInput {
  /** This machine's backends in the file's order, then other machines', and at last those that are away. */
  readonly sources: readonly CatalogSource[];
  /** In the file's order. */
  readonly own: readonly OwnBackend[];
  /** Other machines' approved backends, by their names here. */
  readonly places: ReadonlyMap<string, ReplicaFacts>;
  readonly isPending: (backend: string, tool: string) => boolean;
}

/**
 * The published version of a common tool. Kept only if no backend of this machine has the name of the tool's backend.
 */
interface PublishedVersion {
  readonly version: string;
  readonly definition: JsonObject;
  readonly places: readonly string[];
}

/** By backend and tool, as `BACKEND TOOL`. */
export type PublishedVersions = Map<string, PublishedVersion>;

interface Merged {
  /** The places of each tool, by the name that the server gives the tool. */
  readonly places: ReadonlyMap<string, readonly string[]>;
  readonly definitions: readonly JsonObject[];
}

type Member = { readonly source: CatalogSource; readonly facts: ReplicaFacts };

/**
 * Leaves each common tool in one source only. If the versions of a tool differ, the version of this machine's backend
 * keeps the name; without such a backend, the version seen first keeps the name until its backends change to another
 * version.
 */
export function mergeTools(input: MergeInput, published: PublishedVersions): readonly CatalogSource[] {
  const { sources, own, places } = input;
  const there = sources.filter(({ isUnavailable }) => isUnavailable !== true);
  const members = there.flatMap((source) => {
    const facts = places.get(source.backend);
    return facts === undefined ? [] : [{ source, facts }];
  });
  const byName = Map.groupBy(members, ({ source }) => plainName(source.backend));
  for (const key of published.keys()) if (!byName.has(key.slice(0, key.indexOf(" ")))) published.delete(key);
  const taken = new Map<string, Set<string>>();
  const take = ({ places: shared }: Merged): void => {
    for (const [tool, backends] of shared) {
      for (const backend of backends) taken.set(backend, (taken.get(backend) ?? new Set()).add(tool));
    }
  };
  const ownSources = own.flatMap((one) => {
    const { name, knowsPaths } = one;
    const source = sources.find(({ backend }) => backend === name);
    const others = byName.get(name) ?? [];
    byName.delete(name);
    if (source === undefined) return [];
    const isPublished = source.isUnavailable !== true;
    const unmerged = isPublished ? [source] : [];
    if (others.length === 0 && !knowsPaths) return unmerged;
    const merged = withOwn(source, isPublished, one, others, input.isPending);
    take(merged);
    if (merged.places.size === 0) return unmerged;
    return isPublished ? { ...source, replicas: merged.places } : standIn(source, merged);
  });
  const common = [...byName]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([name, others]) => {
      const merged = amongOthers(name, others, published, input.isPending);
      take(merged);
      const source = {
        backend: commonName(name),
        filters: FILTERS,
        toolOverrides: {},
        listings: NO_LISTINGS,
      };
      return merged.places.size === 0 ? [] : standIn(source, merged);
    });
  const names = new Set(own.map(({ name }) => name));
  const rest = there
    .filter(({ backend }) => !names.has(backend))
    .map((source) => without(source, taken.get(source.backend)));
  return [...ownSources, ...common, ...rest, ...sources.filter(({ isUnavailable }) => isUnavailable)];
}

function withOwn(
  source: CatalogSource,
  isPublished: boolean,
  { facts, knowsPaths }: OwnBackend,
  others: readonly Member[],
  isPending: MergeInput["isPending"],
): Merged {
  const agreeing = others.filter((other) => agreementKey(other.facts) === agreementKey(facts));
  const { permits } = permissionOf(source.filters.tools);
  const places = new Map<string, readonly string[]>();
  const definitions: JsonObject[] = [];
  for (const tool of source.listings.tools) {
    const name = String(tool["name"]);
    // Another machine must not publish a tool that waits for approval here.
    if (!permits(name) || isPending(source.backend, name)) continue;
    const digest = entryDigest(tool);
    const found = agreeing
      .filter(({ source: { backend } }) => !isPending(backend, name))
      .filter((other) => digestOf(other, name) === digest)
      .map(({ source: { backend } }) => backend);
    if (found.length === 0 && !(isPublished && knowsPaths)) continue;
    places.set(name, [...(isPublished ? [source.backend] : []), ...found]);
    definitions.push(tool);
  }
  return { places, definitions };
}

/** Merges the tools of backends of other machines, even of a single backend, because others may connect later. */
function amongOthers(
  name: string,
  members: readonly Member[],
  published: PublishedVersions,
  isPending: MergeInput["isPending"],
): Merged {
  const offered = new Map<string, { version: string; place: string; definition: JsonObject }[]>();
  for (const { source, facts } of members) {
    for (const definition of source.listings.tools) {
      const tool = String(definition["name"]);
      if (isPending(source.backend, tool)) continue;
      const version = `${entryDigest(definition)} ${agreementKey(facts)}`;
      const one = { version, place: source.backend, definition };
      offered.set(tool, [...(offered.get(tool) ?? []), one]);
    }
  }
  const places = new Map<string, readonly string[]>();
  const definitions: JsonObject[] = [];
  for (const tool of [...offered.keys()].toSorted()) {
    const offers = offered.get(tool) ?? [];
    const key = `${name} ${tool}`;
    const before = published.get(key);
    const isThere = offers.some(({ version }) => version === before?.version);
    // If no backend offers the held version any more, the name goes to the new version of a backend that had the held
    // version. If no such backend is connected, the tool is not published.
    const next =
      before === undefined || isThere ? offers[0] : offers.find(({ place }) => before.places.includes(place));
    const kept = before !== undefined && isThere ? before : next;
    if (kept === undefined) continue;
    const { version, definition } = kept;
    const having = offers.filter((offer) => offer.version === version).map(({ place }) => place);
    published.set(key, { version, definition, places: having });
    places.set(tool, having);
    definitions.push(definition);
  }
  if (published.size > MOST_PUBLISHED) {
    for (const key of published.keys()) {
      if (key.startsWith(`${name} `) && !places.has(key.slice(name.length + 1))) published.delete(key);
    }
  }
  return { places, definitions };
}

function digestOf({ source }: Member, name: string): string | null {
  const tool = toolsByName(source.listings.tools).get(name);
  return tool === undefined ? null : entryDigest(tool);
}

const toolsByName = memoized(
  (tools: CatalogSource["listings"]["tools"]) => new Map(tools.map((tool) => [tool["name"], tool])),
);

function standIn(source: CatalogSource, { places: replicas, definitions }: Merged): CatalogSource {
  const { backend, filters, toolOverrides } = source;
  return { backend, filters, toolOverrides, listings: { ...NO_LISTINGS, tools: definitions }, replicas };
}

function without(source: CatalogSource, tools: ReadonlySet<string> | undefined): CatalogSource {
  if (tools === undefined) return source;
  const { listings } = source;
  const left = listings.tools.filter(({ name }) => typeof name !== "string" || !tools.has(name));
  return { ...source, listings: { ...listings, tools: left } };
}

// Machines may have their shares in different folders, so paths in a call's arguments are translated. Pure.

const DEEPEST = 12;
/** Maximum number of values of a call that are looked at; further values stay unchanged. */
const MOST_VALUES = 5_000;

interface PathNames {
  /** Roots that all machines have, relative to each machine's folder of shares. */
  readonly roots: readonly string[];
  /**
   * The folder of shares of each machine, this machine's first. A path in this machine's folder never counts as a
   * path of another machine.
   */
  readonly sharesRoots: readonly string[];
  /** Folders of this machine. A path in one of them never counts as another machine's path. */
  readonly otherFolders?: readonly string[];
}

/**
 * Translates each text that is a root of any machine, or a path below such a root. Returns the same object if nothing
 * changes.
 */
export function withPathsOf(
  params: JsonObject | undefined,
  { roots, sharesRoots, otherFolders = [] }: PathNames,
  sharesRoot: string,
): JsonObject | undefined {
  const given = params?.["arguments"];
  if (!isJsonObject(given) || sharesRoots.every((one) => one === sharesRoot)) return params;
  const prefixes = sharesRoots.flatMap((from) =>
    roots.map((root) => ({ from: joined(from, root), to: joined(sharesRoot, root) })),
  );
  const own = prefixes.slice(0, roots.length);
  const folders = [...sharesRoots.slice(0, 1), ...otherFolders];
  const named = (text: string): string => {
    const isOwn = folders.some((folder) => isWithin(text, folder));
    const found = (isOwn ? own : prefixes).find(({ from }) => isWithin(text, from));
    return found === undefined ? text : found.to + text.slice(found.from.length);
  };
  let left = MOST_VALUES;
  const renamed = (value: unknown, depth: number): unknown => {
    left -= 1;
    if (left < 0) return value;
    if (typeof value === "string") return named(value);
    if (depth >= DEEPEST) return value;
    if (Array.isArray(value)) {
      const copy = value.map((part: unknown) => renamed(part, depth + 1));
      return copy.some((part, at) => part !== value[at]) ? copy : value;
    }
    if (!isJsonObject(value)) return value;
    const entries = Object.entries(value).map(([key, part]) => [key, renamed(part, depth + 1)] as const);
    return entries.some(([key, part]) => part !== value[key]) ? Object.fromEntries(entries) : value;
  };
  const changed = renamed(given, 0);
  return changed === given ? params : { ...params, arguments: changed };
}

function isWithin(text: string, folder: string): boolean {
  return text === folder || text.startsWith(`${folder}/`);
}

function joined(folder: string, root: string): string {
  return root === "" ? folder : `${folder}/${root}`;
}
