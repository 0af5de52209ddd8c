// Restricts a catalog to a part of its entries, which keep their names. Pure.

import { pageOfTool } from "./app-pages.ts";
import { type Catalog, type CatalogEntry, indexesOf } from "./catalog.ts";
import { resolveTarget } from "./resolve.ts";

export interface CatalogPart {
  hasTool(tool: CatalogEntry): boolean;
  /**
   * Whether a backend's resources and prompts belong to the part. null: only the app pages of the part's
   * tools belong to it.
   */
  readonly hasBackend: ((backend: string) => boolean) | null;
}

/** Returns the entries that each of `lists` contains in at least one of its parts. */
export function partOfCatalog(catalog: Catalog, lists: readonly (readonly CatalogPart[])[]): Catalog {
  if (lists.length === 0) return catalog;
  const part = lists.reduce((whole, parts) => inOneOf(whole, parts), catalog);
  const isWhole = wholeBackendsIn(lists);
  return {
    ...part,
    isElsewhere(uri) {
      const found = resolveTarget(catalog, { kind: "resource", name: uri });
      return found !== null && !isWhole(found.backend) && !part.appPages.has(uri);
    },
  };
}

export function withoutTools(catalog: Catalog, isTaken: (name: string) => boolean): Catalog {
  const entries = catalog.entries.filter(({ kind, name }) => kind !== "tool" || !isTaken(name));
  return entries.length === catalog.entries.length ? catalog : { ...catalog, ...indexesOf(entries) };
}

/** The returned function is true for a backend that may have an entry in each of the lists. */
export function backendsIn(
  catalog: Catalog,
  lists: readonly (readonly CatalogPart[])[],
): (backend: string) => boolean {
  const each = lists.map((parts) => parts.map((part) => ownersOf(catalog, part)));
  return (backend) => each.every((owners) => owners.some((isOwner) => isOwner(backend)));
}

/**
 * Returns a function that is true for a backend if each of the lists has a part with all resources and
 * prompts of that backend.
 */
export function wholeBackendsIn(lists: readonly (readonly CatalogPart[])[]): (backend: string) => boolean {
  return (backend) => lists.every((parts) => parts.some(({ hasBackend }) => hasBackend?.(backend) === true));
}

function inOneOf(catalog: Catalog, parts: readonly CatalogPart[]): Catalog {
  const hasTool = (tool: CatalogEntry): boolean => parts.some((part) => part.hasTool(tool));
  const isWhole = wholeBackendsIn([parts]);
  // The app pages of these tools are included, because a tool shows its results in its app page.
  const pages = new Set(
    catalog.entries.flatMap((entry) => {
      const uri = entry.kind === "tool" && hasTool(entry) ? pageOfTool(entry.definition) : null;
      return uri !== null && catalog.appPages.get(uri)?.backend === entry.backend ? [uri] : [];
    }),
  );
  const isIn = (entry: CatalogEntry): boolean => {
    const { kind, name, backend } = entry;
    return kind === "tool" ? hasTool(entry) : isWhole(backend) || (kind === "resource" && pages.has(name));
  };
  return {
    ...catalog,
    ...indexesOf(catalog.entries.filter(isIn)),
    appPages: new Map(
      [...catalog.appPages].filter(([uri, { backend }]) => isWhole(backend) || pages.has(uri)),
    ),
    permissions: new Map([...catalog.permissions].filter(([backend]) => isWhole(backend))),
    resourceAccess: catalog.resourceAccess.filter(({ backend }) => isWhole(backend)),
  };
}

function ownersOf({ tools }: Catalog, { hasTool, hasBackend }: CatalogPart): (backend: string) => boolean {
  if (hasBackend !== null) return hasBackend;
  const owners = new Set([...tools.values()].filter(hasTool).map(({ backend }) => backend));
  return (backend) => owners.has(backend);
}
