// The catalog: every name that clients see, the backend behind it, and the server's own name.
import type { BackendConfig, ToolOverride } from "../../config/snapshot.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { NameOwners } from "./names.ts";

/** A server's lists: its own objects, in its order, as far as they have the member that identifies them. */
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

/** What one backend contributes. */
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
  /** Only approved skills are published. */
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
  /** `name` before it was cut to characters and length that all clients accept. Policies match both. */
  readonly fullName: string;
  /** The name without the backend's name, which was added to avoid a collision. Policies match this, too. */
  readonly plainName?: string;
  /** The server's own name. */
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
  /** The server's own name. */
  readonly name: string;
  /** Each names a member and its content: "description: 3 unseen characters (U+202E)". */
  readonly faults: readonly string[];
}

/** Which URIs a backend's filters allow, in any spelling; for resources that are read without being listed. */
export interface ResourceReach {
  readonly backend: string;
  /** True if the URI is allowed and not denied. */
  permits(uri: string): boolean;
  denies(uri: string): boolean;
}

/** Which skills of a backend clients may ask for. */
export interface SkillReach extends Pick<ResourceReach, "permits"> {
  /** Clients may ask for listed skills only: unlisted skills need a person's approval. */
  readonly isHeld: boolean;
}

export interface SkillPlaces {
  /** The backend whose skill contains the published URI, and the URI there; null if no skill contains it. */
  ownerOf(uri: string): Pick<Resolved, "backend" | "originalName"> | null;
  /** The URI under which clients read a backend's resource or skill file. */
  publishedUri(backend: string, uri: string): string;
}

/** Immutable. Lists are in a deterministic order: by backend as configured, within it as the server listed. */
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
  /** Names that no earlier catalog had. */
  readonly freshNames: NameOwners;
  /** The first published entries with invisible characters, which their `definition` leaves out. */
  readonly unseen: readonly UnseenEntry[];
  /** The backend of each entry that waits for approval, by `entryKey`. */
  readonly held: ReadonlyMap<string, string>;
  /** How many of a backend's tools its filters withhold, if any, by backend. */
  readonly withheldTools: ReadonlyMap<string, number>;
  /** One for each backend that offers resources, templates or skills, in the sources' order. */
  readonly resourceReach: readonly ResourceReach[];
  /** True if the URI belongs to a backend outside this part; absent in a whole catalog. */
  readonly isElsewhere?: (uri: string) => boolean;
  /** How long clients may keep each list. */
  readonly freshness: Readonly<Record<keyof Listings, Freshness>>;
}

// The freshness of lists (protocol version 2026-07-28), also of a list that several servers contribute to. Pure.

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
