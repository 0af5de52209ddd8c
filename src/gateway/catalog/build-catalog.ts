// Builds what is published: filters, then overrides, then who has a name that two backends offer. Pure: the same sources and
// known names give the same catalog, in the same order.

import type { ConflictConfig, NameFilter, ToolOverride } from "../../config/snapshot.ts";
import { foreignPrefix } from "../../config/values/backend-names.ts";
import { withoutUnseen } from "../../runtime/text/unseen-characters.ts";
import type { JsonObject } from "../json-rpc.ts";
import { type AppPages, isAppPage, pageOfTool, publishAppPages, underUri, withPage } from "./app-pages.ts";
import {
  type Catalog,
  type CatalogEntry,
  type CatalogSource,
  type Collision,
  ENTRY_LISTS,
  type EntryKind,
  freshnessOfAll,
  heldKey,
  type UnseenEntry,
} from "./catalog.ts";
import { compileGlobs } from "./glob.ts";
import { type KnownNames, Namer, NO_NAMES, usableName } from "./names.ts";
import { seenEntry } from "./seen-text.ts";
import { publishSkills, type SkillPlaces, skillAt } from "./skill-places.ts";
import { compileUriTemplate, isUnclear, otherSpellings } from "./uri-template.ts";

export interface Permission {
  permits(name: string): boolean;
  denies(name: string): boolean;
}

type Offer = readonly CatalogEntry[];

/** Of all backends; a server may have any number. */
const UNSEEN_AT_MOST = 200;

const EVERYTHING: Permission = { permits: () => true, denies: () => false };

/**
 * Publishes what the sources offer. `sources` are in the file's order, and so are the lists, whatever the strategy.
 * Definitions are the servers' own objects; where the name or description is another one, a copy with only that
 * changed, the same copy for the same object and names.
 */
