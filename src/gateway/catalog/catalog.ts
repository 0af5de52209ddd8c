// The catalog: every name that clients see, the backend behind it, and the server's own name.
import type { BackendConfig, ToolOverride } from "../../config/snapshot.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { NameOwners } from "./names.ts";

/**
 * A server's lists: the server's own objects in its own order, except objects that lack the member that
 * identifies them.
 */
export interface Listings {
  /** Each has a string `name`. */
  readonly tools: readonly JsonObject[];
  /** Each has a string `uri`. */
  readonly resources: readonly JsonObject[];
  /** Each has a string `uriTemplate`. */
  readonly resourceTemplates: readonly JsonObject[];
  /** Each has a string `name`. */
  readonly prompts: readonly JsonObject[];
  /** Each has the `uri` of its SKILL.md. Absent or null: the server does not declare skills. */
  readonly skills?: readonly JsonObject[] | null;
}

export const NO_LISTINGS: Listings = { tools: [], resources: [], resourceTemplates: [], prompts: [] };

/** How long clients may keep a list (protocol version 2026-07-28). */
export interface Freshness {
  readonly ttlMs: number;
  readonly cacheScope: "public" | "private";
}

/** By list; null if the server has no such list. A missing list counts as `NOT_FRESH`. */
export type ListFreshness = Readonly<Partial<Record<keyof Listings, Freshness | null>>>;

/** One backend's contribution to the catalog. */
export interface CatalogSource {
  readonly backend: string;
  readonly filters: BackendConfig["filters"];
  readonly toolOverrides: Readonly<Record<string, ToolOverride>>;
  readonly listings: Listings;
  /** The server's instructions for models; null or absent: none. */
  readonly instructions?: string | null;
  /** Entries that stay withheld until a person approves them. */
  readonly held?: Listings;
  readonly freshness?: ListFreshness;
  /** True: skills need a person's approval before they are published. */
  readonly holdsSkills?: boolean;
  /** The backends that serve a tool shared by several machines, by the server's own tool name. */
  readonly places?: ReadonlyMap<string, readonly string[]>;
}

export type EntryKind = "tool" | "resource" | "template" | "prompt" | "skill";

/** For each kind: its list, the method that reads the list, the member that identifies an entry, and the filter. */
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
  /**
   * The name before it was shortened or changed to be valid for all clients. Policies match `name` and
   * `fullName`.
   */
  readonly fullName: string;
  /**
   * The name without the backend's name, if that was added to avoid a collision. Policies match this name,
   * too.
   */
  readonly plainName?: string;
  /** The entry's name or URI at its server. */
  readonly originalName: string;
  /** The definition that clients see. */
  readonly definition: JsonObject;
  /** The backends that serve a tool shared by several machines; `backend` need not be among them. */
  readonly places?: readonly string[];
  /** A person has switched this tool off: no list has it, and calls are refused. */
  readonly isOff?: true;
}

/** `name`: the name that clients use. */
export function entryKey(kind: EntryKind, name: string): string {
  return `${kind}:${name}`;
}

/** The backend that a request goes to, and the name that its server uses. */
export type Resolved = Pick<CatalogEntry, "backend" | "originalName" | "places" | "isOff">;

/** Two entries have the same name, and neither can be renamed. */
export interface Collision {
  readonly kind: EntryKind;
  readonly name: string;
  /** The backend whose entry is published. */
  readonly kept: string;
  /** The backend whose entry is not published. */
  readonly hidden: string;
}

/** An entry with invisible characters. */
export interface UnseenEntry {
  readonly backend: string;
  readonly kind: EntryKind;
  /** The entry's name or URI at its server. */
  readonly name: string;
  /** For each affected member, its name and what it contains: "description: 3 unseen characters (U+202E)". */
  readonly faults: readonly string[];
}

/**
 * Which URIs a backend's filters allow, in any spelling. Decides about resources that clients read although
 * no list has them.
 */
export interface ResourceReach {
  readonly backend: string;
  /** True if the URI is allowed and not denied. */
  permits(uri: string): boolean;
  denies(uri: string): boolean;
}

