// What is published: every name, which backend it belongs to, and what the server calls it.
import type { BackendConfig, ToolOverride } from "../../config/snapshot.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { NameOwners } from "./names.ts";
import type { SkillPlaces } from "./skill-places.ts";

/** Entries are the server's own objects, in its order, wherever they have the name that they are known by. */
export interface Listings {
  /** Each has a string `name`. */
  readonly tools: readonly JsonObject[];
  /** Each has a string `uri`. */
  readonly resources: readonly JsonObject[];
  /** Each has a string `uriTemplate`. */
  readonly resourceTemplates: readonly JsonObject[];
  /** Each has a string `name`. */
  readonly prompts: readonly JsonObject[];
  /** Each has the `uri` of its SKILL.md. Absent or null: the server has no skills to declare. */
  readonly skills?: readonly JsonObject[] | null;
}

export const NO_LISTINGS: Listings = { tools: [], resources: [], resourceTemplates: [], prompts: [] };

/** How long a list holds, as 2026-07-28 says it. */
export interface Freshness {
  readonly ttlMs: number;
  readonly cacheScope: "public" | "private";
}

/** By list; null: the server has no such list. What is not here is not fresh. */
export type ListFreshness = Readonly<Partial<Record<keyof Listings, Freshness | null>>>;

/** One backend's part. */
export interface CatalogSource {
  readonly backend: string;
  readonly filters: BackendConfig["filters"];
  readonly toolOverrides: Readonly<Record<string, ToolOverride>>;
  readonly listings: Listings;
  /** What its server tells models of itself; null or absent: nothing. */
  readonly instructions?: string | null;
  /** Entries that nobody gets until a person approves them. */
  readonly held?: Listings;
  /** Absent: nothing is said of any list. */
  readonly freshness?: ListFreshness;
  /** Skills are published as they were approved, and no other ones. */
  readonly holdsSkills?: boolean;
  /** By the server's own name of a tool: the backends that serve it, where there are several machines' ones. */
  readonly places?: ReadonlyMap<string, readonly string[]>;
}

export type EntryKind = "tool" | "resource" | "template" | "prompt" | "skill";

/** Where entries of each kind are listed, by which method, the member that names them, and the filter that they pass. */
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
  /** What clients call it: a name, a URI or a URI template. Unique within its kind. */
  readonly name: string;
  readonly backend: string;
  /** What it would be called if clients could use any name; policies know it by both. */
  readonly fullName: string;
  /** Without its backend's name, which it has because another one's name met its own; policies know it by this, too. */
  readonly plainName?: string;
  /** What the server calls it. */
  readonly originalName: string;
  /** As listed to clients. */
  readonly definition: JsonObject;
  /** Of a tool that several machines have in common: the backends that serve it, of which `backend` may be none. */
  readonly places?: readonly string[];
  /** A tool that a person has switched off: in no list, and refused. */
  readonly isOff?: true;
}

/** By what clients would call it. */
export function heldKey(kind: EntryKind, name: string): string {
  return `${kind}:${name}`;
}

/** The backend that a request goes to, and what the server there calls the thing. */
export type Resolved = Pick<CatalogEntry, "backend" | "originalName" | "places" | "isOff">;

/** Two entries would have one name, and no other one can be given. */
export interface Collision {
  readonly kind: EntryKind;
  readonly name: string;
  /** Whose is published. */
  readonly kept: string;
  /** Whose is not. */
  readonly hidden: string;
}

/** An entry with characters that nobody sees. */
export interface UnseenEntry {
  readonly backend: string;
  readonly kind: EntryKind;
  /** The server's own. */
  readonly name: string;
  /** Each names the member and what is in it, as "description: 3 unseen characters (U+202E)". */
  readonly faults: readonly string[];
}

/** Which URIs a backend's filters allow, however they are written; for resources that are read without being listed. */
export interface ResourceReach {
  readonly backend: string;
  /** Allowed, and not denied. */
  permits(uri: string): boolean;
  denies(uri: string): boolean;
}

/** What may be asked of a backend's skills. */
export interface SkillReach extends Pick<ResourceReach, "permits"> {
  /** Only what is listed: the rest waits for a person. */
  readonly isHeld: boolean;
}

/** Immutable. Lists are in a deterministic order: by backend as configured, within it as the server listed. */
export interface Catalog {
  readonly tools: ReadonlyMap<string, CatalogEntry>;
  readonly resources: ReadonlyMap<string, CatalogEntry>;
  readonly templates: ReadonlyMap<string, CatalogEntry>;
  readonly prompts: ReadonlyMap<string, CatalogEntry>;
  readonly skills: ReadonlyMap<string, CatalogEntry>;
  /** By backend that declares skills, whether it has any or not: how they may be asked for. */
  readonly skillReach: ReadonlyMap<string, SkillReach>;
  readonly skillPlaces: SkillPlaces;
  /** Pages of MCP Apps, by the URI under which clients read them; listed as resources or only named by tools. */
  readonly appPages: ReadonlyMap<string, Resolved>;
  readonly collisions: readonly Collision[];
  /** Tools that a person has switched off, by the names that they have. */
  readonly off: ReadonlyMap<string, CatalogEntry>;
  /** Names in it that nobody had before. */
  readonly freshNames: NameOwners;
  /** The first of those that are published; their `definition` is without these characters. */
  readonly unseen: readonly UnseenEntry[];
  /** What waits for a person's approval: its backend, by `heldKey`. */
  readonly held: ReadonlyMap<string, string>;
  /** By backend: how many of its tools its filters keep back, where there are any. */
  readonly withheldTools: ReadonlyMap<string, number>;
  /** One for each backend that offers resources or templates, in the same order. */
  readonly resourceReach: readonly ResourceReach[];
  /** Whether a URI belongs to a backend that is not in this part; absent: this is no part. */
  readonly isElsewhere?: (uri: string) => boolean;
  /** How long each list holds for clients that may keep it. */
  readonly freshness: Readonly<Record<keyof Listings, Freshness>>;
}

// How long lists hold, as servers of 2026-07-28 say it, and what that makes of the lists of several servers. Pure.

/** What holds where nothing is said, and for lists of servers of older versions. */
export const NOT_FRESH: Freshness = { ttlMs: 0, cacheScope: "private" };

/** What one page of a list says. */
export function freshnessOf({ ttlMs, cacheScope }: JsonObject): Freshness {
  const isTime = typeof ttlMs === "number" && Number.isSafeInteger(ttlMs) && ttlMs >= 0;
  return { ttlMs: isTime ? ttlMs : 0, cacheScope: cacheScope === "public" ? "public" : "private" };
}

/** Of what is made of both: the shorter time, and private if either is. */
export function leastFresh(one: Freshness | null, other: Freshness | null): Freshness | null {
  if (one === null || other === null) return one ?? other;
  const isPublic = one.cacheScope === "public" && other.cacheScope === "public";
  return { ttlMs: Math.min(one.ttlMs, other.ttlMs), cacheScope: isPublic ? "public" : "private" };
}

/** Of one list of all sources together. */
export function freshnessOfAll(sources: readonly CatalogSource[], list: keyof Listings): Freshness {
  const all = sources.map(({ freshness = {} }) => {
    const said = freshness[list];
    return said === undefined ? NOT_FRESH : said;
  });
  return all.reduce(leastFresh, null) ?? NOT_FRESH;
}
