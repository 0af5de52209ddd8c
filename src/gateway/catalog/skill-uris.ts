// The URIs under which skills are published. Clients also read files below a skill's root that no list names. If two
// servers use one URI for different skills, the skill of the later server gets another root.
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import type { PublishedSkills } from "./catalog.ts";
import { copyOf } from "./copies.ts";
import { MOST_SEGMENTS, rootOf } from "./skill-check.ts";

/** One part more than a skill's root may have: the backend's name. */
const MOST_PARTS = MOST_SEGMENTS + 1;

/** A backend with the URIs of the skills and resources that its filters allow. */
interface SkillSource {
  readonly backend: string;
  readonly skills: readonly string[];
  readonly resources: readonly string[];
}

/** A skill's root, the outermost one if skills contain skills. */
interface SkillRoot {
  readonly backend: string;
  readonly root: string;
  readonly published: string;
}

/** `sources` are in order of precedence. `isPrefixed`: every published URI contains its backend's name. */
export function publishSkills(sources: readonly SkillSource[], isPrefixed: boolean): PublishedSkills {
  const roots = new Map(sources.map(({ backend, skills }) => [backend, outermost(skills)]));
  const allRoots = new Set([...roots.values()].flat());
  if (allRoots.size === 0) return { ownerOf: () => null, publishedUri: (_, uri) => uri };
  const published = new PublishedRoots();
  const own = new Map<string, Map<string, SkillRoot>>();
  /** Roots of skills below which earlier backends list resources. */
  const occupied = new Set<string>();
  for (const { backend, resources } of sources) {
    const owned = new Map<string, SkillRoot>();
    const near = listedNear(sources, backend);
    for (const root of roots.get(backend) ?? []) {
      const isTaken = isPrefixed || occupied.has(root) || !published.isFree(root);
      let uri = isTaken ? under(backend, root) : root;
      while (uri !== root && (!published.isFree(uri) || isWithin(near(), uri))) uri = under(backend, uri);
      const skillRoot = { backend, root, published: uri };
      published.add(skillRoot);
      owned.set(root, skillRoot);
    }
    own.set(backend, owned);
    for (const uri of resources) for (const part of partsOf(uri)) if (allRoots.has(part)) occupied.add(part);
  }
  return {
    ownerOf(uri) {
      const root = published.containing(uri);
      return root === null
        ? null
        : { backend: root.backend, originalName: root.root + uri.slice(root.published.length) };
    },
    publishedUri(backend, uri) {
      const owned = own.get(backend);
      for (const part of owned === undefined || owned.size === 0 ? [] : partsOf(uri)) {
        const root = owned?.get(part);
        if (root !== undefined) return root.published + uri.slice(part.length);
      }
      let free = uri;
      while (published.containing(free) !== null) free = under(backend, free);
      return free;
    },
  };
}

/** By published root. No root contains another. */
class PublishedRoots {
  readonly #roots = new Map<string, SkillRoot>();
  /** All roots, and all URIs above them. */
  readonly #above = new Set<string>();
  #deepest = 0;

  add(root: SkillRoot): void {
    this.#roots.set(root.published, root);
    const parts = partsOf(root.published);
    this.#deepest = Math.max(this.#deepest, parts.length);
    for (const part of parts) this.#above.add(part);
  }

  isFree(root: string): boolean {
    return !this.#above.has(root) && this.containing(root) === null;
  }

  containing(uri: string): SkillRoot | null {
    for (const part of partsOf(uri, this.#deepest)) {
      const root = this.#roots.get(part);
      if (root !== undefined) return root;
    }
    return null;
  }
}

/**
 * The parts of a URI: `a://b` and `a://b/c` for `a://b/c`. At most `most`, because a URI may have thousands of
 * segments; empty if the URI is too long or has no `://`.
 */
function partsOf(uri: string, most = MOST_PARTS): readonly string[] {
  if (uri.length > TEXT_BOUNDS.uri.most) return [];
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

/**
 * Returns a function that lists the URIs that begin with the name of `backend` and belong to resources of other
 * backends; a new root must not contain these URIs. The function searches at its first call, because most catalogs
 * rename no root.
 */
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
  return uris.some((uri) => `${uri}/`.startsWith(`${root}/`));
}

/**
 * Returns the skill under the URI `uri`, with the URIs of its files changed accordingly. The digests stay valid,
 * because the bytes are the same.
 */
export function skillAt(skill: JsonObject, uri: string): JsonObject {
  if (skill["uri"] === uri) return skill;
  const { resources } = skill;
  const [from, to] = [rootOf(String(skill["uri"])), rootOf(uri)];
  const moved = (file: unknown): unknown =>
    isJsonObject(file) ? { ...file, uri: to + String(file["uri"]).slice(from.length) } : file;
  return copyOf(skill, uri, () => ({
    ...skill,
    uri,
    ...(Array.isArray(resources) && { resources: resources.map(moved) }),
  }));
}
