// Finds the backend that a name or a URI belongs to.
import type { Catalog, CatalogEntry, Resolved } from "./catalog.ts";
import { compileUriTemplate, MAX_URI_LENGTH } from "./uri-template.ts";

/** Where a name or a URI is served; null: nobody publishes it. */
export function resolveTarget(
  catalog: Catalog,
  { kind, name }: Pick<CatalogEntry, "kind" | "name">,
): Resolved | null {
  switch (kind) {
    case "tool":
      return catalog.tools.get(name) ?? null;
    case "prompt":
      return catalog.prompts.get(name) ?? null;
    case "resource":
      return resolveResource(catalog, name);
    // As completion/complete names it by `ref/resource`: a template as it is listed, else a URI.
    case "template":
      return catalog.templates.get(name) ?? resolveResource(catalog, name);
  }
}

/** What is published, and what is not because its data is away, or because its server has listed nothing yet. */
interface Served {
  readonly catalog: Catalog;
  readonly away: Catalog | null;
}

/** Which of the two knows the name or the URI; null: neither. */
export function catalogOf(
  { catalog, away }: Served,
  target: Pick<CatalogEntry, "kind" | "name">,
): Catalog | null {
  if (resolveTarget(catalog, target) !== null) return catalog;
  return away !== null && resolveTarget(away, target) !== null ? away : null;
}

/** The same as `resolveTarget` in either of the two. */
export function resolveServed(served: Served, target: Pick<CatalogEntry, "kind" | "name">): Resolved | null {
  const { catalog, away } = served;
  return resolveTarget(catalog, target) ?? (away === null ? null : resolveTarget(away, target));
}

/**
 * Whose a URI is: the backend that published it; else one whose tool names it as its page; else the first whose template
 * it fits; else, since servers also serve what they do not list, the only backend that has resources at all. What a
 * backend's filters deny is nobody's.
 */
function resolveResource(catalog: Catalog, uri: string): Resolved | null {
  const entry = catalog.resources.get(uri);
  if (entry !== undefined) return entry;
  const page = catalog.appPages.get(uri);
  if (page !== undefined) return page;
  if (uri.length > MAX_URI_LENGTH) return null;
  for (const { backend, fits } of templatesOf(catalog)) {
    if (fits(uri)) return { backend, originalName: uri };
  }
  const [only, ...others] = catalog.resourceReach;
  if (only === undefined || others.length > 0 || !only.permits(uri)) return null;
  return { backend: only.backend, originalName: uri };
}

interface CompiledTemplate {
  readonly backend: string;
  fits(uri: string): boolean;
}

// Compiled when first needed, and as long as the catalog lives.
const compiled = new WeakMap<Catalog, readonly CompiledTemplate[]>();

function templatesOf(catalog: Catalog): readonly CompiledTemplate[] {
  const known = compiled.get(catalog);
  if (known !== undefined) return known;
  const reach = new Map(catalog.resourceReach.map((one) => [one.backend, one]));
  const templates: CompiledTemplate[] = [];
  for (const { name, backend } of catalog.templates.values()) {
    const matches = compileUriTemplate(name);
    if (matches === null) continue;
    // That the template is published allows what it stands for, but not what is denied.
    templates.push({ backend, fits: (uri) => matches(uri) && reach.get(backend)?.denies(uri) !== true });
  }
  compiled.set(catalog, templates);
  return templates;
}
