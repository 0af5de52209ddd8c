// Made-up backends' parts of a catalog, for tests.
import type { ConflictConfig, NameFilter } from "../../../src/config/snapshot.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { Catalog, CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";

export const ALL: NameFilter = { allow: null, deny: [] };
export const FIRST_WINS: ConflictConfig = {
  strategy: "first-wins",
};

export interface SourceParts {
  readonly tools?: readonly string[];
  readonly resources?: readonly string[];
  readonly templates?: readonly string[];
  readonly prompts?: readonly string[];
  /** Paths of skills, as `acme/refunds`; absent: none are declared. */
  readonly skills?: readonly string[];
  readonly filters?: Partial<CatalogSource["filters"]>;
  readonly toolOverrides?: CatalogSource["toolOverrides"];
}

/** With its SKILL.md and one more file, whose digests are those of nothing real. */
export function skill(path: string, description: string, files: readonly string[] = ["a.md"]): JsonObject {
  const root = `skill://${path}`;
  const digest = `sha256:${"0a".repeat(32)}`;
  return {
    uri: `${root}/SKILL.md`,
    frontmatter: { name: path.slice(path.lastIndexOf("/") + 1), description, metadata: { version: "1" } },
    resources: ["SKILL.md", ...files].map((file) => ({ uri: `${root}/${file}`, digest, size: 5 })),
  };
}

export function source(backend: string, parts: SourceParts): CatalogSource {
  const {
    tools = [],
    resources = [],
    templates = [],
    prompts = [],
    skills = null,
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
      skills: skills?.map((path) => skill(path, `${path} of ${backend}`)) ?? null,
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
