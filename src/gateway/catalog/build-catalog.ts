// Builds the catalog: applies filters and overrides, and decides which backend keeps a name that several offer. Pure.
import { isDeepStrictEqual } from "node:util";
import type { ConflictConfig, NameFilter } from "../../config/snapshot.ts";
import { machineOf } from "../../config/values/backend-names.ts";
import { memoized } from "../../runtime/memo.ts";
import { stripInvisible } from "../../runtime/text/invisible-characters.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import {
  type AppPages,
  hasAppOnlyTools,
  isAppPage,
  pageOfTool,
  publishAppPages,
  withPage,
} from "./app-pages.ts";
import {
  type Catalog,
  type CatalogEntry,
  type CatalogSource,
  ENTRY_LISTS,
  type EntryKind,
  entryKey,
  freshnessOfAll,
  type InvisibleTextEntry,
  indexesOf,
  isUnavailable,
  NOT_FRESH,
  type Reason,
  type ResourceAccess,
} from "./catalog.ts";
import { cleanEntry } from "./clean-text.ts";
import { copyOf } from "./copies.ts";
import { compileGlobs } from "./glob.ts";
import { type KnownNames, type NameOwners, Namer, NO_NAMES, usableName } from "./names.ts";
import { withSoundSchemas } from "./schema-verdicts.ts";
import { withoutArguments } from "./set-arguments.ts";
import { compileUriTemplate, isUnclear, otherSpellings, steps, type UriTemplate } from "./uri-template.ts";

export interface Permission {
  permits(name: string): boolean;
  denies(name: string): boolean;
}

/** Maximum number of entries with invisible characters that the catalog reports, for all backends together. */
const MOST_UNSEEN = 200;

const EVERYTHING: Permission = { permits: () => true, denies: () => false };

/**
 * `sources` are in the approved order, which is the order in the file. The lists keep it, with those that are away last. A definition that needs no change is the
 * server's own object; others are copies, and later catalogs reuse equal copies.
 */
export function buildCatalog(
  sources: readonly CatalogSource[],
  conflict: ConflictConfig,
  known: KnownNames = NO_NAMES,
): Catalog {
  const isThere = ({ isUnavailable }: CatalogSource): boolean => isUnavailable !== true;
  const ranked = precedence(sources);
  const appPages = publishAppPages(ranked.map(pagesOf));
  const namer = new Namer(known);
  const offer = (source: CatalogSource): Offer => offerOf(source, conflict, { appPages, namer, known });
  const there = sources.filter(isThere);
  const offers = there.map(offer);
  // A name of an entry that is away is not fresh.
  const freshNames: NameOwners = new Map(namer.fresh);
  offers.push(...ranked.slice(there.length).map(offer));
  const offered = offers.flatMap(({ entries }) => entries);
  const losers = resolveConflicts(offered);
  const entries = losers.size === 0 ? offered : offered.map((entry) => losers.get(entry) ?? entry);
  const indexes = indexesOf(withOwnSchemaIds(entries));
  return {
    ...indexes,
    backends: sources.map(({ backend }) => backend),
    unavailable: new Set(sources.filter((source) => !isThere(source)).map(({ backend }) => backend)),
    freshNames,
    appPages: appPages.pages,
    unseen: offers.flatMap(({ unseen }) => unseen).slice(0, MOST_UNSEEN),
    permissions: new Map(sources.map((source) => [source.backend, resourcePermissionOf(source)])),
    publishedUri: (backend, uri) => (isAppPage(uri) ? appPages.publishedUri(backend, uri) : uri),
    resourceAccess: offers.flatMap(({ access }) => access ?? []),
    freshness: {
      // Clients with pages get another list.
      tools: hasAppOnlyTools(indexes) ? NOT_FRESH : freshnessOfAll(there, "tools"),
      resources: freshnessOfAll(there, "resources"),
      resourceTemplates: freshnessOfAll(there, "resourceTemplates"),
      prompts: freshnessOfAll(there, "prompts"),
    },
  };
}

/**
 * A client compiles all output schemas together, and takes the second schema of one `$id` for the first one: such a tool
 * is published without its output schema.
 */
function withOwnSchemaIds(entries: readonly CatalogEntry[]): readonly CatalogEntry[] {
  const byId = new Map<string, unknown>();
  return entries.map((entry) => {
    if (entry.kind !== "tool" || entry.status !== "listed") return entry;
    const { outputSchema } = entry.definition;
    const id = isJsonObject(outputSchema) ? outputSchema["$id"] : undefined;
    if (typeof id !== "string") return entry;
    const first = byId.get(id);
    if (first === undefined) byId.set(id, outputSchema);
    if (first === undefined || isDeepStrictEqual(first, outputSchema)) return entry;
    const withoutIt = copyOf(entry.definition, "$id", () => {
      const { outputSchema: _, ...definition } = entry.definition;
      return definition;
    });
    return { ...entry, definition: withoutIt };
  });
}

