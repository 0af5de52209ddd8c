// The listing of a share's root in bounded memory: the first entries by name, and a digest of the others.
import { createHash } from "node:crypto";

export interface ListedEntry {
  readonly name: string;
  readonly isFolder: boolean;
  /** Bytes; null for a folder. */
  readonly size: number | null;
  /** Unix ms, rounded down to the listing's precision. */
  readonly modifiedMs: number;
}

export interface RootListing {
  /** All `modifiedMs` are multiples of this: 1 (rclone) or 1000 (smbclient). */
  readonly precisionMs: number;
  /** Number of all entries. */
  readonly count: number;
  /** The first entries by name, in that order. */
  readonly entries: readonly ListedEntry[];
  /** The entries after the last one of `entries`; null: none. */
  readonly rest: RestOfListing | null;
}

interface RestOfListing {
  readonly count: number;
  /** Equal for equal entries, in any order. */
  readonly digest: string;
}

const RETAINED_AT_MOST = 4_096;
const DIGEST_BYTES = 16;

/** Collects a listing from any number of entries, in any order. */
export function createListingCollector(retainedAtMost = RETAINED_AT_MOST) {
  let retained: ListedEntry[] = [];
  let count = 0;
  let isCut = false;
  const rest = Buffer.alloc(DIGEST_BYTES);
  const cut = (): void => {
    retained.sort(byName);
    for (const entry of retained.slice(retainedAtMost)) {
      isCut = true;
      addTo(rest, entry);
    }
    retained = retained.slice(0, retainedAtMost);
  };
  return {
    add(entry: ListedEntry): void {
      count += 1;
      retained.push(entry);
      if (retained.length >= retainedAtMost * 2) cut();
    },
    end(precisionMs: number): RootListing {
      cut();
      const left = { count: count - retained.length, digest: rest.toString("hex") };
      return { precisionMs, count, entries: retained, rest: isCut ? left : null };
    },
  };
}

/** Cuts both listings at the same last name if one of them was cut off. */
export function alignedListings(one: RootListing, other: RootListing): readonly [RootListing, RootListing] {
  const ends = [one, other].flatMap(({ rest, entries }) =>
    rest === null ? [] : [entries.at(-1)?.name ?? ""],
  );
  const end = ends.toSorted(compareNames)[0];
  if (end === undefined) return [one, other];
  return [cutAfter(one, end), cutAfter(other, end)];
}

function cutAfter(listing: RootListing, end: string): RootListing {
  const beyond = listing.entries.filter(({ name }) => compareNames(name, end) > 0);
  const digest = Buffer.from(listing.rest?.digest ?? "00".repeat(DIGEST_BYTES), "hex");
  for (const entry of beyond) addTo(digest, entry);
  return {
    ...listing,
    entries: listing.entries.slice(0, listing.entries.length - beyond.length),
    rest: { count: (listing.rest?.count ?? 0) + beyond.length, digest: digest.toString("hex") },
  };
}

/** Adds an entry to the digest by exclusive or, so that the order of the entries does not matter. */
function addTo(digest: Buffer, { name, isFolder, size, modifiedMs }: ListedEntry): void {
  const text = JSON.stringify([name, isFolder, size, modifiedMs]);
  const hash = createHash("sha256").update(text).digest();
  for (let index = 0; index < DIGEST_BYTES; index += 1) {
    digest[index] = (digest[index] ?? 0) ^ (hash[index] ?? 0);
  }
}

function byName(one: ListedEntry, other: ListedEntry): number {
  return compareNames(one.name, other.name);
}

/** Orders names in the same way on every machine, whatever its language. */
export function compareNames(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
