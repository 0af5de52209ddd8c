// The types of the catalog: for each entry the name that clients see, its backend, and the name that the server uses.
import type { BackendConfig, ToolOverride } from "../../config/snapshot.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { NameOwners } from "./names.ts";

/** The server's own objects, in the server's order. Objects without a name or URI are left out. */
export interface Listings {
  /** Each tool has a string `name`. */
  readonly tools: readonly JsonObject[];
  /** Each has a string `uri`. */
  readonly resources: readonly JsonObject[];
  /** Each has a string `uriTemplate`. */
  readonly resourceTemplates: readonly JsonObject[];
  /** Each has a string `name`. */
  readonly prompts: readonly JsonObject[];
}

export const NO_LISTINGS: Listings = { tools: [], resources: [], resourceTemplates: [], prompts: [] };

/** How long clients may keep a list (protocol version 2026-07-28). */
export interface Freshness {
  readonly ttlMs: number;
  readonly cacheScope: "public" | "private";
}

/** The freshness of each list. null: the server has no such list; absent: `NOT_FRESH`. */
export type ListFreshness = Readonly<Partial<Record<keyof Listings, Freshness | null>>>;

export interface CatalogSource {
  readonly backend: string;
  readonly filters: BackendConfig["filters"];
  readonly toolOverrides: Readonly<Record<string, Partial<ToolOverride>>>;
  readonly listings: Listings;
  readonly instructions?: string | null;
  /** Entries that wait for a person's approval. They are not in `listings`. */
  readonly unapproved?: readonly UnapprovedEntry[];
  /** True: the entries cannot be used now, because a share, the server or its first list is missing. */
  readonly isUnavailable?: true;
  readonly freshness?: ListFreshness;
}

export type EntryKind = "tool" | "resource" | "template" | "prompt";

export interface UnapprovedEntry {
  readonly kind: EntryKind;
  /** The server's own name or URI. */
  readonly name: string;
  /** `beyond`: the server lists more entries than can be pinned. */
  readonly change: "new" | "changed" | "beyond";
}

/** `key`: the member that identifies an entry. */
export const ENTRY_LISTS = [
  { kind: "tool", list: "tools", method: "tools/list", key: "name", filter: "tools" },
  { kind: "prompt", list: "prompts", method: "prompts/list", key: "name", filter: "prompts" },
  {
    kind: "template",
    list: "resourceTemplates",
    method: "resources/templates/list",
    key: "uriTemplate",
    filter: "resources",
  },
  { kind: "resource", list: "resources", method: "resources/list", key: "uri", filter: "resources" },
] as const satisfies readonly {
  readonly kind: EntryKind;
  readonly list: keyof Listings;
  readonly method: string;
  readonly key: string;
  readonly filter: keyof BackendConfig["filters"];
}[];

/**
 * Why an entry is not listed. `unfit`: the configuration sets arguments that the tool cannot have. `collided`: `kept` has an
 * entry of the same name, and neither can be renamed.
 */
export type Reason =
  | { readonly status: "filtered" | "off" | "away" }
  | { readonly status: "unapproved"; readonly change: UnapprovedEntry["change"] }
  | { readonly status: "unfit"; readonly why: string }
  | { readonly status: "collided"; readonly kept: string };

export type EntryStatus = "listed" | Reason["status"];

export interface CatalogEntry {
  readonly kind: EntryKind;
  /**
   * The name, URI or URI template that clients use. Unique within its kind among listed entries. An entry that the
   * filters exclude is not renamed: this is then the server's name.
   */
  readonly name: string;
  readonly backend: string;
  /** The name before it was shortened or changed for clients. Policies also match it. */
  readonly fullName: string;
  /**
   * The entry's name without the backend's name, which was added because of a collision. Policies also match this name.
   */
  readonly plainName?: string;
  /** The entry's name at its server. */
  readonly originalName: string;
  /** The arguments that the configuration sets in every call of the tool. */
  readonly setArguments?: JsonObject;
  /** As clients see it. Empty for entries that no client may see: filtered and unapproved ones. */
  readonly definition: JsonObject;
  /** `listed`, or the status of the first of the `reasons`. */
  readonly status: EntryStatus;
  /** Several may hold. The first one answers calls. */
  readonly reasons: readonly Reason[];
}

/** `name`: the name that clients use. */
export function entryKey(kind: EntryKind, name: string): string {
  return `${kind}:${name}`;
}

/** The backend that a request's target belongs to: an entry, or a URI that no list has. */
export interface Resolved extends Pick<CatalogEntry, "backend" | "originalName" | "setArguments" | "status"> {
  /** Other backends that may have the URI, in order. One that mentioned it is asked if the first has no such resource. */
  readonly equals?: readonly string[];
}

export interface InvisibleTextEntry {
  readonly backend: string;
  readonly kind: EntryKind;
  /** The name or URI that the backend's server uses. */
  readonly name: string;
  /** Each like `description: 3 unseen characters (U+202E)`. */
  readonly faults: readonly string[];
}

