// Which server each name belongs to that clients have used. A name stays its server's: the tool or prompt of another one that
// meets it gets its server's name before it, for good. Pure.
import type { ConflictConfig } from "../../config/snapshot.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";

/** A tool or a prompt, and whose. */
export interface NamedEntry {
  readonly kind: "tool" | "prompt";
  readonly backend: string;
  /** Without its backend's name before it. */
  readonly plainName: string;
}

/** By `nameKey`, the oldest first. */
export type NameOwners = ReadonlyMap<string, NamedEntry>;

export interface KnownNames {
  readonly owners: NameOwners;
  /** The names of a backend that is not configured any more are free. */
  isConfigured(backend: string): boolean;
  /** A person has switched the tool off; `tool`: as its server calls it. */
  isOff(backend: string, tool: string): boolean;
}

export const NO_NAMES: KnownNames = { owners: new Map(), isConfigured: () => true, isOff: () => false };

export function nameKey(kind: NamedEntry["kind"], name: string): string {
  return `${kind} ${name}`;
}

/** Names the entries of one catalog, in order of precedence. */
export class Namer {
  /** Names that nobody had. */
  readonly fresh = new Map<string, NamedEntry>();
  readonly #known: KnownNames;
  readonly #conflict: ConflictConfig;
  /** By `ownKey`: the names that they were given before. */
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

  /** Whether a person's order gives it the plain name, whoever had that. */
  #comesFirst({ kind, backend, plainName }: NamedEntry): boolean {
    const owner = this.#known.owners.get(nameKey(kind, plainName));
    return owner !== undefined && this.#rank(backend) < this.#rank(owner.backend);
  }

  #isFree(key: string, entry: NamedEntry): boolean {
    const owner = this.fresh.get(key) ?? this.#known.owners.get(key);
    if (owner === undefined || ownKey(owner) === ownKey(entry)) return true;
    if (this.fresh.has(key) || owner.backend === entry.backend) return false;
    return !this.#known.isConfigured(owner.backend) || this.#rank(entry.backend) < this.#rank(owner.backend);
  }

  /** Equal where no order is given. */
  #rank(backend: string): number {
    const { strategy, order } = this.#conflict;
    const place = strategy === "priority" ? order.indexOf(backend) : -1;
    return place === -1 ? order.length : place;
  }
}

/** The same for an entry whatever it is called. */
export function ownKey({ kind, backend, plainName }: NamedEntry): string {
  return `${kind} ${backend} ${plainName}`;
}

function nameOf(key: string, { kind }: NamedEntry): string {
  return key.slice(kind.length + 1);
}

// Names of tools that every client can use. The specification allows letters, digits, "_", "-" and "." (2025-11-25,
// "Tools", tool names); clients put a prefix before it and allow 64 characters in all.

const ODD = /[^A-Za-z0-9_.-]/gu;
/** Among 1,000 cut names, two are the same in one of 8,600 gateways; the second is then told as a collision. */
const HASH_CHARACTERS = 8;

/**
 * The name itself where that is usable; else what is left of it, cut, with a hash of the whole name. It depends on no other
 * tool, so it stays when others come and go. `longest`: at least 24.
 */
export function usableName(name: string, longest: number): string {
  const plain = name.replace(ODD, "_");
  if (plain === name && name.length <= longest && name !== "") return name;
  return `${plain.slice(0, longest - HASH_CHARACTERS - 1)}_${sha256Of(name).slice(0, HASH_CHARACTERS)}`;
}
