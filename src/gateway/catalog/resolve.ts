// Finds the entry or the backend to which a name or URI belongs.
import { memoized } from "../../runtime/memo.ts";
import { type Catalog, type CatalogEntry, entryKey, type Owner, type Resolved } from "./catalog.ts";
import { compileUriTemplate, MAX_URI_LENGTH } from "./uri-template.ts";

const SKILL_SCHEME = "skill://";
/** Maximum number of unapproved templates that are tried, because a server may list any number. */
const MOST_UNAPPROVED = 200;

type Target = Pick<CatalogEntry, "kind" | "name">;

const LISTS = {
  tool: "tools",
  resource: "resources",
  template: "templates",
  prompt: "prompts",
  skill: "skills",
} as const;

/** Returns the entry that clients call by this name, listed or not. */
export function entryOf(catalog: Catalog, { kind, name }: Target): CatalogEntry | null {
  const listed = catalog[LISTS[kind]].get(name);
  if (listed !== undefined || catalog.unlisted.size === 0) return listed ?? null;
  return catalog.unlisted.get(entryKey(kind, name)) ?? null;
}

/** Returns null if no backend has the entry. Otherwise its `status` says whether it can be used now. */
export function resolveTarget(catalog: Catalog, { kind, name }: Target): Resolved | null {
  const entry = entryOf(catalog, { kind, name });
  if (entry !== null || kind === "tool" || kind === "prompt") return entry;
  if (kind === "skill") return resolveUnlistedSkill(catalog, name);
  // In `completion/complete`, the name is a listed template or a URI.
  return kind === "template" ? resolveTarget(catalog, { kind: "resource", name }) : resolveUri(catalog, name);
}

/**
 * Finds the backend for a URI that no list has. The order: a backend with a tool whose page is the URI, one with a
 * skill that contains the URI, one with a matching template. Servers also serve unlisted URIs, so a single backend with
 * resources (for `skill://`: skills) comes last. null: denied, or left out of this catalog.
 */
function resolveUri(catalog: Catalog, uri: string): Resolved | null {
  if (catalog.isElsewhere?.(uri) === true) return null;
  const { away, appPages, skillPlaces, skillReach, resourceReach } = catalog;
  const found = (owner: Owner): Resolved => ({
    ...owner,
    status: away.has(owner.backend) ? "away" : "listed",
  });
  const page = appPages.get(uri);
  if (page !== undefined) return found(page);
  if (uri.length > MAX_URI_LENGTH) return null;
  const owner = skillPlaces.ownerOf(uri);
  if (owner !== null)
    return skillReach.get(owner.backend)?.permits(owner.originalName) === true ? found(owner) : null;
  for (const { backend, status, fits } of templatesOf(catalog)) {
    if (fits(uri)) return { backend, originalName: uri, status };
  }
  const isSkill = uri.startsWith(SKILL_SCHEME) && skillReach.size > 0;
  const reaches = isSkill
    ? [...skillReach].map(([backend, reach]) => ({ ...reach, backend }))
    : resourceReach;
  const [only, ...others] = reaches;
  if (only === undefined || others.length > 0 || !only.permits(uri)) return null;
  return found({ backend: only.backend, originalName: uri });
}

/** Finds only skills of backends that allow unlisted ones. */
function resolveUnlistedSkill(catalog: Catalog, name: string): Resolved | null {
  const found = resolveTarget(catalog, { kind: "resource", name });
  const reach = found === null ? undefined : catalog.skillReach.get(found.backend);
  if (found === null || reach === undefined || reach.isWithheld || !reach.permits(found.originalName))
    return null;
  const { backend, originalName, status } = found;
  return { backend, originalName, status };
}

/** Listed templates come first, then those that are away, then those that wait for approval. */
const templatesOf = memoized(({ entries, resourceReach }: Catalog) => {
  const reach = new Map(resourceReach.map((one) => [one.backend, one]));
  const templates = Map.groupBy(
    entries.filter(({ kind }) => kind === "template"),
    ({ status }) => status,
  );
  const { listed = [], away = [], unapproved = [] } = Object.fromEntries(templates);
  return [...listed, ...away, ...unapproved.slice(0, MOST_UNAPPROVED)].flatMap(
    ({ name, backend, status }) => {
      const matches = compileUriTemplate(name);
      if (matches === null) return [];
      // A template allows the URIs that it matches, unless the filters deny them.
      return {
        backend,
        status,
        fits: (uri: string) => matches(uri) && reach.get(backend)?.denies(uri) !== true,
      };
    },
  );
});