/**
 * Returns the URIs of the backend's app pages that the filters of resources allow. A page is listed as a resource, or
 * named by a permitted tool.
 */
function pagesOf(source: CatalogSource) {
  const { backend, filters, listings } = source;
  const tools = permissionOf(filters.tools);
  const resources = resourcePermissionOf(source);
  const named = listings.tools.filter(({ name }) => typeof name === "string" && tools.permits(name));
  const uris = [...listings.resources.map(({ uri }) => uri), ...named.map(pageOfTool)];
  return { backend, uris: uris.filter(isAppPage).filter((uri) => resources.permits(uri)) };
}

interface PublishedPaths {
  readonly appPages: AppPages;
  readonly namer: Namer;
  readonly known: KnownNames;
}

/** The definition of an entry that no client may see. */
const UNSHOWN: JsonObject = {};

interface Offer {
  readonly entries: readonly CatalogEntry[];
  readonly unseen: readonly InvisibleTextEntry[];
  readonly access: ResourceAccess | null;
}

function offerOf(source: CatalogSource, conflict: ConflictConfig, parts: PublishedPaths): Offer {
  const { backend, toolOverrides, unapproved = [], isUnavailable } = source;
  const { appPages, known } = parts;
  const namesOf = namingOf(source, conflict, parts);
  const access = resourcePermissionOf(source);
  const unavailable: readonly Reason[] = isUnavailable === true ? [{ status: "away" }] : [];
  const entries: CatalogEntry[] = [];
  const unseen: InvisibleTextEntry[] = [];
  let hasUris = false;
  for (const { kind, key, name: originalName, entry, isPermitted } of namedEntries(source)) {
    if (!isPermitted) {
      const names = { name: originalName, fullName: originalName, originalName };
      const standing = standingOf([{ status: "filtered" }, ...unavailable]);
      entries.push({ kind, backend, ...names, definition: UNSHOWN, ...standing });
      continue;
    }
    hasUris ||= kind !== "tool" && kind !== "prompt";
    const names = namesOf(kind, originalName);
    const { entry: cleaned, faults } = cleanEntry(entry, kind === "resource" || kind === "template");
    if (faults.length > 0) unseen.push({ backend, kind, name: originalName, faults });
    const override = kind === "tool" ? ownMember(toolOverrides, originalName) : undefined;
    // No client is shown the schemas of a tool that is away.
    const isShown = kind === "tool" && isUnavailable !== true;
    const sound = isShown ? withSoundSchemas(cleaned, entry) : cleaned;
    const page = kind === "tool" ? pageOfTool(sound) : null;
    const paged = page === null ? sound : withPage(sound, appPages.publishedUri(backend, page));
    const set = override?.arguments ?? null;
    const fitting = set === null ? paged : withoutArguments(paged, set);
    const unfit: readonly Reason[] = typeof fitting === "string" ? [{ status: "unfit", why: fitting }] : [];
    const off: readonly Reason[] =
      kind === "tool" && known.isOff(backend, originalName) ? [{ status: "off" }] : [];
    entries.push({
      kind,
      backend,
      ...names,
      originalName,
      ...(set !== null && { setArguments: set }),
      ...standingOf([...off, ...unfit, ...unavailable]),
      definition:
        typeof fitting === "string"
          ? UNSHOWN
          : withMembers(fitting, {
              [key]: names.name,
              ...(typeof override?.description === "string" && { description: override.description }),
            }),
    });
  }
  for (const { kind, name: originalName, change } of unapproved) {
    const standing = standingOf([{ status: "unapproved", change }, ...unavailable]);
    const names = namesOf(kind, originalName);
    entries.push({ kind, backend, ...names, originalName, definition: UNSHOWN, ...standing });
  }
  return { entries, unseen, access: hasUris ? { backend, ...access } : null };
}

function standingOf(reasons: readonly Reason[]): Pick<CatalogEntry, "status" | "reasons"> {
  return { status: reasons[0]?.status ?? "listed", reasons };
}

function namingOf(
  { backend, toolOverrides }: CatalogSource,
  conflict: ConflictConfig,
  { appPages, namer }: PublishedPaths,
) {
  const { strategy } = conflict;
  // Names of another machine's backend always carry that machine's name.
  const owner = machineOf(backend) ?? (strategy === "prefix" ? backend : null);
  const keepsNames = owner === null && strategy !== "error";
  return (kind: EntryKind, originalName: string): Pick<CatalogEntry, "fullName" | "name" | "plainName"> => {
    if (kind !== "tool" && kind !== "prompt") {
      const name = isAppPage(originalName) ? appPages.publishedUri(backend, originalName) : originalName;
      return { fullName: name, name };
    }
    const plainName =
      kind === "prompt"
        ? stripInvisible(originalName)
        : (ownMember(toolOverrides, originalName)?.name ?? originalName);
    const prefix = owner === null ? "" : `${owner}_`;
    const fullName = keepsNames ? namer.nameOf({ kind, backend, plainName }) : prefix + plainName;
    return {
      fullName,
      name: kind === "tool" ? usableName(fullName) : fullName,
      ...(keepsNames && fullName !== plainName ? { plainName } : {}),
    };
  };
}

