// The types of the catalog: every name that clients see, its backend, and the server's own name.
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
  /** Each skill has the `uri` of its SKILL.md. Absent or null: the server does not declare skills. */
  readonly skills?: readonly JsonObject[] | null;
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
  readonly toolOverrides: Readonly<Record<string, ToolOverride>>;
  readonly listings: Listings;
  readonly instructions?: string | null;
  /** Withheld until a person approves them. */
  readonly held?: Listings;
  readonly freshness?: ListFreshness;
  /** True: skills are published only after a person's approval. */
  readonly holdsSkills?: boolean;
  /** The backends that serve a tool of several machines, by the server's own tool name. */
  readonly places?: ReadonlyMap<string, readonly string[]>;
}

export type EntryKind = "tool" | "resource" | "template" | "prompt" | "skill";

/** `key`: the member that identifies an entry. */
export const ENTRY_LISTS = [
  { kind: "tool", list: "tools", method: "tools/list", key: "name", filter: "tools" },
  { kind: "prompt", list: "prompts", method: "prompts/list", key: "name", filter: "prompts" },
  { kind: "skill", list: "skills", method: "skills/list", key: "uri", filter: "resources" },
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

export interface CatalogEntry {
  readonly kind: EntryKind;
  /** The name, URI or URI template that clients use. Unique within its kind. */
  readonly name: string;
  readonly backend: string;
  /** The name before it was shortened or changed for clients. Policies match it, too. */
  readonly fullName: string;
  /**
   * The entry's name without the backend's name, which was added because of a collision. Policies match this name,
   * too.
   */
  readonly plainName?: string;
  /** The entry's name at its server. */
  readonly originalName: string;
  /** As clients see it. */
  readonly definition: JsonObject;
  /** The backends that serve a tool of several machines. `backend` is not always one of them. */
  readonly places?: readonly string[];
  /** A person switched the tool off: no list has it, and its calls are refused. */
  readonly isOff?: true;
}

/** `name`: the name that clients use. */
export function entryKey(kind: EntryKind, name: string): string {
  return `${kind}:${name}`;
}

export type Resolved = Pick<CatalogEntry, "backend" | "originalName" | "places" | "isOff">;

/** Two entries have one name, and neither can be renamed. */
export interface Collision {
  readonly kind: EntryKind;
  readonly name: string;
  readonly kept: string;
  readonly hidden: string;
}

export interface UnseenEntry {
  readonly backend: string;
  readonly kind: EntryKind;
  /** The name or URI that the backend's server uses. */
  readonly name: string;
  /** Each like `description: 3 unseen characters (U+202E)`. */
  readonly faults: readonly string[];
}

/** Decides which of a backend's resources clients may read, including resources that are in no list. */
export interface ResourceReach {
  readonly backend: string;
  /** Allowed and not denied. */
  permits(uri: string): boolean;
  denies(uri: string): boolean;
}

export interface SkillReach extends Pick<ResourceReach, "permits"> {
  /** True: only listed skills may be read, because other skills need a person's approval. */
  readonly isHeld: boolean;
}

export interface SkillPlaces {
  /** Null: no skill contains the published URI. */
  ownerOf(uri: string): Pick<Resolved, "backend" | "originalName"> | null;
  publishedUri(backend: string, uri: string): string;
}

/** Immutable. Lists are ordered by backend as in the configuration, and within a backend as its server lists them. */
export interface Catalog {
  readonly tools: ReadonlyMap<string, CatalogEntry>;
  readonly resources: ReadonlyMap<string, CatalogEntry>;
  readonly templates: ReadonlyMap<string, CatalogEntry>;
  readonly prompts: ReadonlyMap<string, CatalogEntry>;
  readonly skills: ReadonlyMap<string, CatalogEntry>;
  /** By backend, also for a backend that declares skills but has none. */
  readonly skillReach: ReadonlyMap<string, SkillReach>;
  readonly skillPlaces: SkillPlaces;
  /** The key is the URI that clients use. */
  readonly appPages: ReadonlyMap<string, Resolved>;
  readonly collisions: readonly Collision[];
  /** Tools that a person switched off, by published name. */
  readonly off: ReadonlyMap<string, CatalogEntry>;
  /** Names that entries get in this catalog for the first time. */
  readonly freshNames: NameOwners;
  /** Entries with invisible characters. If there are many, only the first ones are kept. */
  readonly unseen: readonly UnseenEntry[];
  /** By `entryKey`: the backends of the entries that wait for approval. */
  readonly held: ReadonlyMap<string, string>;
  /** How many tools the filters withhold, by backend. */
  readonly withheldTools: ReadonlyMap<string, number>;
  /** One for each backend with resources, templates or skills, in the sources' order. */
  readonly resourceReach: readonly ResourceReach[];
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
