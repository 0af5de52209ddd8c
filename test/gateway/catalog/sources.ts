// Made-up backends' parts of a catalog, for tests.
import type { ConflictConfig, NameFilter } from "../../../src/config/snapshot.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { Catalog, CatalogSource } from "../../../src/gateway/catalog/catalog.ts";

export const ALL: NameFilter = { allow: null, deny: [] };
export const FIRST_WINS: ConflictConfig = {
  strategy: "first-wins",
};

export interface SourceParts {
  readonly tools?: readonly string[];
  readonly resources?: readonly string[];
  readonly templates?: readonly string[];
  readonly prompts?: readonly string[];
  readonly filters?: Partial<CatalogSource["filters"]>;
  readonly toolOverrides?: CatalogSource["toolOverrides"];
}

export function source(backend: string, parts: SourceParts): CatalogSource {
  const {
    tools = [],
    resources = [],
    templates = [],
    prompts = [],
    filters = {},
    toolOverrides = {},
  } = parts;
  return {
    backend,
    filters: { tools: ALL, resources: ALL, prompts: ALL, ...filters },
    toolOverrides,
    listings: {
      tools: tools.map((name) => ({ name, description: `${name} of ${backend}`, inputSchema: {} })),
      resources: resources.map((uri) => ({ uri, name: uri })),
      resourceTemplates: templates.map((uriTemplate) => ({ uriTemplate, name: uriTemplate })),
      prompts: prompts.map((name) => ({ name, title: name.toUpperCase() })),
    },
  };
}

/** The same, not to be used now. */
export function away(backend: string, parts: SourceParts): CatalogSource {
  return { ...source(backend, parts), isUnavailable: true };
}

/** Of two names the first in the file wins. */
export function catalogOf(...sources: readonly CatalogSource[]): Catalog {
  return buildCatalog(sources, FIRST_WINS);
}
