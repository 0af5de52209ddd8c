// The owners of names that clients have used. A name keeps its owner: if another backend has an entry of that name,
// the entry's name begins with that backend's name from then on. Pure.

import { sha256Of } from "../../runtime/files/sha256.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";

export interface NamedEntry {
  readonly kind: "tool" | "prompt";
  readonly backend: string;
  /** Without the backend's name in front. */
  readonly plainName: string;
}

/** By `nameKey`, in the order in which the names came into use. */
export type NameOwners = ReadonlyMap<string, NamedEntry>;

export interface KnownNames {
  readonly owners: NameOwners;
  /** If false, other backends may take the names of this backend. */
  isConfigured(backend: string): boolean;
  /** `tool`: the name that the server gives the tool. */
  isOff(backend: string, tool: string): boolean;
}

export const NO_NAMES: KnownNames = { owners: new Map(), isConfigured: () => true, isOff: () => false };

export function nameKey(kind: NamedEntry["kind"], name: string): string {
  return `${kind} ${name}`;
}

/** An entry keeps a name with up to this many prefixes though a shorter name is free now. */
const MOST_PREFIXES = 2;

/** Gives names to the entries of one catalog; of new names, the first entry gets the plain one. */
export class Namer {
  /** The entries whose name is new or has changed, with `nameKey` as the key. */
  readonly fresh = new Map<string, NamedEntry>();
  readonly #known: KnownNames;

  constructor(known: KnownNames) {
    this.#known = known;
  }

  nameOf(entry: NamedEntry): string {
    const { kind, backend, plainName } = entry;
    let free: string | null = null;
    let name = plainName;
    for (let prefixes = 0; free === null || prefixes <= MOST_PREFIXES; prefixes++) {
      // Names of different kinds have different keys.
      const key = nameKey(kind, name);
      const owner = this.fresh.get(key) ?? this.#known.owners.get(key);
      if (owner?.backend === backend && owner.plainName === plainName) return name;
      if (owner === undefined || !this.#known.isConfigured(owner.backend)) free ??= name;
      name = `${backend}_${name}`;
    }
    this.fresh.set(nameKey(kind, free), entry);
    return free;
  }
}

/** A key that does not depend on the published name. */
export function ownKey({ kind, backend, plainName }: NamedEntry): string {
  return `${kind} ${backend} ${plainName}`;
}

// Tool names that every client accepts. MCP allows letters, digits, "_", "-" and ".", and several model APIs no dot;
// clients accept 64 characters, including their own prefix, such as `mcp__mountaineer__`.
const FORBIDDEN = /[^A-Za-z0-9_-]/gu;
/** Two of 1,000 cut names are equal with a probability of 1 in 8,600, and then collide like other names. */
const HASH_CHARACTERS = 8;

/**
 * A usable form of `name`, with a hash at the end if `name` had to be changed. The result does not depend on other
 * tools, so it stays when they come and go.
 */
export function usableName(name: string): string {
  const plain = name.replace(FORBIDDEN, "_");
  if (plain === name && name.length <= TEXT_BOUNDS.toolName.most && name !== "") return name;
  return `${plain.slice(0, TEXT_BOUNDS.toolName.most - HASH_CHARACTERS - 1)}_${sha256Of(name).slice(0, HASH_CHARACTERS)}`;
}
