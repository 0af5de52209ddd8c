// Finds the entry or the backend to which a name or URI belongs.
import { memoized } from "../../runtime/memo.ts";
import { type Catalog, type CatalogEntry, entryKey, type Owner, type Resolved } from "./catalog.ts";
import { compileUriTemplate, MAX_URI_LENGTH, steps } from "./uri-template.ts";

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

/**
 * Returns null if no backend has the entry. Otherwise its `status` says whether it can be used now. `namedBy`: the
 * backend that named this URI in a result to the principal who asks.
 */
export function resolveTarget(
  catalog: Catalog,
  { kind, name }: Target,
  namedBy: string | null = null,
): Resolved | null {
  const entry = entryOf(catalog, { kind, name });
  if (entry !== null || kind === "tool" || kind === "prompt") return entry;
  if (kind === "skill") return resolveUnlistedSkill(catalog, name);
  // In `completion/complete`, the name is a listed template or a URI.
  return kind === "template"
    ? resolveTarget(catalog, { kind: "resource", name }, namedBy)
    : resolveUri(catalog, name, namedBy);
}

/**
 * Finds the backend for a URI that no list has. The order: a backend with a tool whose page is the URI, one with a
 * skill that contains the URI, one that lists a folder above it, the one that named it, one with a matching template.
 * Servers also serve unlisted URIs, so a single backend with resources (for `skill://`: skills) comes last. null: denied,
 * or left out of this catalog.
 */
function resolveUri(catalog: Catalog, uri: string, namedBy: string | null): Resolved | null {
  if (catalog.isElsewhere?.(uri) === true) return null;
  const { unavailable, appPages, publishedSkills, skillAccess, resourceAccess } = catalog;
  const found = (owner: Owner): Resolved => ({
    ...owner,
    status: unavailable.has(owner.backend) ? "away" : "listed",
  });
  const page = appPages.get(uri);
  if (page !== undefined) return found(page);
  if (uri.length > MAX_URI_LENGTH) return null;
  const owner = publishedSkills.ownerOf(uri);
  if (owner !== null)
    return skillAccess.get(owner.backend)?.permits(owner.originalName) === true ? found(owner) : null;
  const above = folderAbove(catalog, uri);
  if (above !== null)
    return catalog.permissions.get(above)?.permits(uri) === true
      ? found({ backend: above, originalName: uri })
      : null;
  if (namedBy !== null && catalog.permissions.get(namedBy)?.permits(uri) === true)
    return found({ backend: namedBy, originalName: uri });
  const left = steps();
  for (const { backend, status, template, denies } of templatesOf(catalog)) {
    if (template.fits(uri, left) && !denies(uri)) return { backend, originalName: uri, status };
  }
  const isSkill = uri.startsWith(SKILL_SCHEME) && skillAccess.size > 0;
  const reaches = isSkill
    ? [...skillAccess].map(([backend, access]) => ({ ...access, backend }))
    : resourceAccess;
  const [only, ...others] = reaches;
  if (only === undefined || others.length > 0 || !only.permits(uri)) return null;
  return found({ backend: only.backend, originalName: uri });
}

/** Finds only skills of backends that allow unlisted ones. */
function resolveUnlistedSkill(catalog: Catalog, name: string): Resolved | null {
  const found = resolveTarget(catalog, { kind: "resource", name });
  const access = found === null ? undefined : catalog.skillAccess.get(found.backend);
  if (found === null || access === undefined || access.isWithheld || !access.permits(found.originalName))
    return null;
  const { backend, originalName, status } = found;
  return { backend, originalName, status };
}

/** The backend that lists the nearest folder above the URI, as a resource that ends with a slash. */
function folderAbove(catalog: Catalog, uri: string): string | null {
  const folders = foldersOf(catalog);
  if (folders.size === 0) return null;
  for (let at = uri.lastIndexOf("/"); at > 0; at = uri.lastIndexOf("/", at - 1)) {
    const backend = folders.get(uri.slice(0, at + 1));
    if (backend !== undefined) return backend;
  }
  return null;
}

/** The whole of a scheme, such as `file:///`, is not a folder: it would take every URI from the other backends. */
const foldersOf = memoized(({ entries }: Catalog) => {
  const folders = new Map<string, string>();
  for (const { kind, name, status, backend } of entries) {
    const isThere = kind === "resource" && (status === "listed" || status === "away");
    if (isThere && /[^:/][^:]*\/$/.test(name.replace(/^[^:]*:/, "")) && !folders.has(name))
      folders.set(name, backend);
  }
  return folders;
});

/**
 * Listed templates come first, then those that are away, then those that wait for approval; within each, the longest
 * literal beginning.
 */
const templatesOf = memoized(({ entries, resourceAccess }: Catalog) => {
  const accessByBackend = new Map(resourceAccess.map((one) => [one.backend, one]));
  const templates = Map.groupBy(
    entries.filter(({ kind }) => kind === "template"),
    ({ status }) => status,
  );
  const { listed = [], away: unavailable = [], unapproved = [] } = Object.fromEntries(templates);
  const beginning = ({ name }: CatalogEntry): number =>
    (name.indexOf("{") + name.length + 1) % (name.length + 1);
  const nearest = (some: readonly CatalogEntry[]) =>
    some.toSorted((one, other) => beginning(other) - beginning(one));
  return [
    ...nearest(listed),
    ...nearest(unavailable),
    ...nearest(unapproved.slice(0, MOST_UNAPPROVED)),
  ].flatMap(({ name, backend, status }) => {
    const template = compileUriTemplate(name);
    if (template === null) return [];
    // A template allows the URIs that it matches, unless the filters deny them.
    return [
      {
        backend,
        status,
        template,
        denies: (uri: string) => accessByBackend.get(backend)?.denies(uri) === true,
      },
    ];
  });
});
