// What each principal may see of a catalog: computed once per set of rights; digests on first use.

import type { Catalog, CatalogEntry } from "../catalog/catalog.ts";
import type { Principal } from "../client-port.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { isWrapped, legacyTool as wrappedTool } from "../legacy-output.ts";
import type { CatalogView } from "../middleware/middleware.ts";
import type { Policies } from "../middleware/policies.ts";
import { type ParamHeader, paramHeadersOf } from "../param-headers.ts";
import { MODERN_VERSION } from "../protocol.ts";

/** What a view needs of the policies. */
export type ViewRights = Pick<Policies, "rightsKey" | "isVisible" | "hidesFromOwner">;

type ViewFor = (principal: Principal) => CatalogView;

/** What is listed of tools where not all are. */
export interface ListedTools {
  /** Before all others. */
  readonly own: readonly JsonObject[];
  /** Also listed, by name. */
  keeps(name: string): boolean;
}

/** Roles may come from outside one day; then views of long gone combinations must not stay for ever. */
const MAX_VIEWS = 1_000;

export interface ViewParts {
  readonly catalog: Catalog;
  /** null: everybody sees everything. */
  readonly rights: ViewRights | null;
  /** Makes a short text of a long one, equal only for equal ones. */
  readonly hash: (text: string) => string;
  /** The catalog has not all that is published. */
  readonly isPart?: boolean;
  /** null: all tools are listed. */
  readonly listed?: ListedTools | null;
}

export function createViews(parts: ViewParts): ViewFor {
  const { rights, isPart = false } = parts;
  const everything = isPart ? () => true : "everything";
  if (rights === null) {
    const whole = createView(parts, everything);
    return () => whole;
  }
  const byPrincipal = new WeakMap<Principal, CatalogView>();
  const byRights = new Map<string, CatalogView>();
  return (principal) => {
    const known = byPrincipal.get(principal);
    if (known !== undefined) return known;
    const key = rights.rightsKey(principal);
    let view = byRights.get(key);
    if (view === undefined) {
      const isVisible = (entry: CatalogEntry): boolean => rights.isVisible(principal, entry);
      const seesAll = principal.kind === "owner" && !rights.hidesFromOwner;
      view = createView(parts, seesAll ? everything : isVisible);
      if (byRights.size >= MAX_VIEWS) byRights.clear();
      byRights.set(key, view);
    }
    byPrincipal.set(principal, view);
    return view;
  };
}

function createView(
  { catalog, hash, listed = null }: ViewParts,
  isVisible: "everything" | ((entry: CatalogEntry) => boolean),
): CatalogView {
  const backends = new Set<string>();
  const visible = (entries: ReadonlyMap<string, CatalogEntry>): JsonObject[] => {
    const definitions: JsonObject[] = [];
    for (const entry of entries.values()) {
      if (isVisible !== "everything" && !isVisible(entry)) continue;
      definitions.push(entry.definition);
      backends.add(entry.backend);
      for (const place of entry.places ?? []) backends.add(place);
    }
    return definitions;
  };
  const tools = visible(catalog.tools);
  const isListed = ({ name }: JsonObject): boolean =>
    typeof name === "string" && listed?.keeps(name) === true;
  const shown = (all: readonly JsonObject[]): readonly JsonObject[] =>
    listed === null ? all : [...listed.own, ...all.filter(isListed)];
  let modernDefinitions: ReturnType<typeof modernTools> | null = null;
  const forModern = (): ReturnType<typeof modernTools> => {
    modernDefinitions ??= modernTools(tools);
    return modernDefinitions;
  };
  const callable: Partial<Record<"modern" | "older", ReadonlyMap<string, JsonObject>>> = {};
  let modern: CatalogView["modern"] | null = null;
  const resources = visible(catalog.resources);
  const resourceTemplates = visible(catalog.templates);
  const prompts = visible(catalog.prompts);
  const skills = visible(catalog.skills);
  const digest = (...lists: readonly (readonly JsonObject[])[]): string =>
    hash(lists.map((list) => list.map((definition) => digestOf(definition, hash)).join(" ")).join("\n"));
  let toolsDigest: string | null = null;
  let resourcesDigest: string | null = null;
  let promptsDigest: string | null = null;
  const others = {
    resources: { resources },
    resourceTemplates: { resourceTemplates },
    prompts: { prompts },
    skills: { skills },
  };
  return {
    lists: { tools: { tools: shown(tools).map(legacyTool) }, ...others },
    get modern() {
      if (modern === null) {
        const { definitions, paramHeaders } = forModern();
        const { freshness } = catalog;
        const lists = {
          tools: { tools: shown(definitions), ...freshness.tools },
          resources: { resources, ...freshness.resources },
          resourceTemplates: { resourceTemplates, ...freshness.resourceTemplates },
          prompts: { prompts, ...freshness.prompts },
          skills: { skills, ...freshness.skills },
        };
        modern = { lists, paramHeaders };
      }
      return modern;
    },
    callable(version) {
      if (version === MODERN_VERSION) callable.modern ??= byName(forModern().definitions);
      else callable.older ??= byName(tools.map(legacyTool));
      return (version === MODERN_VERSION ? callable.modern : callable.older) ?? new Map();
    },
    sees: (backend) => isVisible === "everything" || backends.has(backend),
    digests: {
      get tools() {
        toolsDigest ??= digest(shown(tools));
        return toolsDigest;
      },
      get resources() {
        // Skills are told of as resources are: they have no notice of their own.
        const lists = [resources, resourceTemplates];
        resourcesDigest ??= skills.length === 0 ? digest(...lists) : digest(...lists, skills);
        return resourcesDigest;
      },
      get prompts() {
        promptsDigest ??= digest(prompts);
        return promptsDigest;
      },
    },
  };
}

