// Restricts a catalog to a part of its entries, which keep their names. Pure.

import { pageOfTool } from "./app-pages.ts";
import type { Catalog, CatalogEntry } from "./catalog.ts";
import { resolveTarget } from "./resolve.ts";

export interface CatalogPart {
  hasTool(tool: CatalogEntry): boolean;
  /**
   * Whether a backend's resources, prompts and skills belong to the part. null: only the app pages of the part's
   * tools belong to it.
   */
  readonly hasBackend: ((backend: string) => boolean) | null;
}

/**
 * Returns the entries that each of `lists` contains in at least one of its parts. `beside`: another catalog of the
 * same backends, whose URIs outside the parts also count for `isElsewhere`.
 */
export function partOfCatalog(
  catalog: Catalog,
  lists: readonly (readonly CatalogPart[])[],
  beside: Catalog | null = null,
): Catalog {
  if (lists.length === 0) return catalog;
  const part = lists.reduce((whole, parts) => inOneOf(whole, parts), catalog);
  const isWhole = wholeBackendsIn(lists);
  const isOutside = (known: Catalog, uri: string): boolean => {
    const found = resolveTarget(known, { kind: "resource", name: uri });
    return found !== null && !isWhole(found.backend) && !part.appPages.has(uri);
  };
  return {
    ...part,
    isElsewhere: (uri) => isOutside(catalog, uri) || (beside !== null && isOutside(beside, uri)),
  };
}

export function withoutTools(catalog: Catalog, isTaken: (name: string) => boolean): Catalog {
  if (!catalog.tools.keys().some(isTaken)) return catalog;
  return { ...catalog, tools: filtered(catalog.tools, ({ name }) => !isTaken(name)) };
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
 * Returns a function that is true for a backend if each of the lists has a part with all resources, prompts and
 * skills of that backend.
 */
export function wholeBackendsIn(lists: readonly (readonly CatalogPart[])[]): (backend: string) => boolean {
  return (backend) => lists.every((parts) => parts.some(({ hasBackend }) => hasBackend?.(backend) === true));
}

function inOneOf(catalog: Catalog, parts: readonly CatalogPart[]): Catalog {
  const hasTool = (tool: CatalogEntry): boolean => parts.some((part) => part.hasTool(tool));
  const isWhole = wholeBackendsIn([parts]);
  const isOwned = ({ backend }: { readonly backend: string }): boolean => isWhole(backend);
  const tools = filtered(catalog.tools, hasTool);
  // The app pages of these tools are included, because a tool shows its results in its app page.
  const pages = new Set(
    [...tools.values()].flatMap(({ definition, backend }) => {
      const uri = pageOfTool(definition);
      return uri !== null && catalog.appPages.get(uri)?.backend === backend ? [uri] : [];
    }),
  );
  return {
    ...catalog,
    tools,
    off: filtered(catalog.off, hasTool),
    resources: filtered(catalog.resources, (entry) => isOwned(entry) || pages.has(entry.name)),
    templates: filtered(catalog.templates, isOwned),
    prompts: filtered(catalog.prompts, isOwned),
    appPages: new Map([...catalog.appPages].filter(([uri, page]) => isOwned(page) || pages.has(uri))),
    skills: filtered(catalog.skills, isOwned),
    skillReach: new Map([...catalog.skillReach].filter(([backend]) => isOwned({ backend }))),
    resourceReach: catalog.resourceReach.filter(isOwned),
    held: filtered(catalog.held, (backend) => isOwned({ backend })),
  };
}

function ownersOf({ tools }: Catalog, { hasTool, hasBackend }: CatalogPart): (backend: string) => boolean {
  if (hasBackend !== null) return hasBackend;
  const owners = new Set(
    [...tools.values()].filter(hasTool).flatMap(({ backend, places = [] }) => [backend, ...places]),
  );
  return (backend) => owners.has(backend);
}

function filtered<T>(all: ReadonlyMap<string, T>, isWanted: (one: T) => boolean): ReadonlyMap<string, T> {
  return new Map([...all].filter(([, one]) => isWanted(one)));
}
