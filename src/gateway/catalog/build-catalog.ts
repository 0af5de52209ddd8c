// Builds the catalog: applies filters and overrides, and decides which backend keeps a name that several offer. Pure.
import { isDeepStrictEqual } from "node:util";
import type { ConflictConfig, NameFilter } from "../../config/snapshot.ts";
import { foreignPrefix } from "../../config/values/backend-names.ts";
import { memoized } from "../../runtime/memo.ts";
import { withoutUnseen } from "../../runtime/text/unseen-characters.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { type AppPages, isAppPage, pageOfTool, publishAppPages, withPage } from "./app-pages.ts";
import {
  type Catalog,
  type CatalogEntry,
  type CatalogSource,
  type Collision,
  ENTRY_LISTS,
  type EntryKind,
  entryKey,
  freshnessOfAll,
  type SkillPlaces,
  type UnseenEntry,
} from "./catalog.ts";
import { copyOf } from "./copies.ts";
import { compileGlobs } from "./glob.ts";
import { type KnownNames, Namer, NO_NAMES, usableName } from "./names.ts";
import { withSoundSchemas } from "./schema-faults.ts";
import { seenEntry } from "./seen-text.ts";
import { publishSkills, skillAt } from "./skill-places.ts";
import { compileUriTemplate, isUnclear, otherSpellings } from "./uri-template.ts";

export interface Permission {
  permits(name: string): boolean;
  denies(name: string): boolean;
}

/** Maximum number of entries with invisible characters that the catalog reports, for all backends together. */
const MOST_UNSEEN = 200;

const EVERYTHING: Permission = { permits: () => true, denies: () => false };

/**
 * The lists keep the sources' order, which is the order in the file. A definition that needs no change is the
 * server's own object; others are copies, and later catalogs reuse equal copies.
 */
export function buildCatalog(
  sources: readonly CatalogSource[],
  conflict: ConflictConfig,
  known: KnownNames = NO_NAMES,
): Catalog {
  const byPriority = precedence(sources, conflict.strategy === "priority" ? conflict.order : []);
  const appPages = publishAppPages(byPriority.map(pagesOf));
  const skillPlaces = publishSkills(byPriority.map(skillsOf), conflict.strategy === "prefix");
  const namer = new Namer(known, conflict);
  const offerBySource = new Map(
    byPriority.map((source) => [source, offerOf(source, conflict, { appPages, skillPlaces, namer })]),
  );
  const offers = sources.flatMap((source) => offerBySource.get(source) ?? []);
  const withSkills = sources.filter(({ listings }) => isDeclared(listings.skills));
  const { winners, collisions } = settle([...offerBySource.values()].flatMap(({ entries }) => entries));
  const published = Map.groupBy(
    offers.flatMap(({ entries }) => entries).filter((entry) => winners.has(entry)),
    ({ kind, backend, originalName }) =>
      kind === "tool" && known.isOff(backend, originalName) ? "off" : kind,
  );
  const named = (kind: EntryKind | "off"): Map<string, CatalogEntry> =>
    new Map(published.get(kind)?.map((entry) => [entry.name, entry]));
  return {
    freshNames: namer.fresh,
    tools: withOwnSchemaIds(named("tool")),
    off: new Map([...named("off")].map(([name, tool]) => [name, { ...tool, isOff: true }])),
    resources: named("resource"),
    templates: named("template"),
    prompts: named("prompt"),
    skills: named("skill"),
    skillReach: new Map(
      withSkills.map((source) => [
        source.backend,
        { permits: reachOf(source).permits, isHeld: source.holdsSkills === true },
      ]),
    ),
    held: new Map(offers.flatMap(({ held }) => held)),
    skillPlaces,
    appPages: appPages.pages,
    collisions,
    unseen: offers.flatMap(({ unseen }) => unseen).slice(0, MOST_UNSEEN),
    withheldTools: new Map(
      offers.flatMap(({ backend, withheld }) => (withheld === 0 ? [] : [[backend, withheld] as const])),
    ),
    resourceReach: offers.flatMap(({ reach }) => reach ?? []),
    freshness: {
      tools: freshnessOfAll(sources, "tools"),
      resources: freshnessOfAll(sources, "resources"),
      resourceTemplates: freshnessOfAll(sources, "resourceTemplates"),
      prompts: freshnessOfAll(sources, "prompts"),
      skills: freshnessOfAll(withSkills, "skills"),
    },
  };
}