/** Which skills of a backend clients may ask for. */
export interface SkillReach extends Pick<ResourceReach, "permits"> {
  /** True: clients may ask only for listed skills, because unlisted ones need a person's approval. */
  readonly isHeld: boolean;
}

export interface SkillPlaces {
  /**
   * The backend whose skill contains the published URI, and that backend's own URI; null if no skill contains
   * it.
   */
  ownerOf(uri: string): Pick<Resolved, "backend" | "originalName"> | null;
  /** The URI under which clients read a backend's resource or skill file. */
  publishedUri(backend: string, uri: string): string;
}

/**
 * Immutable. Its lists have a deterministic order: backends as configured, and entries as their server lists
 * them.
 */
export interface Catalog {
  readonly tools: ReadonlyMap<string, CatalogEntry>;
  readonly resources: ReadonlyMap<string, CatalogEntry>;
  readonly templates: ReadonlyMap<string, CatalogEntry>;
  readonly prompts: ReadonlyMap<string, CatalogEntry>;
  readonly skills: ReadonlyMap<string, CatalogEntry>;
  /** By backend; every backend that declares skills has an entry, even without any skill. */
  readonly skillReach: ReadonlyMap<string, SkillReach>;
  readonly skillPlaces: SkillPlaces;
  /** Pages of MCP Apps, by the URI under which clients read them; listed as resources or only named by tools. */
  readonly appPages: ReadonlyMap<string, Resolved>;
  readonly collisions: readonly Collision[];
  /** Tools that a person has switched off, by published name. */
  readonly off: ReadonlyMap<string, CatalogEntry>;
  /** The names that this catalog gives to entries for the first time, each with its entry. */
  readonly freshNames: NameOwners;
  /**
   * Published entries that came from the server with invisible characters; only the first ones if there are
   * many.
   */
  readonly unseen: readonly UnseenEntry[];
  /** The backend of each entry that waits for approval, by `entryKey`. */
  readonly held: ReadonlyMap<string, string>;
  /**
   * Number of tools that a backend's filters withhold, by backend; backends without withheld tools are
   * missing.
   */
  readonly withheldTools: ReadonlyMap<string, number>;
  /** One for each backend that offers resources, templates or skills, in the sources' order. */
  readonly resourceReach: readonly ResourceReach[];
  /**
   * Only in a catalog restricted to some backends or tools: true if the URI belongs to a backend that is left
   * out.
   */
  readonly isElsewhere?: (uri: string) => boolean;
  /** How long clients may keep each list. */
  readonly freshness: Readonly<Record<keyof Listings, Freshness>>;
}

// Computes how long clients may keep a list (protocol version 2026-07-28), also if several servers contribute
// to it. Pure.

/** The default, also for servers of legacy protocol versions. */
export const NOT_FRESH: Freshness = { ttlMs: 0, cacheScope: "private" };

/** The freshness in one page of a list. */
export function freshnessOf({ ttlMs, cacheScope }: JsonObject): Freshness {
  const isTime = typeof ttlMs === "number" && Number.isSafeInteger(ttlMs) && ttlMs >= 0;
  return { ttlMs: isTime ? ttlMs : 0, cacheScope: cacheScope === "public" ? "public" : "private" };
}

/** The freshness of two lists together: the shorter time, and private if either is private. */
export function leastFresh(one: Freshness | null, other: Freshness | null): Freshness | null {
  if (one === null || other === null) return one ?? other;
  const isPublic = one.cacheScope === "public" && other.cacheScope === "public";
  return { ttlMs: Math.min(one.ttlMs, other.ttlMs), cacheScope: isPublic ? "public" : "private" };
}

/** The freshness of one list over all sources. */
export function freshnessOfAll(sources: readonly CatalogSource[], list: keyof Listings): Freshness {
  const all = sources.map(({ freshness: { [list]: own = NOT_FRESH } = {} }) => own);
  return all.reduce(leastFresh, null) ?? NOT_FRESH;
}
