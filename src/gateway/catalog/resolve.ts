// Finds the backend that a name or a URI belongs to.
import { machineOf } from "../../config/values/backend-names.ts";
import { type Catalog, type CatalogEntry, heldKey, type Resolved } from "./catalog.ts";
import { compileUriTemplate, MAX_URI_LENGTH } from "./uri-template.ts";

const SKILL_SCHEME = "skill://";

/** Where a name or a URI is served; null: nobody publishes it. */
export function resolveTarget(
  catalog: Catalog,
  { kind, name }: Pick<CatalogEntry, "kind" | "name">,
): Resolved | null {
  switch (kind) {
    case "tool":
      return catalog.tools.get(name) ?? catalog.off.get(name) ?? null;
    case "prompt":
      return catalog.prompts.get(name) ?? null;
    case "resource":
      return resolveResource(catalog, name);
    case "skill":
      return catalog.skills.get(name) ?? resolveUnlistedSkill(catalog, name);
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
  const found = resolveTarget(catalog, target);
  if (away === null) return found === null ? null : catalog;
  if (found === null) return resolveTarget(away, target) === null ? null : away;
  return isTakenOver(found, away, target) ? away : catalog;
}

/** The same as `resolveTarget` in either of the two. */
export function resolveServed(served: Served, target: Pick<CatalogEntry, "kind" | "name">): Resolved | null {
  const catalog = catalogOf(served, target);
  return catalog === null ? null : resolveTarget(catalog, target);
}

/** Templates that wait, and are tried for words on why something is not there: a server may list any number. */
const MOST_TRIED = 200;

/** The backend of which it waits for a person's approval, itself or the template that it fits; null: it does not. */
export function heldBy(
  { catalog, away }: Served,
  { kind, name }: Pick<CatalogEntry, "kind" | "name">,
): string | null {
  const key = heldKey(kind, name);
  const template = heldKey("template", "");
  let tried = 0;
  for (const { held } of away === null ? [catalog] : [catalog, away]) {
    const backend = held.get(key);
    if (backend !== undefined) return backend;
    for (const [other, of] of kind === "resource" ? held : []) {
      if (tried === MOST_TRIED) break;
      if (!other.startsWith(template)) continue;
      tried += 1;
      if (compileUriTemplate(other.slice(template.length))?.(name) === true) return of;
    }
  }
  return null;
}

/** While a server of this machine is down, another machine's entry of the same name does not take its calls. */
function isTakenOver(
  { backend }: Resolved,
  away: Catalog,
  { kind, name }: Pick<CatalogEntry, "kind" | "name">,
): boolean {
  if (machineOf(backend) === null) return false;
  const named = { tool: away.tools, prompt: away.prompts, resource: away.resources };
  const own = kind === "tool" || kind === "prompt" || kind === "resource" ? named[kind].get(name) : undefined;
  return own !== undefined && machineOf(own.backend) === null;
}

/**
 * Whose a URI is: the backend that published it; else one whose tool names it as its page; else the one in whose skill it
 * lies; else the first whose template it fits; else, since servers also serve what they do not list, the only backend that
 * has resources at all, or skills where it is named as these usually are. What a backend's filters deny is nobody's, and so
 * is, in a part of a catalog, what belongs to a backend outside of it.
 */
function resolveResource(catalog: Catalog, uri: string): Resolved | null {
  const entry = catalog.resources.get(uri);
  if (entry !== undefined) return entry;
  if (catalog.held.has(heldKey("resource", uri))) return null;
  if (catalog.isElsewhere?.(uri) === true) return null;
  const page = catalog.appPages.get(uri);
  if (page !== undefined) return page;
  if (uri.length > MAX_URI_LENGTH) return null;
  const owner = catalog.skillPlaces.ownerOf(uri);
  if (owner !== null)
    return catalog.skillReach.get(owner.backend)?.permits(owner.originalName) === true ? owner : null;
  for (const { backend, fits } of templatesOf(catalog)) {
    if (fits(uri)) return { backend, originalName: uri };
  }
  const { skillReach, resourceReach } = catalog;
  const isSkill = uri.startsWith(SKILL_SCHEME) && skillReach.size > 0;
  const reaches = isSkill
    ? [...skillReach].map(([backend, reach]) => ({ ...reach, backend }))
    : resourceReach;
  const [only, ...others] = reaches;
  if (only === undefined || others.length > 0 || !only.permits(uri)) return null;
  return { backend: only.backend, originalName: uri };
}

/** A server need not list its skills: the one that would be asked for the file, if it is one with skills. */
function resolveUnlistedSkill(catalog: Catalog, uri: string): Resolved | null {
  const found = resolveResource(catalog, uri);
  const reach = found === null ? undefined : catalog.skillReach.get(found.backend);
  if (found === null || reach === undefined || reach.isHeld) return null;
  return reach.permits(found.originalName) ? found : null;
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
