// Finds the backend to which a name or URI belongs.
import { machineOf } from "../../config/values/backend-names.ts";
import { memoized } from "../../runtime/memo.ts";
import { type Catalog, type CatalogEntry, entryKey, type Resolved } from "./catalog.ts";
import { compileUriTemplate, MAX_URI_LENGTH } from "./uri-template.ts";

const SKILL_SCHEME = "skill://";

/** Returns null if no backend publishes the entry. */
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
    // In `completion/complete`, the name is a listed template or a URI.
    case "template":
      return catalog.templates.get(name) ?? resolveResource(catalog, name);
  }
}

/** `away`: entries whose share is away, or whose server is down or has not listed them yet. */
interface Served {
  readonly catalog: Catalog;
  readonly away: Catalog | null;
}

/** The catalog that serves the target: `catalog` or `away`. Null: neither has it. */
export function catalogOf(
  { catalog, away }: Served,
  target: Pick<CatalogEntry, "kind" | "name">,
): Catalog | null {
  const found = resolveTarget(catalog, target);
  if (away === null) return found === null ? null : catalog;
  if (found === null) return resolveTarget(away, target) === null ? null : away;
  return isTakenOver(found, away, target) ? away : catalog;
}

export function resolveServed(served: Served, target: Pick<CatalogEntry, "kind" | "name">): Resolved | null {
  const catalog = catalogOf(served, target);
  return catalog === null ? null : resolveTarget(catalog, target);
}

/** Maximum number of templates that are tried, because a server may list any number. */
const MOST_TRIED = 200;

/** Returns the backend whose entry of this name, or whose template that matches the name, waits for approval. */
export function heldBy(
  { catalog, away }: Served,
  { kind, name }: Pick<CatalogEntry, "kind" | "name">,
): string | null {
  const key = entryKey(kind, name);
  const template = entryKey("template", "");
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

/**
 * True if a backend of this machine has the name but is away, and another machine provides the name now. Calls must
 * then fail instead of going to the other machine.
 */
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
 * Finds the backend for the URI. The order: a backend that lists the URI, one with a tool whose page is the URI, one
 * with a skill that contains the URI, one with a matching template. Servers also serve unlisted URIs, so a single
 * backend with resources (for `skill://`: skills) comes last. null: denied, or left out of this catalog.
 */
function resolveResource(catalog: Catalog, uri: string): Resolved | null {
  const entry = catalog.resources.get(uri);
  if (entry !== undefined) return entry;
  if (catalog.held.has(entryKey("resource", uri))) return null;
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

/** Finds only skills of backends that allow unlisted ones. */
function resolveUnlistedSkill(catalog: Catalog, uri: string): Resolved | null {
  const found = resolveResource(catalog, uri);
  const reach = found === null ? undefined : catalog.skillReach.get(found.backend);
  if (found === null || reach === undefined || reach.isHeld) return null;
  return reach.permits(found.originalName) ? found : null;
}

const templatesOf = memoized(({ resourceReach, templates }: Catalog) => {
  const reach = new Map(resourceReach.map((one) => [one.backend, one]));
  return [...templates.values()].flatMap(({ name, backend }) => {
    const matches = compileUriTemplate(name);
    if (matches === null) return [];
    // A published template allows the URIs that it matches, unless the filters deny them.
    return { backend, fits: (uri: string) => matches(uri) && reach.get(backend)?.denies(uri) !== true };
  });
});
