// Pages of MCP Apps (`ui://` resources that tools name in `_meta`): whose each is, and the URI under which clients read
// it. Two backends may have the same URI for pages of their own; the later one's is published under another.
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import type { Resolved } from "./catalog.ts";

const SCHEME = "ui://";
/** Where a tool names its page, before there was `ui.resourceUri`. */
const OLDER_KEY = "ui/resourceUri";

/** The pages of one backend that its filters allow. */
interface PageSource {
  readonly backend: string;
  readonly uris: Iterable<string>;
}

export type AppPages = ReturnType<typeof publishAppPages>;

/** `sources` in order of precedence. */
export function publishAppPages(sources: readonly PageSource[]) {
  const pages = new Map<string, Resolved>();
  const renamed = new Map<string, string>();
  const key = (backend: string, uri: string): string => `${backend}\n${uri}`;
  for (const { backend, uris } of sources)
    for (const uri of new Set(uris)) {
      let published = uri;
      while (pages.has(published)) published = `${SCHEME}${backend}/${published.slice(SCHEME.length)}`;
      pages.set(published, { backend, originalName: uri });
      if (published !== uri) renamed.set(key(backend, uri), published);
    }
  return {
    /** By the published URI. */
    pages,
    /** What clients call a backend's page; the same URI where it is nobody else's. */
    publishedUri: (backend: string, uri: string): string =>
      renamed.size === 0 ? uri : (renamed.get(key(backend, uri)) ?? uri),
  };
}

export function isAppPage(uri: unknown): uri is string {
  return typeof uri === "string" && uri.startsWith(SCHEME);
}

/** The page of a tool; null: it has none. */
export function pageOfTool({ _meta: meta }: JsonObject): string | null {
  if (!isJsonObject(meta)) return null;
  const { ui, [OLDER_KEY]: older } = meta;
  const named = isJsonObject(ui) ? ui["resourceUri"] : older;
  return isAppPage(named) ? named : null;
}

interface Copy {
  readonly uri: string;
  readonly definition: JsonObject;
}

// What was made of a server's object last, as in build-catalog.
const copies = new WeakMap<JsonObject, Copy>();

/** The tool with its page under another URI. */
export function withPage(tool: JsonObject, uri: string): JsonObject {
  return copied(tool, uri, () => {
    const { _meta } = tool;
    const meta = isJsonObject(_meta) ? _meta : {};
    const { ui } = meta;
    return {
      ...tool,
      _meta: {
        ...meta,
        ...(isJsonObject(ui) && { ui: { ...ui, resourceUri: uri } }),
        ...(isAppPage(meta[OLDER_KEY]) && { [OLDER_KEY]: uri }),
      },
    };
  });
}

/** The resource under another URI. */
export function underUri(resource: JsonObject, uri: string): JsonObject {
  return copied(resource, uri, () => ({ ...resource, uri }));
}

function copied(original: JsonObject, uri: string, make: () => JsonObject): JsonObject {
  const known = copies.get(original);
  if (known?.uri === uri) return known.definition;
  const definition = make();
  copies.set(original, { uri, definition });
  return definition;
}