function ownMember<Member>(members: Readonly<Record<string, Member>>, name: string): Member | undefined {
  return Object.hasOwn(members, name) ? members[name] : undefined;
}

interface ListedEntry extends Pick<(typeof ENTRY_LISTS)[number], "kind" | "key"> {
  /** The server's own name or URI. */
  readonly name: string;
  readonly entry: JsonObject;
  /** The backend's filters allow the entry. */
  readonly isPermitted: boolean;
}

export function namedEntries({
  listings,
  filters,
}: Pick<CatalogSource, "listings" | "filters">): readonly ListedEntry[] {
  return ENTRY_LISTS.flatMap(({ kind, list, key, filter }) => {
    const { permits } = permissionOf(filters[filter]);
    return (listings[list] ?? []).flatMap((entry) => {
      const name = entry[key];
      return typeof name === "string" ? [{ kind, key, name, entry, isPermitted: permits(name) }] : [];
    });
  });
}

export function permissionOf({ allow, deny }: NameFilter): Permission {
  if (allow === null && deny.length === 0) return EVERYTHING;
  const allows = allow === null ? (): boolean => true : compileGlobs(allow);
  const denies = compileGlobs(deny);
  return { permits: (name) => allows(name) && !denies(name), denies };
}

/**
 * Filters and approvals cover every spelling of a URI, listed or not. URIs of a template that waits for
 * approval are denied, unless a published template matches them.
 */
const resourcePermissionOf = memoized(({ filters, unapproved }: CatalogSource): Permission => {
  const permission = permissionOf(filters.resources);
  if (permission === EVERYTHING && unapproved === undefined) return EVERYTHING;
  const waiting = new Set<string>();
  const templates: UriTemplate[] = [];
  for (const { kind, name } of unapproved ?? []) {
    if (kind === "resource") waiting.add(name);
    const template = kind === "template" ? compileUriTemplate(name) : null;
    if (template !== null) templates.push(template);
  }
  const isDenied = (uri: string): boolean => permission.denies(uri) || waiting.has(uri);
  const denies = (uri: string): boolean =>
    isUnclear(uri) || isDenied(uri) || otherSpellings(uri).some(isDenied);
  const waits = (uri: string): boolean => {
    const left = steps();
    return templates.some((template) => template.fits(uri, left)) || left.left < 0;
  };
  const permits = (uri: string): boolean => permission.permits(uri) && !denies(uri) && !waits(uri);
  return { permits, denies };
});

/**
 * The sources in the order in which their entries get names. Those that are away come last, so that nothing is listed
 * under another name because of them.
 */
function precedence(sources: readonly CatalogSource[]): readonly CatalogSource[] {
  const rank = ({ isUnavailable }: CatalogSource): number => (isUnavailable === true ? 1 : 0);
  return sources.toSorted((one, other) => rank(one) - rank(other));
}

/**
 * The first of several entries with one name wins, but another machine's never wins over one of this machine that is
 * away: its name would lead to another server. Returns the losers, with this reason added.
 */
function resolveConflicts(entries: readonly CatalogEntry[]): ReadonlyMap<CatalogEntry, CatalogEntry> {
  const winners = new Map<string, CatalogEntry>();
  const losers = new Map<CatalogEntry, CatalogEntry>();
  const isOwn = ({ backend }: CatalogEntry): boolean => machineOf(backend) === null;
  for (const entry of entries) {
    if (entry.status === "filtered" || entry.status === "unapproved") continue;
    const key = entryKey(entry.kind, entry.name);
    const winner = winners.get(key);
    const isFirst = winner === undefined || (isUnavailable(entry) && isOwn(entry) && !isOwn(winner));
    if (isFirst) winners.set(key, entry);
    const loser = isFirst ? winner : entry;
    if (loser === undefined) continue;
    const collided: Reason = { status: "collided", kept: (isFirst ? entry : winner).backend };
    losers.set(loser, { ...loser, ...standingOf([...loser.reasons, collided]) });
  }
  return losers;
}

/** Adds the members. Returns the same object if it already has them. */
function withMembers(definition: JsonObject, members: JsonObject): JsonObject {
  if (Object.entries(members).every(([key, value]) => definition[key] === value)) return definition;
  return copyOf(definition, JSON.stringify(members), () => ({ ...definition, ...members }));
}
