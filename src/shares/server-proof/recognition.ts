// Decides whether a share's root is that of a known server, and what to remember of the root. Pure.
import { shownName } from "./comparison.ts";
import { KNOWN_ENTRIES_AT_MOST, type KnownEntry, type ServerFingerprint } from "./known-servers.ts";
import { type CreationTime, SMBCLIENT_ROUNDING_MS } from "./program-output.ts";
import type { ListedEntry, RootListing } from "./root-listing.ts";

export type CreationTimes = ReadonlyMap<string, CreationTime>;

/** `text` continues a sentence that begins with the share's source: "//nas/core is empty: …". */
type Recognition =
  /**
   * `creation`: the creation times are equal; a copy would have another creation time. `entries`: the entries are
   * unchanged.
   */
  | { readonly kind: "same"; readonly by: "creation" | "entries" }
  | { readonly kind: "different"; readonly text: string }
  | { readonly kind: "unproved"; readonly text: string };

/**
 * Compares a root with what is remembered of a server. Entries may have been added, removed or changed, but
 * at least one known entry must be unchanged, also in its creation time if that is known. `creationTimes`: null if
 * creation times cannot be read.
 */
export function recognizeRoot(
  fingerprint: ServerFingerprint,
  listing: RootListing,
  creationTimes: CreationTimes | null,
): Recognition {
  if (listing.count === 0) return { kind: "unproved", text: "is empty: nothing in it can be recognised" };
  const root = agreement(fingerprint.rootCreatedMs, creationTimes?.get(""));
  if (root === "differs") {
    return { kind: "different", text: "differs from the folder before: it was created at another time" };
  }
  const now = new Map(listing.entries.map((entry) => [entry.name, entry]));
  const unchanged = fingerprint.entries.filter((known) => isUnchanged(known, now.get(known.name), listing));
  const created = unchanged.map((known) => agreement(known.createdMs, creationTimes?.get(known.name)));
  if (created.includes("agrees")) return { kind: "same", by: "creation" };
  const copy = unchanged[created.indexOf("differs")];
  if (root !== "agrees" && copy !== undefined) {
    const text = `holds a copy: its ${shownName(copy.name)} was created at another time than the one known`;
    return { kind: "different", text };
  }
  if (created.includes("unknown")) return { kind: "same", by: root === "agrees" ? "creation" : "entries" };
  const count = fingerprint.entries.length;
  // If the listing was cut off, a missing entry proves nothing: it may be among those that were cut off.
  const isGone = listing.rest === null && !fingerprint.entries.some(({ name }) => now.has(name));
  if (isGone && root !== "agrees" && count > 0) {
    const what =
      count === 1 ? `not ${shownName(fingerprint.entries[0]?.name ?? "")}` : `none of the ${count} entries`;
    return { kind: "different", text: `lists ${what} that it had before` };
  }
  return { kind: "unproved", text: "has nothing left in it that is as it was before" };
}

/**
 * What to remember of the server after a proof. Remembered facts that are still true are kept, because their
 * times are more exact.
 */
export function serverFingerprint(
  serverGuid: string,
  listing: RootListing,
  creationTimes: CreationTimes | null,
  before: Pick<ServerFingerprint, "rootCreatedMs" | "entries"> | null,
): Omit<ServerFingerprint, "folding"> {
  const known = new Map((before?.entries ?? []).map((entry) => [entry.name, entry]));
  const entries = steadiest(listing.entries).map((entry): KnownEntry => {
    const old = known.get(entry.name);
    const isOld = old !== undefined && isUnchanged(old, entry, listing);
    const createdMs = ownCreationMs(creationTimes?.get(entry.name));
    if (isOld && old.precisionMs <= listing.precisionMs) {
      return { ...old, createdMs: createdMs ?? old.createdMs };
    }
    return {
      ...entry,
      precisionMs: listing.precisionMs,
      createdMs: createdMs ?? (isOld ? old.createdMs : null),
    };
  });
  const rootCreatedMs = ownCreationMs(creationTimes?.get("")) ?? before?.rootCreatedMs ?? null;
  return { serverGuid, rootCreatedMs, entries };
}

/** The entries that have been unchanged for longest, as these are most likely to be unchanged the next time. */
export function steadiest(entries: readonly ListedEntry[]): readonly ListedEntry[] {
  return entries.toSorted((one, other) => one.modifiedMs - other.modifiedMs).slice(0, KNOWN_ENTRIES_AT_MOST);
}

function isUnchanged(known: KnownEntry, now: ListedEntry | undefined, { precisionMs }: RootListing): boolean {
  if (now === undefined || now.isFolder !== known.isFolder || now.size !== known.size) return false;
  const coarser = Math.max(precisionMs, known.precisionMs);
  return Math.floor(now.modifiedMs / coarser) === Math.floor(known.modifiedMs / coarser);
}

type Agreement = "agrees" | "differs" | "unknown";

function agreement(knownMs: number | null, creationTime: CreationTime | undefined): Agreement {
  if (knownMs === null || creationTime === undefined) return "unknown";
  return Math.abs(creationTime.createdMs - knownMs) <= SMBCLIENT_ROUNDING_MS ? "agrees" : "differs";
}

function ownCreationMs(creationTime: CreationTime | undefined): number | null {
  return creationTime?.isOwn === true ? creationTime.createdMs : null;
}
