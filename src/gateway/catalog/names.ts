// Which backend owns each name that clients have used. Once used, a name keeps its owner: another backend's tool or prompt
// with the same name is published with its backend's name in front, permanently. Pure.
import type { ConflictConfig } from "../../config/snapshot.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";

/** A tool or prompt of a backend. */
export interface NamedEntry {
  readonly kind: "tool" | "prompt";
  readonly backend: string;
  /** The name without the backend's name in front. */
  readonly plainName: string;
}

/** The entry that owns each name, by `nameKey`, in the order in which the names came into use. */
export type NameOwners = ReadonlyMap<string, NamedEntry>;

export interface KnownNames {
  readonly owners: NameOwners;
  /** False for a backend that is no longer configured: other backends may then take its names. */
  isConfigured(backend: string): boolean;
  /** True if a person has switched the tool off; `tool`: the server's own name. */
  isOff(backend: string, tool: string): boolean;
}

export const NO_NAMES: KnownNames = { owners: new Map(), isConfigured: () => true, isOff: () => false };

export function nameKey(kind: NamedEntry["kind"], name: string): string {
  return `${kind} ${name}`;
}

/** Names the entries of one catalog. Call `nameOf` in order of precedence. */
export class Namer {
  /** The names that entries get for the first time, by `nameKey`. */
  readonly fresh = new Map<string, NamedEntry>();
  readonly #known: KnownNames;
  readonly #conflict: ConflictConfig;
  /** The name that each entry has had until now, by `ownKey`. */
  readonly #given: Map<string, string>;

  constructor(known: KnownNames, conflict: ConflictConfig) {
    this.#known = known;
    this.#conflict = conflict;
    this.#given = new Map([...known.owners].map(([key, entry]) => [ownKey(entry), nameOf(key, entry)]));
  }

  nameOf(entry: NamedEntry): string {
    const { kind, backend, plainName } = entry;
    const given = this.#given.get(ownKey(entry));
    let name = given === undefined || this.#comesFirst(entry) ? plainName : given;
    while (!this.#isFree(nameKey(kind, name), entry)) name = backend + this.#conflict.separator + name;
    if (name !== given) this.fresh.set(nameKey(kind, name), entry);
    this.#given.set(ownKey(entry), name);
    return name;
  }

  /** True if the configured order prefers this backend to the owner of the plain name. */
  #comesFirst({ kind, backend, plainName }: NamedEntry): boolean {
    const owner = this.#known.owners.get(nameKey(kind, plainName));
    return owner !== undefined && this.#rank(backend) < this.#rank(owner.backend);
  }

  #isFree(key: string, entry: NamedEntry): boolean {
    const owner = this.fresh.get(key) ?? this.#known.owners.get(key);
    if (owner === undefined || ownKey(owner) === ownKey(entry)) return true;
    return !this.#known.isConfigured(owner.backend) || this.#rank(entry.backend) < this.#rank(owner.backend);
  }

  /** A backend's place in the configured order; equal for all backends if none is configured. */
  #rank(backend: string): number {
    const { strategy, order } = this.#conflict;
    const place = strategy === "priority" ? order.indexOf(backend) : -1;
    return place === -1 ? order.length : place;
  }
}

/** Identifies an entry, whatever its published name. */
export function ownKey({ kind, backend, plainName }: NamedEntry): string {
  return `${kind} ${backend} ${plainName}`;
}

function nameOf(key: string, { kind }: NamedEntry): string {
  return key.slice(kind.length + 1);
}

// Makes tool names that every client accepts. The specification allows letters, digits, "_", "-" and "."
// (2025-11-25, "Tools", tool names). Clients add a prefix, and accept 64 characters including it.

const FORBIDDEN = /[^A-Za-z0-9_.-]/gu;
/**
 * With 1,000 cut names, the probability of two equal names is 1 in 8,600; the second name is then a
 * collision.
 */
const HASH_CHARACTERS = 8;

/**
 * The name itself if clients accept it; otherwise its allowed characters, shortened, followed by a hash of
 * the original name. The result does not depend on other tools, so that it never changes when they come and
 * go. `longest`: at least 24.
 */
export function usableName(name: string, longest: number): string {
  const plain = name.replace(FORBIDDEN, "_");
  if (plain === name && name.length <= longest && name !== "") return name;
  return `${plain.slice(0, longest - HASH_CHARACTERS - 1)}_${sha256Of(name).slice(0, HASH_CHARACTERS)}`;
}
