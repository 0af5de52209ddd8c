// Finds the entry or the backend to which a name or URI belongs.

import { memoized } from "../../runtime/memo.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { type Catalog, type CatalogEntry, entryKey, type Owner, type Resolved } from "./catalog.ts";
import { compileUriTemplate, steps, type UriTemplate } from "./uri-template.ts";

/** Maximum number of unapproved templates that are tried, because a server may list any number. */
const MOST_UNAPPROVED = 200;
/** Slashes in a listed folder: each URI is compared with as many beginnings. */
const DEEPEST_FOLDER = 64;

type Target = Pick<CatalogEntry, "kind" | "name">;

const LISTS = {
  tool: "tools",
  resource: "resources",
  template: "templates",
  prompt: "prompts",
} as const;

/** Returns the entry that clients call by this name, listed or not. */
export function entryOf(catalog: Catalog, { kind, name }: Target): CatalogEntry | null {
  const listed = catalog[LISTS[kind]].get(name);
  if (listed !== undefined || catalog.unlisted.size === 0) return listed ?? null;
  return catalog.unlisted.get(entryKey(kind, name)) ?? null;
}

/**
 * The backend that is asked for the target; null: none has it. `status` says whether the entry can be used now. `mentionedBy`: the
 * backends that named this URI in a result to the principal who asks, the first one first.
 */
export function resolveTarget(
  catalog: Catalog,
  { kind, name }: Target,
  mentionedBy: readonly string[] = [],
): Resolved | null {
  const entry = entryOf(catalog, { kind, name });
  if (entry !== null || kind === "tool" || kind === "prompt") return entry;
  // In `completion/complete`, the name is a listed template or a URI.
  return kind === "template"
    ? resolveTarget(catalog, { kind: "resource", name }, mentionedBy)
    : resolveUri(catalog, name, mentionedBy);
}

/**
 * Finds the backend for a URI that no list has. The order: a backend with a tool whose page is the URI, one that lists a folder
 * above it, the nearest template (of equal ones the first in the approved order). Servers also serve unlisted URIs, so a single
 * backend with resources comes next, and one that only mentioned the URI comes last. null: denied, or left out of this catalog.
 */
function resolveUri(catalog: Catalog, uri: string, mentionedBy: readonly string[]): Resolved | null {
  if (catalog.isElsewhere?.(uri) === true) return null;
  const { unavailable, appPages, resourceAccess } = catalog;
  const found = (owner: Owner): Resolved => ({
    ...owner,
    status: unavailable.has(owner.backend) ? "away" : "listed",
  });
  const page = appPages.get(uri);
  if (page !== undefined) return found(page);
  if (uri.length > TEXT_BOUNDS.uri.most) return null;
  const above = folderAbove(catalog, uri);
  if (above !== null)
    return catalog.permissions.get(above)?.permits(uri) === true
      ? found({ backend: above, originalName: uri })
      : null;
  const [nearest, ...equals] = nearestTemplates(catalog, uri);
  const mentioned = mentionedBy.filter((backend) => catalog.permissions.get(backend)?.permits(uri) === true);
  const [first] = mentioned;
  const ofMention = first === undefined ? null : found({ backend: first, originalName: uri });
  if (nearest !== undefined) {
    // A template of any scheme would take every URI from the others.
    if (nearest.template.beginning === "" && ofMention !== null) return ofMention;
    const owner = found({ backend: nearest.backend, originalName: uri });
    if (nearest.isUnapproved) return { ...owner, status: "unapproved" };
    return equals.length === 0 ? owner : { ...owner, equals: equals.map(({ backend }) => backend) };
  }
  const [only, ...more] = resourceAccess;
  if (only === undefined || more.length > 0 || !only.permits(uri)) return ofMention;
  const owner = found({ backend: only.backend, originalName: uri });
  const others = mentioned.filter((backend) => backend !== only.backend);
  return others.length === 0 ? owner : { ...owner, equals: others };
}

/** The backend that lists the nearest folder above the URI, as a resource that ends with a slash. */
function folderAbove(catalog: Catalog, uri: string): string | null {
  const { owners, deepest, longest } = foldersOf(catalog);
  const ends: number[] = [];
  for (
    let at = uri.indexOf("/");
    at >= 0 && at < longest && ends.length < deepest;
    at = uri.indexOf("/", at + 1)
  )
    ends.push(at + 1);
  for (const end of ends.reverse()) {
    const backend = owners.get(uri.slice(0, end));
    if (backend !== undefined) return backend;
  }
  return null;
}

/**
 * The listed folders; `deepest`: the largest number of slashes in one. The whole of a scheme, such as `file:///`, is not a
 * folder: it would take every URI from the other backends.
 */
const foldersOf = memoized(({ entries }: Catalog) => {
  const owners = new Map<string, string>();
  let [deepest, longest] = [0, 0];
  for (const { kind, name, status, backend } of entries) {
    if (kind !== "resource" || !name.endsWith("/") || (status !== "listed" && status !== "away")) continue;
    const isInScheme = /[^/]/.test(name.slice(name.lastIndexOf(":") + 1));
    const depth = name.split("/").length - 1;
    if (!isInScheme || depth > DEEPEST_FOLDER) continue;
    owners.set(name, backend);
    [deepest, longest] = [Math.max(deepest, depth), Math.max(longest, name.length)];
  }
  return { owners, deepest, longest };
});

/** The templates that fit the URI and have the longest literal beginning. Unapproved ones count only if no other fits. */
function nearestTemplates(catalog: Catalog, uri: string): readonly KnownTemplate[] {
  const left = steps();
  const nearest: KnownTemplate[] = [];
  for (const one of templatesOf(catalog)) {
    const [first] = nearest;
    const isFarther =
      first !== undefined &&
      (one.isUnapproved !== first.isUnapproved ||
        one.template.beginning.length < first.template.beginning.length);
    if (isFarther) break;
    if (one.template.fits(uri, left) && !one.denies(uri)) nearest.push(one);
  }
  return nearest;
}

interface KnownTemplate {
  readonly backend: string;
  readonly isUnapproved: boolean;
  readonly template: UriTemplate;
  denies(uri: string): boolean;
}

/** Those that wait for approval come last; within each, the longest literal beginning, then the approved order of backends. */
const templatesOf = memoized(({ entries, backends, resourceAccess }: Catalog): readonly KnownTemplate[] => {
  const accessByBackend = new Map(resourceAccess.map((one) => [one.backend, one]));
  const offered = entries.filter(({ kind, status }) => kind === "template" && status !== "filtered");
  const byBackend = Map.groupBy(offered, ({ backend }) => backend);
  const inOrder = backends.flatMap((backend) => byBackend.get(backend) ?? []);
  const nearestFirst = (some: readonly CatalogEntry[]) =>
    some
      .flatMap(({ name, backend, status }): KnownTemplate[] => {
        const template = compileUriTemplate(name);
        // A template allows the URIs that it matches, unless the filters deny them.
        const denies = (uri: string): boolean => accessByBackend.get(backend)?.denies(uri) === true;
        return template === null
          ? []
          : [{ backend, isUnapproved: status === "unapproved", template, denies }];
      })
      .toSorted((one, other) => other.template.beginning.length - one.template.beginning.length);
  const isUnapproved = ({ status }: CatalogEntry): boolean => status === "unapproved";
  return [
    ...nearestFirst(inOrder.filter((entry) => !isUnapproved(entry))),
    ...nearestFirst(inOrder.filter(isUnapproved).slice(0, MOST_UNAPPROVED)),
  ];
});
