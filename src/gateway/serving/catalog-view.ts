// What each principal may see of a catalog: computed once per set of rights; digests on first use.

import type { Catalog, CatalogEntry } from "../catalog/catalog.ts";
import type { Principal } from "../client-port.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { CatalogView } from "../middleware/middleware.ts";
import type { Policies } from "../middleware/policies.ts";
import { legacyTool, modernTools } from "./tool-views.ts";

/** What a view needs of the policies. */
export type ViewRights = Pick<Policies, "rightsKey" | "isVisible" | "hidesFromOwner">;

type ViewFor = (principal: Principal) => CatalogView;

/** Roles may come from outside one day; then views of long gone combinations must not stay for ever. */
const MAX_VIEWS = 1_000;

/** `rights` null: everybody sees everything. `hash` makes a short text of a long one, equal only for equal ones. */
export function createViews(
  catalog: Catalog,
  rights: ViewRights | null,
  hash: (text: string) => string,
): ViewFor {
  if (rights === null) {
    const whole = createView(catalog, "everything", hash);
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
      view = createView(catalog, seesAll ? "everything" : isVisible, hash);
      if (byRights.size >= MAX_VIEWS) byRights.clear();
      byRights.set(key, view);
    }
    byPrincipal.set(principal, view);
    return view;
  };
}

function createView(
  catalog: Catalog,
  isVisible: "everything" | ((entry: CatalogEntry) => boolean),
  hash: (text: string) => string,
): CatalogView {
  const backends = new Set<string>();
  const visible = (entries: ReadonlyMap<string, CatalogEntry>): JsonObject[] => {
    const definitions: JsonObject[] = [];
    for (const entry of entries.values()) {
      if (isVisible !== "everything" && !isVisible(entry)) continue;
      definitions.push(entry.definition);
      backends.add(entry.backend);
    }
    return definitions;
  };
  const tools = visible(catalog.tools);
  let modern: CatalogView["modern"] | null = null;
  const resources = visible(catalog.resources);
  const resourceTemplates = visible(catalog.templates);
  const prompts = visible(catalog.prompts);
  const digest = (...lists: readonly (readonly JsonObject[])[]): string =>
    hash(lists.map((list) => list.map((definition) => digestOf(definition, hash)).join(" ")).join("\n"));
  let toolsDigest: string | null = null;
  let resourcesDigest: string | null = null;
  let promptsDigest: string | null = null;
  const others = { resources: { resources }, resourceTemplates: { resourceTemplates }, prompts: { prompts } };
  return {
    lists: { tools: { tools: tools.map(legacyTool) }, ...others },
    get modern() {
      if (modern === null) {
        const { definitions, paramHeaders } = modernTools(tools);
        const { freshness } = catalog;
        const lists = {
          tools: { tools: definitions, ...freshness.tools },
          resources: { resources, ...freshness.resources },
          resourceTemplates: { resourceTemplates, ...freshness.resourceTemplates },
          prompts: { prompts, ...freshness.prompts },
        };
        modern = { lists, paramHeaders };
      }
      return modern;
    },
    sees: (backend) => isVisible === "everything" || backends.has(backend),
    digests: {
      get tools() {
        toolsDigest ??= digest(tools);
        return toolsDigest;
      },
      get resources() {
        resourcesDigest ??= digest(resources, resourceTemplates);
        return resourcesDigest;
      },
      get prompts() {
        promptsDigest ??= digest(prompts);
        return promptsDigest;
      },
    },
  };
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