/**
 * A client compiles all output schemas together, and takes the second schema of one `$id` for the first one: such a tool
 * is published without its output schema.
 */
function withOwnSchemaIds(tools: Map<string, CatalogEntry>): Map<string, CatalogEntry> {
  const byId = new Map<string, unknown>();
  for (const [name, entry] of tools) {
    const { outputSchema, ...definition } = entry.definition;
    const id = isJsonObject(outputSchema) ? outputSchema["$id"] : undefined;
    if (typeof id !== "string") continue;
    const first = byId.get(id);
    if (first === undefined) byId.set(id, outputSchema);
    else if (!isDeepStrictEqual(first, outputSchema)) {
      tools.set(name, { ...entry, definition: copyOf(entry.definition, "$id", () => definition) });
    }
  }
  return tools;
}

/**
 * Returns the URIs of the backend's app pages that the filters of resources allow. A page is listed as a resource, or
 * named by a permitted tool.
 */
function pagesOf(source: CatalogSource) {
  const { backend, filters, listings } = source;
  const tools = permissionOf(filters.tools);
  const resources = reachOf(source);
  const named = listings.tools.filter(({ name }) => typeof name === "string" && tools.permits(name));
  const uris = [...listings.resources.map(({ uri }) => uri), ...named.map(pageOfTool)];
  return { backend, uris: uris.filter(isAppPage).filter((uri) => resources.permits(uri)) };
}

function isDeclared<List>(list: List | null | undefined): list is List {
  return list !== null && list !== undefined;
}

function skillsOf(source: CatalogSource) {
  const { backend, filters, listings } = source;
  const urisOf = (list: readonly JsonObject[]): string[] => list.map(({ uri }) => String(uri));
  return {
    backend,
    skills: urisOf(listings.skills ?? []).filter(reachOf(source).permits),
    resources: urisOf(listings.resources).filter(permissionOf(filters.resources).permits),
  };
}

interface Places {
  readonly appPages: AppPages;
  readonly skillPlaces: SkillPlaces;
  readonly namer: Namer;
}

function offerOf(source: CatalogSource, conflict: ConflictConfig, parts: Places) {
  const { backend, filters, toolOverrides, places, held } = source;
  const { appPages } = parts;
  const namesOf = namingOf(source, conflict, parts);
  const reach = reachOf(source);
  const entries: CatalogEntry[] = [];
  const unseen: UnseenEntry[] = [];
  let withheld = 0;
  for (const { kind, key, name: originalName, entry, isPermitted } of namedEntries(source)) {
    if (kind === "skill" ? !reach.permits(originalName) : !isPermitted) {
      if (kind === "tool") withheld += 1;
      continue;
    }
    const names = namesOf(kind, originalName);
    const { entry: seen, faults } = seenEntry(entry, kind === "resource" || kind === "template");
    if (faults.length > 0) unseen.push({ backend, kind, name: originalName, faults });
    const override = kind === "tool" ? ownMember(toolOverrides, originalName) : undefined;
    const sound = kind === "tool" ? withSoundSchemas(seen).tool : seen;
    const page = kind === "tool" ? pageOfTool(sound) : null;
    const paged = page === null ? sound : withPage(sound, appPages.publishedUri(backend, page));
    const shared = kind === "tool" ? places?.get(originalName) : undefined;
    entries.push({
      kind,
      backend,
      ...names,
      originalName,
      ...(shared !== undefined && { places: shared }),
      definition:
        kind === "skill"
          ? skillAt(seen, names.name)
          : withMembers(paged, {
              [key]: names.name,
              ...(isDeclared(override?.description) && { description: override.description }),
            }),
    });
  }
  const hasUris = entries.some(({ kind }) => kind !== "tool" && kind !== "prompt");
  const waiting = held === undefined ? [] : namedEntries({ listings: held, filters });
  return {
    backend,
    entries,
    unseen,
    withheld,
    reach: hasUris ? { backend, ...reach } : null,
    held: waiting.map(({ kind, name }) => [entryKey(kind, namesOf(kind, name).name), backend] as const),
  };
}

