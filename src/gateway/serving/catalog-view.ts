// The part of a catalog that each principal may see. Principals with equal rights share a view.
import { hash } from "node:crypto";
import { memoized } from "../../runtime/memo.ts";
import { isOfApp } from "../catalog/app-pages.ts";
import type { Catalog, CatalogEntry } from "../catalog/catalog.ts";
import { originOf } from "../catalog/copies.ts";
import type { Principal } from "../client-handle.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { legacyTool } from "../legacy-output.ts";
import type { CatalogView } from "../middleware/middleware.ts";
import type { Policies } from "../middleware/policies.ts";
import { type ParamHeader, paramHeadersOf } from "../param-headers.ts";
import { entryDigest } from "../pins/pinned-entry.ts";
import { MODERN_VERSION } from "../protocol.ts";

export type ViewRights = Pick<Policies, "rightsKey" | "isVisible" | "hidesFromOwner">;

type ViewFor = (principal: Principal) => CatalogView;

/** The tools that are listed to clients which search tools instead of listing all. */
export interface ListedTools {
  /** Tools that come first in the list. */
  readonly own: readonly JsonObject[];
  /** One of `own` that only those see who may use it; absent: all see all. */
  readonly guarded?: CatalogEntry | null;
  /** True if `name`, a tool of the backend, is also listed; these tools follow `own`. */
  keeps(name: string): boolean;
}

/** Limit of kept views. With signed tokens, any combination of roles may occur. */
const MAX_VIEWS = 1_000;

export interface ViewParts {
  readonly catalog: Catalog;
  /** null: all clients see everything. */
  readonly rights: ViewRights | null;
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
  const byRights = new Map<string, CatalogView>();
  return memoized((principal: Principal) => {
    const key = rights.rightsKey(principal);
    let view = byRights.get(key);
    if (view === undefined) {
      const isVisible = (entry: CatalogEntry): boolean => rights.isVisible(principal, entry);
      const seesAll = principal.kind === "owner" && !rights.hidesFromOwner;
      view = createView(parts, seesAll ? everything : isVisible);
      if (byRights.size >= MAX_VIEWS) byRights.clear();
      byRights.set(key, view);
    }
    return view;
  });
}

function createView(
  { catalog, listed = null }: ViewParts,
  isVisible: "everything" | ((entry: CatalogEntry) => boolean),
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
  const isListed = (tool: JsonObject): boolean =>
    isOfApp(tool) || (typeof tool["name"] === "string" && listed?.keeps(tool["name"]) === true);
  const guarded = listed?.guarded ?? null;
  const isHidden = guarded !== null && isVisible !== "everything" && !isVisible(guarded);
  const own = (listed?.own ?? []).filter((tool) => !isHidden || tool !== guarded?.definition);
  const shown = (all: readonly JsonObject[]): readonly JsonObject[] =>
    listed === null ? all : [...own, ...all.filter(isListed)];
  const modernOnes = lazily(() => modernTools(tools));
  const legacyByName = lazily(() => byName(tools.map(legacyTool)));
  const modernByName = lazily(() => byName(modernOnes().definitions));
  const resources = visible(catalog.resources);
  const resourceTemplates = visible(catalog.templates);
  const prompts = visible(catalog.prompts);
  const digest = (...lists: readonly (readonly JsonObject[])[]): string =>
    hashOf(lists.map((list) => list.map(digestOf).join(" ")).join("\n"));
  const digests = {
    tools: lazily(() => digest(shown(tools))),
    resources: lazily(() => digest(resources, resourceTemplates)),
    prompts: lazily(() => digest(prompts)),
  };
  const modern = lazily((): CatalogView["modern"] => {
    const { definitions, paramHeaders } = modernOnes();
    const { freshness } = catalog;
    const lists = {
      tools: { tools: shown(definitions), ...freshness.tools },
      resources: { resources, ...freshness.resources },
      resourceTemplates: { resourceTemplates, ...freshness.resourceTemplates },
      prompts: { prompts, ...freshness.prompts },
    };
    return { lists, paramHeaders };
  });
  return {
    lists: {
      tools: { tools: shown(tools).map(legacyTool) },
      resources: { resources },
      resourceTemplates: { resourceTemplates },
      prompts: { prompts },
    },
    get modern() {
      return modern();
    },
    callable: (version) => (version === MODERN_VERSION ? modernByName() : legacyByName()),
    sees: (backend) => isVisible === "everything" || backends.has(backend),
    digests: {
      get tools() {
        return digests.tools();
      },
      get resources() {
        return digests.resources();
      },
      get prompts() {
        return digests.prompts();
      },
    },
  };
}

function lazily<Value extends object | string>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function byName(tools: readonly JsonObject[]): ReadonlyMap<string, JsonObject> {
  return new Map(tools.flatMap((tool) => (typeof tool["name"] === "string" ? [[tool["name"], tool]] : [])));
}

function hashOf(text: string): string {
  return hash("sha256", text, "base64url");
}

// Later catalogs and views reuse the servers' definition objects, so results are kept for each object.

const digestOf = memoized((definition: JsonObject): string => {
  const origin = originOf(definition);
  if (origin === undefined) return entryDigest(definition);
  return hashOf(`${digestOf(origin.original)} ${origin.key}`);
});

/** null if clients of 2026-07-28 do not get the tool. */
const modernTool = memoized((tool: JsonObject) => {
  const { execution, ...definition } = tool;
  const isTask = isJsonObject(execution) && execution["taskSupport"] === "required";
  const headers = paramHeadersOf(tool["inputSchema"]);
  if (isTask || "fault" in headers) return null;
  return { definition: execution === undefined ? tool : definition, headers };
});

/**
 * Clients of 2026-07-28 know no `execution`. They get no tool that works only as a legacy task, and none with
 * an invalid header declaration.
 */
function modernTools(tools: readonly JsonObject[]) {
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
