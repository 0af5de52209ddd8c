// Pages of MCP Apps: `ui://` resources that tools name in `_meta`. If two backends use the same URI, the page of the
// later backend gets another URI.
import { memoized } from "../../runtime/memo.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import type { Catalog, CatalogEntry, Owner } from "./catalog.ts";
import { copyOf } from "./copies.ts";

const SCHEME = "ui://";
/** Replaced by `ui.resourceUri`. */
const LEGACY_KEY = "ui/resourceUri";

/** A backend and the URIs of its pages that its filters allow. */
interface PageSource {
  readonly backend: string;
  readonly uris: Iterable<string>;
}

export type AppPages = ReturnType<typeof publishAppPages>;

/** `sources` in order of precedence. */
export function publishAppPages(sources: readonly PageSource[]) {
  const pages = new Map<string, Owner>();
  const published = new Map<string, string>();
  const key = (backend: string, uri: string): string => `${backend}\n${uri}`;
  for (const { backend, uris } of sources)
    for (const uri of uris) {
      if (published.has(key(backend, uri))) continue;
      let free = uri;
      while (pages.has(free)) free = `${SCHEME}${backend}/${free.slice(SCHEME.length)}`;
      pages.set(free, { backend, originalName: uri });
      published.set(key(backend, uri), free);
    }
  return {
    /** By published URI. */
    pages,
    /** The URI that clients get. It is the backend's own, unless another backend has a page with the same URI. */
    publishedUri: (backend: string, uri: string): string => published.get(key(backend, uri)) ?? uri,
  };
}

export function isAppPage(uri: unknown): uri is string {
  return typeof uri === "string" && uri.startsWith(SCHEME);
}

export function pageOfTool({ _meta: meta }: JsonObject): string | null {
  if (!isJsonObject(meta)) return null;
  const { ui, [LEGACY_KEY]: legacy } = meta;
  const named = isJsonObject(ui) ? ui["resourceUri"] : legacy;
  return isAppPage(named) ? named : null;
}

/** True if the tool belongs to an MCP App: hosts read its page, and who may call it, from the list of tools. */
export function isOfApp(tool: JsonObject): boolean {
  return pageOfTool(tool) !== null || (isJsonObject(tool["_meta"]) && isJsonObject(tool["_meta"]["ui"]));
}

/** True if only the app's page may call the tool, and no model. */
export function isAppOnly({ _meta: meta }: JsonObject): boolean {
  const ui = isJsonObject(meta) ? meta["ui"] : undefined;
  const visibility = isJsonObject(ui) ? ui["visibility"] : undefined;
  return Array.isArray(visibility) && !visibility.includes("model");
}

const appOnlyIn = memoized((tools: Catalog["tools"]) =>
  [...tools.values()].filter(({ definition }) => isAppOnly(definition)),
);

/** Whether only clients with pages see all tools. */
export function hasAppOnlyTools({ tools }: Pick<Catalog, "tools">): boolean {
  return appOnlyIn(tools).length > 0;
}

/** The tools of servers with pages, by the names that they have there: the only ones that a page knows. */
const ofPagesIn = memoized(({ entries, appPages }: Catalog) => {
  const backends = new Set([...appPages.values()].map(({ backend }) => backend));
  const tools = entries.filter(({ kind, backend }) => kind === "tool" && backends.has(backend));
  return Map.groupBy(tools, ({ originalName }) => originalName);
});

/**
 * The tools that a call of `name` may mean if a page makes it, which does not say whose page it is. Empty: a name that a model may
 * call, or that no server with pages has.
 */
export function calledByPage(catalog: Catalog, name: string): readonly CatalogEntry[] {
  const listed = catalog.tools.get(name);
  return listed === undefined || isAppOnly(listed.definition) ? (ofPagesIn(catalog).get(name) ?? []) : [];
}

export function withPage(tool: JsonObject, uri: string): JsonObject {
  if (pageOfTool(tool) === uri) return tool;
  return copyOf(tool, uri, () => {
    const { _meta } = tool;
    const meta = isJsonObject(_meta) ? _meta : {};
    const { ui } = meta;
    return {
      ...tool,
      _meta: {
        ...meta,
        ...(isJsonObject(ui) && { ui: { ...ui, resourceUri: uri } }),
        ...(isAppPage(meta[LEGACY_KEY]) && { [LEGACY_KEY]: uri }),
      },
    };
  });
}
