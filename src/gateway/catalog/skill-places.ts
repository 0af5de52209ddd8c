// Where skills are published: a skill is a folder, and a client reads files below its root that no list names. Two servers
// may have skills of the same URI, which are two different skills; the later one's is published under another root.
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { MOST_SEGMENTS, rootOf } from "./skill-check.ts";
import { MAX_URI_LENGTH } from "./uri-template.ts";

/** A root's, and its backend's name before it. */
const MOST_PARTS = MOST_SEGMENTS + 1;

/** As `Resolved` of the catalog. */
interface Owned {
  readonly backend: string;
  readonly originalName: string;
}

/** One backend's, as far as its filters allow. */
interface SkillSource {
  readonly backend: string;
  /** URIs of SKILL.md files. */
  readonly skills: readonly string[];
  /** Which it lists. */
  readonly resources: readonly string[];
}

export interface SkillPlaces {
  /** Whose skill a URI lies in, and what it is called there; null: in nobody's. */
  ownerOf(uri: string): Owned | null;
  /** What clients call a backend's resource or file of a skill. */
  publishedUri(backend: string, uri: string): string;
}

const NOWHERE: SkillPlaces = { ownerOf: () => null, publishedUri: (_, uri) => uri };

/** A skill's root, or the outermost one where skills lie within skills. */
interface Place {
  readonly backend: string;
  readonly root: string;
  readonly published: string;
}

/** `sources` in order of precedence. `isPrefixed`: each has its backend's name in its URIs, whatever others have. */
export function publishSkills(sources: readonly SkillSource[], isPrefixed: boolean): SkillPlaces {
  const roots = sources.map(({ skills }) => outermost(skills));
  if (roots.every(({ length }) => length === 0)) return NOWHERE;
  const wanted = new Set(roots.flat());
  const occupied = new Map<string, Set<string>>();
  for (const { backend, resources } of sources)
    for (const uri of resources)
      for (const part of partsOf(uri)) {
        if (!wanted.has(part)) continue;
        const by = occupied.get(part) ?? new Set();
        occupied.set(part, by.add(backend));
      }
  const claims = new Claims();
  const own = new Map<string, Map<string, Place>>();
  const before: SkillSource[] = [];
  for (const [index, source] of sources.entries()) {
    const { backend } = source;
    const mine = new Map<string, Place>();
    const near = listedNear(sources, backend);
    for (const root of roots[index] ?? []) {
      const isHeld = before.some((other) => occupied.get(root)?.has(other.backend) === true);
      let published = isPrefixed || isHeld || !claims.isFree(root) ? under(backend, root) : root;
      while (published !== root && (!claims.isFree(published) || isWithin(near(), published)))
        published = under(backend, published);
      const place = { backend, root, published };
      claims.add(place);
      mine.set(root, place);
    }
    own.set(backend, mine);
    before.push(source);
  }
  return {
    ownerOf(uri) {
      const place = claims.covering(uri);
      return place === null
        ? null
        : { backend: place.backend, originalName: place.root + uri.slice(place.published.length) };
    },
    publishedUri(backend, uri) {
      const mine = own.get(backend);
      for (const part of mine === undefined || mine.size === 0 ? [] : partsOf(uri)) {
        const place = mine?.get(part);
        if (place !== undefined) return place.published + uri.slice(part.length);
      }
      let published = uri;
      while (claims.covering(published) !== null) published = under(backend, published);
      return published;
    },
  };
}

/** By published root, none of which lies within another. */
class Claims {
  readonly #places = new Map<string, Place>();
  /** What lies above a root. */
  readonly #above = new Set<string>();
  #deepest = 0;

  add(place: Place): void {
    this.#places.set(place.published, place);
    const parts = partsOf(place.published);
    this.#deepest = Math.max(this.#deepest, parts.length);
    for (const part of parts) this.#above.add(part);
  }

  isFree(root: string): boolean {
    return !this.#above.has(root) && this.covering(root) === null;
  }

  covering(uri: string): Place | null {
    for (const part of partsOf(uri, this.#deepest)) {
      const place = this.#places.get(part);
      if (place !== undefined) return place;
    }
    return null;
  }
}

/**
 * A URI and what lies above it, the shortest first: `a://b`, `a://b/c`; no more than the first `most`, as a backend may
 * list URIs of thousands. Those that are no such URI, or too long: none.
 */
function partsOf(uri: string, most = MOST_PARTS): readonly string[] {
  if (uri.length > MAX_URI_LENGTH) return [];
  const scheme = uri.indexOf("://");
  if (scheme < 0) return [];
  const parts: string[] = [];
  for (let at = uri.indexOf("/", scheme + 3); parts.length < most; at = uri.indexOf("/", at + 1)) {
    parts.push(at < 0 ? uri : uri.slice(0, at));
    if (at < 0) break;
  }
  return parts;
}

function outermost(skills: readonly string[]): readonly string[] {
  const all = new Set(skills.map(rootOf));
  return [...all].filter((root) => partsOf(root).every((part) => part === root || !all.has(part)));
}

function under(backend: string, uri: string): string {
  const path = uri.indexOf("://") + 3;
  return `${uri.slice(0, path)}${backend}/${uri.slice(path)}`;
}

/** What other backends list under this one's name: hardly ever anything. Looked for once, when it is asked for. */
function listedNear(sources: readonly SkillSource[], backend: string): () => readonly string[] {
  let found: readonly string[] | null = null;
  return () => {
    found ??= sources.flatMap((other) =>
      other.backend === backend ? [] : other.resources.filter((uri) => uri.includes(`://${backend}/`)),
    );
    return found;
  };
}

function isWithin(uris: readonly string[], root: string): boolean {
  return uris.some((uri) => uri === root || uri.startsWith(`${root}/`));
}

interface Copy {
  readonly uri: string;
  readonly definition: JsonObject;
}

// What was made of a server's object last, as in build-catalog.
const copies = new WeakMap<JsonObject, Copy>();

/** The skill under another URI, and its files with it; digests are of bytes, which are the same. */
export function skillAt(skill: JsonObject, uri: string): JsonObject {
  if (skill["uri"] === uri) return skill;
  const known = copies.get(skill);
  if (known?.uri === uri) return known.definition;
  const { resources } = skill;
  const [from, to] = [rootOf(String(skill["uri"])), rootOf(uri)];
  const moved = (file: unknown): unknown =>
    isJsonObject(file) ? { ...file, uri: to + String(file["uri"]).slice(from.length) } : file;
  const definition = {
    ...skill,
    uri,
    ...(Array.isArray(resources) && { resources: resources.map(moved) }),
  };
  copies.set(skill, { uri, definition });
  return definition;
}