/** Decides which of a backend's resources clients may read, including resources that are in no list. */
export interface ResourceAccess {
  readonly backend: string;
  /** Allowed and not denied. */
  permits(uri: string): boolean;
  denies(uri: string): boolean;
}

export type Owner = Pick<Resolved, "backend" | "originalName">;

/** The listed entries, by the name that clients use. */
export interface ListedEntries {
  readonly tools: ReadonlyMap<string, CatalogEntry>;
  readonly resources: ReadonlyMap<string, CatalogEntry>;
  readonly templates: ReadonlyMap<string, CatalogEntry>;
  readonly prompts: ReadonlyMap<string, CatalogEntry>;
}

/**
 * Immutable. Entries are ordered by backend as in the configuration, those of backends that are away last, and within
 * a backend as its server lists them.
 */
export interface Catalog extends ListedEntries {
  /** All entries that the backends offer, with their status. */
  readonly entries: readonly CatalogEntry[];
  /** The backends of the entries, in the approved order. */
  readonly backends: readonly string[];
  /** The entries that are not listed, but can be named by a request (away, off, unapproved), by `entryKey`. */
  readonly unlisted: ReadonlyMap<string, CatalogEntry>;
  /** The backends whose entries are away. */
  readonly unavailable: ReadonlySet<string>;
  /** The key is the URI that clients use. */
  readonly appPages: ReadonlyMap<string, Owner>;
  /** Names that entries get in this catalog for the first time. */
  readonly freshNames: NameOwners;
  /** Listed entries with invisible characters. If there are many, only the first ones are kept. */
  readonly unseen: readonly InvisibleTextEntry[];
  /** One for each backend with resources or templates, in the order of the entries. */
  readonly resourceAccess: readonly ResourceAccess[];
  /** By backend: which of the URIs that its results named may be read. */
  readonly permissions: ReadonlyMap<string, Pick<ResourceAccess, "permits" | "denies">>;
  /** The URI that clients use for a backend's own one. */
  readonly publishedUri: (backend: string, uri: string) => string;
  /** True for URIs of backends that are left out of this part of a catalog. Absent in a whole catalog. */
  readonly isElsewhere?: (uri: string) => boolean;
  readonly freshness: Readonly<Record<keyof Listings, Freshness>>;
}

// How long clients may keep a list (2026-07-28). Pure.

/** Clients may not keep a list with this freshness. Also used for servers of legacy versions. */
export const NOT_FRESH: Freshness = { ttlMs: 0, cacheScope: "private" };

/** How long clients may keep one page of a list, as the server says. */
export function freshnessOf({ ttlMs, cacheScope }: JsonObject): Freshness {
  const isTime = typeof ttlMs === "number" && Number.isSafeInteger(ttlMs) && ttlMs >= 0;
  return { ttlMs: isTime ? ttlMs : 0, cacheScope: cacheScope === "public" ? "public" : "private" };
}

/**
 * Combines two values: the shorter time, and a private scope if either scope is private. If one is null, returns the
 * other.
 */
export function leastFresh(one: Freshness | null, other: Freshness | null): Freshness | null {
  if (one === null || other === null) return one ?? other;
  const isPublic = one.cacheScope === "public" && other.cacheScope === "public";
  return { ttlMs: Math.min(one.ttlMs, other.ttlMs), cacheScope: isPublic ? "public" : "private" };
}

export function freshnessOfAll(sources: readonly CatalogSource[], list: keyof Listings): Freshness {
  const all = sources.map(({ freshness: { [list]: own = NOT_FRESH } = {} }) => own);
  return all.reduce(leastFresh, null) ?? NOT_FRESH;
}

/** Whether the entry is away, whatever else keeps it back. */
export function isUnavailable({ reasons }: Pick<CatalogEntry, "reasons">): boolean {
  return reasons.some(({ status }) => status === "away");
}

/** False for entries whose name belongs to no entry, or to another one. */
function isNamed({ reasons }: CatalogEntry): boolean {
  return !reasons.some(({ status }) => status === "filtered" || status === "collided");
}

/** Returns the indexes of `entries`. */
export function indexesOf(
  entries: readonly CatalogEntry[],
): ListedEntries & Pick<Catalog, "entries" | "unlisted"> {
  const listed: Record<EntryKind, Map<string, CatalogEntry>> = {
    tool: new Map(),
    resource: new Map(),
    template: new Map(),
    prompt: new Map(),
  };
  const unlisted = new Map<string, CatalogEntry>();
  for (const entry of entries) {
    const { kind, name, status, reasons } = entry;
    if (status === "listed") listed[kind].set(name, entry);
    if (reasons.length === 0 || !isNamed(entry)) continue;
    const key = entryKey(kind, name);
    const other = unlisted.get(key);
    const isBefore = other !== undefined && (other.status !== "unapproved" || status === "unapproved");
    if (!isBefore) unlisted.set(key, entry);
  }
  const { tool: tools, resource: resources, template: templates, prompt: prompts } = listed;
  return { entries, tools, resources, templates, prompts, unlisted };
}