export function buildCatalog(
  sources: readonly CatalogSource[],
  conflict: ConflictConfig,
  known: KnownNames = NO_NAMES,
): Catalog {
  const byPriority = precedence(sources, conflict.strategy === "priority" ? conflict.order : []);
  const appPages = publishAppPages(byPriority.flatMap((index) => pagesOf(sources[index])));
  const skillPlaces = publishSkills(
    byPriority.flatMap((index) => skillsOf(sources[index])),
    conflict.strategy === "prefix",
  );
  const namer = new Namer(known, conflict);
  const offers: SourceOffer[] = [];
  for (const index of byPriority) {
    const source = sources[index];
    if (source !== undefined) offers[index] = offerOf(source, conflict, { appPages, skillPlaces, namer });
  }
  const withSkills = sources.filter(({ listings }) => isDeclared(listings.skills));
  const collisions: Collision[] = [];
  const publish = (
    kind: "tools" | "resources" | "templates" | "prompts" | "skills",
  ): Map<string, CatalogEntry> =>
    settle(
      offers.map((offer) => offer[kind]),
      byPriority,
      collisions,
    );
  const [tools, off] = [new Map<string, CatalogEntry>(), new Map<string, CatalogEntry>()];
  for (const [name, tool] of publish("tools")) {
    if (known.isOff(tool.backend, tool.originalName)) off.set(name, { ...tool, isOff: true });
    else tools.set(name, tool);
  }
  return {
    freshNames: namer.fresh,
    tools,
    off,
    resources: publish("resources"),
    templates: publish("templates"),
    prompts: publish("prompts"),
    skills: publish("skills"),
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
    unseen: offers.flatMap(({ unseen }) => unseen).slice(0, UNSEEN_AT_MOST),
    withheldTools: new Map(
      sources.flatMap(({ backend, filters, listings }) => {
        const withheld = withheldOf(listings.tools, filters.tools);
        return withheld === 0 ? [] : [[backend, withheld] as const];
      }),
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

/** What its filters leave of a backend's pages: those that it lists, and those that its tools name. */
function pagesOf(source: CatalogSource | undefined) {
  if (source === undefined) return [];
  const { backend, filters, listings } = source;
  const tools = permissionOf(filters.tools);
  const resources = reachOf(source);
  const named = listings.tools.filter(({ name }) => typeof name === "string" && tools.permits(name));
  const uris = [...listings.resources.map(({ uri }) => uri), ...named.map(pageOfTool)];
  return [{ backend, uris: uris.filter(isAppPage).filter((uri) => resources.permits(uri)) }];
}

function isDeclared<List>(list: List | null | undefined): list is List {
  return list !== null && list !== undefined;
}

/** What its filters leave of a backend's skills, and of what it lists beside them. */
function skillsOf(source: CatalogSource | undefined) {
  if (source === undefined) return [];
  const { backend, filters, listings } = source;
  const permission = permissionOf(filters.resources);
  const { permits } = reachOf(source);
  const urisOf = (list: readonly JsonObject[]): string[] => list.map(({ uri }) => String(uri));
  return [
    {
      backend,
      skills: urisOf(listings.skills ?? []).filter(permits),
      resources: urisOf(listings.resources).filter(permission.permits),
    },
  ];
}

type SourceOffer = ReturnType<typeof offerOf>;

interface Places {
  readonly appPages: AppPages;
  readonly skillPlaces: SkillPlaces;
  readonly namer: Namer;
}

function offerOf(
  source: CatalogSource,
  { strategy, separator, longestName }: ConflictConfig,
  { appPages, skillPlaces, namer }: Places,
) {
  const { backend, filters, toolOverrides, listings, held } = source;
  // The names of one machine are its own already, one for each of its tools.
  const whose = foreignPrefix(backend) ?? (strategy === "prefix" ? backend : null);
  const prefix = whose === null ? "" : whose + separator;
  const keepsNames = whose === null && strategy !== "error";
  const toolPermission = permissionOf(filters.tools);
  const resourcePermission = permissionOf(filters.resources);
  const promptPermission = permissionOf(filters.prompts);
  const unseen: UnseenEntry[] = [];
  const underPublishedPage = (kind: EntryKind, definition: JsonObject): JsonObject => {
    const page = kind === "tool" ? pageOfTool(definition) : null;
    const uri = page === null ? null : appPages.publishedUri(backend, page);
    return uri === null || uri === page ? definition : withPage(definition, uri);
  };
  const publishedUri = (uri: string): string =>
    isAppPage(uri) ? appPages.publishedUri(backend, uri) : skillPlaces.publishedUri(backend, uri);
  const overrideOf = (kind: EntryKind, originalName: string): ToolOverride | undefined =>
    kind === "tool" && Object.hasOwn(toolOverrides, originalName) ? toolOverrides[originalName] : undefined;
  const nameOf = (
    kind: EntryKind,
    originalName: string,
  ): Pick<CatalogEntry, "fullName" | "name" | "plainName"> => {
    if (kind !== "tool" && kind !== "prompt") {
      const name = publishedUri(originalName);
      return { fullName: name, name };
    }
    const wanted = overrideOf(kind, originalName)?.name ?? originalName;
    const plainName = kind === "prompt" ? withoutUnseen(wanted) : wanted;
    const fullName = keepsNames ? namer.nameOf({ kind, backend, plainName }) : prefix + plainName;
    return {
      fullName,
      name: kind === "tool" ? usableName(fullName, longestName) : fullName,
      ...(keepsNames && fullName !== plainName ? { plainName } : {}),
    };
  };
  const offer = (
    kind: EntryKind,
    definitions: readonly JsonObject[],
    key: string,
    permission: Permission,
  ): Offer => {
    const entries: CatalogEntry[] = [];
    for (const given of definitions) {
      const originalName = given[key];
      if (typeof originalName !== "string" || !permission.permits(originalName)) continue;
      const isNamed = kind === "tool" || kind === "prompt";
      const { entry: definition, faults } = seenEntry(given, !isNamed && kind !== "skill");
      if (faults.length > 0 && unseen.length < UNSEEN_AT_MOST) {
        unseen.push({ backend, kind, name: originalName, faults });
      }
      const { fullName, name, plainName } = nameOf(kind, originalName);
      const description = overrideOf(kind, originalName)?.description ?? null;
      entries.push({
        kind,
        name,
        backend,
        fullName,
        ...(plainName === undefined ? {} : { plainName }),
        originalName,
        ...(kind === "tool" && source.places?.has(originalName) === true
          ? { places: source.places.get(originalName) ?? [] }
          : {}),
        definition: isNamed
          ? published(underPublishedPage(kind, definition), name, description)
          : name === originalName
            ? definition
            : (kind === "skill" ? skillAt : underUri)(definition, name),
      });
    }
    return entries;
  };
  const resources = offer("resource", listings.resources, "uri", resourcePermission);
  const templates = offer("template", listings.resourceTemplates, "uriTemplate", resourcePermission);
  const reach = reachOf(source);
  const skills = offer("skill", listings.skills ?? [], "uri", reach);
  return {
    tools: offer("tool", listings.tools, "name", toolPermission),
    resources,
    templates,
    prompts: offer("prompt", listings.prompts, "name", promptPermission),
    skills,
    unseen,
    reach: resources.length + templates.length + skills.length === 0 ? null : { backend, ...reach },
    /** What waits, by `heldKey`. */
    held:
      held === undefined
        ? []
        : ENTRY_LISTS.flatMap(({ kind, list, key }) =>
            (held[list] ?? []).map(
              (entry) => [heldKey(kind, nameOf(kind, String(entry[key])).name), backend] as const,
            ),
          ),
  };
}

function withheldOf(tools: readonly JsonObject[], filter: NameFilter): number {
  const { permits } = permissionOf(filter);
  return tools.filter(({ name }) => typeof name === "string" && !permits(name)).length;
}

interface ListedEntry {
  readonly kind: EntryKind;
  /** The server's own name of it. */
  readonly name: string;
  readonly entry: JsonObject;
  /** Its backend's filters let it pass. */
  readonly isPermitted: boolean;
}

/** All that has a name in the lists of a backend. */
export function namedEntries({
  listings,
  filters,
}: Pick<CatalogSource, "listings" | "filters">): readonly ListedEntry[] {
  return ENTRY_LISTS.flatMap(({ kind, list, key, filter }) => {
    const { permits } = permissionOf(filters[filter]);
    return (listings[list] ?? []).flatMap((entry) => {
      const name = entry[key];
      return typeof name === "string" ? [{ kind, name, entry, isPermitted: permits(name) }] : [];
    });
  });
}

/** What the filter leaves of names. */
export function permissionOf({ allow, deny }: NameFilter): Permission {
  if (allow === null && deny.length === 0) return EVERYTHING;
  const allows = allow === null ? (): boolean => true : compileGlobs(allow);
  const denies = compileGlobs(deny);
  return { permits: (name) => allows(name) && !denies(name), denies };
}

// Filters and what is held are a source's own, and asked for several times while a catalog is built.
const reaches = new WeakMap<CatalogSource, Permission>();

/**
 * For URIs that a client made up: where there are filters, or entries that wait for a person, no other spelling gets around
 * them. What a template that waits stands for is not permitted, unless another one stands for it, too.
 */
function reachOf(source: CatalogSource): Permission {
  const known = reaches.get(source);
  if (known !== undefined) return known;
  const reach = unlisted(source);
  reaches.set(source, reach);
  return reach;
}

function unlisted({ filters, held }: CatalogSource): Permission {
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
}

/** Indices of the sources, whoever keeps a name first. */
function precedence(sources: readonly CatalogSource[], order: readonly string[]): readonly number[] {
  const rank = (index: number): number => {
    const place = order.indexOf(sources[index]?.backend ?? "");
    return place === -1 ? order.length : place;
  };
  return sources.map((_, index) => index).sort((a, b) => rank(a) - rank(b) || a - b);
}

function settle(
  offers: readonly Offer[],
  byPrecedence: readonly number[],
  collisions: Collision[],
): Map<string, CatalogEntry> {
  const winners = new Map<string, CatalogEntry>();
  for (const index of byPrecedence) {
    for (const entry of offers[index] ?? []) {
      const kept = winners.get(entry.name);
      if (kept === undefined) winners.set(entry.name, entry);
      else {
        const { kind, name, backend } = entry;
        collisions.push({ kind, name, kept: kept.backend, hidden: backend });
      }
    }
  }
  if (byPrecedence.every((index, place) => index === place)) return winners;
  const inOrder = new Map<string, CatalogEntry>();
  for (const offer of offers) {
    for (const entry of offer) if (winners.get(entry.name) === entry) inOrder.set(entry.name, entry);
  }
  return inOrder;
}

interface Copy {
  readonly name: string;
  readonly description: string | null;
  readonly definition: JsonObject;
}

// What was made of a server's object last: a rebuilt catalog then holds the same objects, and whoever compares lists
// or keeps their text need not look into them.
const copies = new WeakMap<JsonObject, Copy>();

function published(definition: JsonObject, name: string, description: string | null): JsonObject {
  const sameDescription = description === null || definition["description"] === description;
  if (definition["name"] === name && sameDescription) return definition;
  const known = copies.get(definition);
  if (known !== undefined && known.name === name && known.description === description) {
    return known.definition;
  }
  const copy = description === null ? { ...definition, name } : { ...definition, name, description };
  copies.set(definition, { name, description, definition: copy });
  return copy;
}