function byName(tools: readonly JsonObject[]): ReadonlyMap<string, JsonObject> {
  return new Map(tools.flatMap((tool) => (typeof tool["name"] === "string" ? [[tool["name"], tool]] : [])));
}

// Definitions are the servers' own objects and outlive catalogs: each is looked into once.
const digests = new WeakMap<JsonObject, string>();

function digestOf(definition: JsonObject, hash: (text: string) => string): string {
  const known = digests.get(definition);
  if (known !== undefined) return known;
  const made = hash(JSON.stringify(definition));
  digests.set(definition, made);
  return made;
}

// Tools as clients of older versions are shown them, and as those of 2026-07-28 are.

// Definitions outlive catalogs and views: each is looked into once.
const wrapped = new WeakMap<JsonObject, JsonObject>();

/** With an object as its output. */
function legacyTool(definition: JsonObject): JsonObject {
  if (!isWrapped(definition["outputSchema"])) return definition;
  const known = wrapped.get(definition);
  if (known !== undefined) return known;
  const made = wrappedTool(definition);
  wrapped.set(definition, made);
  return made;
}

interface ModernTool {
  readonly definition: JsonObject;
  readonly headers: readonly ParamHeader[];
}

/** Null: it is not shown. */
const modern = new WeakMap<JsonObject, ModernTool | null>();

function modernTool(tool: JsonObject): ModernTool | null {
  const known = modern.get(tool);
  if (known !== undefined) return known;
  const { execution, ...definition } = tool;
  const isTask = isJsonObject(execution) && execution["taskSupport"] === "required";
  const shown = execution === undefined ? tool : definition;
  const headers = paramHeadersOf(tool["inputSchema"]);
  const made = isTask || "fault" in headers ? null : { definition: shown, headers };
  modern.set(tool, made);
  return made;
}

/**
 * Without those that work as tasks alone, those that clients must not use for the headers that they want, and without
 * the word of older versions about tasks.
 */
function modernTools(tools: readonly JsonObject[]): {
  readonly definitions: readonly JsonObject[];
  readonly paramHeaders: ReadonlyMap<string, readonly ParamHeader[]>;
} {
  const definitions: JsonObject[] = [];
  const paramHeaders = new Map<string, readonly ParamHeader[]>();
  for (const tool of tools) {
    const shown = modernTool(tool);
    if (shown === null) continue;
    definitions.push(shown.definition);
    const { name } = tool;
    if (typeof name === "string" && shown.headers.length > 0) paramHeaders.set(name, shown.headers);
  }
  return { definitions, paramHeaders };
}