function namingOf(
  { backend, toolOverrides }: CatalogSource,
  conflict: ConflictConfig,
  { appPages, skillPlaces, namer }: Places,
) {
  const { strategy, separator } = conflict;
  // Names of another machine's backend always carry that machine's name.
  const owner = foreignPrefix(backend) ?? (strategy === "prefix" ? backend : null);
  const keepsNames = owner === null && strategy !== "error";
  return (kind: EntryKind, originalName: string): Pick<CatalogEntry, "fullName" | "name" | "plainName"> => {
    if (kind !== "tool" && kind !== "prompt") {
      const { publishedUri } = isAppPage(originalName) ? appPages : skillPlaces;
      const name = publishedUri(backend, originalName);
      return { fullName: name, name };
    }
    const plainName =
      kind === "prompt"
        ? withoutUnseen(originalName)
        : (ownMember(toolOverrides, originalName)?.name ?? originalName);
    const prefix = owner === null ? "" : owner + separator;
    const fullName = keepsNames ? namer.nameOf({ kind, backend, plainName }) : prefix + plainName;
    return {
      fullName,
      name: kind === "tool" ? usableName(fullName, conflict) : fullName,
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
const reachOf = memoized(({ filters, held }: CatalogSource): Permission => {
  const permission = permissionOf(filters.resources);
  if (permission === EVERYTHING && held === undefined) return EVERYTHING;
  const waiting = new Set([...(held?.resources ?? []), ...(held?.skills ?? [])].map(({ uri }) => uri));
  const templates = (held?.resourceTemplates ?? []).flatMap(
    ({ uriTemplate }) => compileUriTemplate(String(uriTemplate)) ?? [],
  );
  const isDenied = (uri: string): boolean => permission.denies(uri) || waiting.has(uri);
  const denies = (uri: string): boolean =>
    isUnclear(uri) || isDenied(uri) || otherSpellings(uri).some(isDenied);
  const permits = (uri: string): boolean =>
    permission.permits(uri) && !denies(uri) && !templates.some((fits) => fits(uri));
  return { permits, denies };
});

/** The sources in the order in which their entries get names. */
function precedence(sources: readonly CatalogSource[], order: readonly string[]): readonly CatalogSource[] {
  const rank = ({ backend }: CatalogSource): number => {
    const place = order.indexOf(backend);
    return place === -1 ? order.length : place;
  };
  return sources.toSorted((one, other) => rank(one) - rank(other));
}

/** The first of several entries with one name wins. */
function settle(entries: readonly CatalogEntry[]) {
  const winners = new Map<string, CatalogEntry>();
  const collisions: Collision[] = [];
  for (const entry of entries) {
    const { kind, name, backend } = entry;
    const key = entryKey(kind, name);
    const kept = winners.get(key);
    if (kept === undefined) winners.set(key, entry);
    else collisions.push({ kind, name, kept: kept.backend, hidden: backend });
  }
  return { winners: new Set(winners.values()), collisions };
}

/** Adds the members. Returns the same object if it already has them. */
function withMembers(definition: JsonObject, members: JsonObject): JsonObject {
  if (Object.entries(members).every(([key, value]) => definition[key] === value)) return definition;
  return copyOf(definition, JSON.stringify(members), () => ({ ...definition, ...members }));
}
