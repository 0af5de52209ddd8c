// The entries of SCDynamicStore that describe the network, and what a change of each means.
import type { NetworkDelta } from "../events/network-delta.ts";

/** Whole keys, and regular expressions, which the store accepts only as patterns. */
export const WATCHED_KEYS: readonly string[] = ["State:/Network/Global/IPv4", "State:/Network/Global/IPv6"];
export const WATCHED_PATTERNS: readonly string[] = ["State:/Network/Interface/[^/]+/(Link|IPv4|IPv6)"];

/** The parts of an entry that matter here. */
export interface StoreEntry {
  /** Of a Link entry: whether there is a carrier; null where it does not say. */
  readonly active: boolean | null;
  /** Of a Global entry: who has the default route. */
  readonly primaryInterface: string | null;
  /** Of an IPv4 or IPv6 entry of an interface. */
  readonly addresses: readonly string[];
}

export type StoreReader = ReturnType<typeof createStoreReader>;

interface ReadableStore {
  read(key: string): StoreEntry | null;
  list(pattern: string): readonly string[];
}

type KeyMeaning =
  | { readonly about: "global"; readonly family: "IPv4" | "IPv6" }
  | { readonly about: "link" | "address"; readonly interfaceName: string };

/** null for a key that does not matter here. */
export function meaningOfKey(key: string): KeyMeaning | null {
  const global = /^State:\/Network\/Global\/(IPv[46])$/.exec(key)?.[1];
  if (global === "IPv4" || global === "IPv6") return { about: "global", family: global };
  const [, interfaceName, kind] = /^State:\/Network\/Interface\/([^/]+)\/(Link|IPv4|IPv6)$/.exec(key) ?? [];
  if (interfaceName === undefined || kind === undefined) return null;
  return { about: kind === "Link" ? "link" : "address", interfaceName };
}

/** Remembers entries, so that an address or route that is set again to the same value is no delta. */
export function createStoreReader(store: ReadableStore) {
  const known = new Map<string, StoreEntry>();

  const allKeys = (): readonly string[] => [
    ...WATCHED_KEYS,
    ...WATCHED_PATTERNS.flatMap((pattern) => store.list(pattern)),
  ];
  const update = (key: string, notified: boolean): readonly NetworkDelta[] => {
    const meaning = meaningOfKey(key);
    if (meaning === null) return [];
    const before = known.get(key) ?? null;
    const now = store.read(key);
    if (now === null) known.delete(key);
    else known.set(key, now);
    if (meaning.about === "global") return globalDeltas(before, now);
    if (meaning.about === "link") {
      const deltas = linkDeltas(meaning.interfaceName, before, now);
      // A link that went away and came back before we looked may have cost every connection over it.
      const flapped = notified && deltas.length === 0 && now !== null;
      return flapped ? [{ kind: "unknown", detail: `the link of ${meaning.interfaceName} flapped` }] : deltas;
    }
    return addressDeltas(meaning.interfaceName, before, now);
  };

  return {
    /** Reads the current entries, to compare with later. */
    learn(): void {
      for (const key of allKeys()) update(key, false);
    },
    /** What changed, by reading the entries of `keys`, or all of them when there are none (configd restarted). */
    changed(keys: readonly string[]): readonly NetworkDelta[] {
      if (keys.length > 0) return keys.flatMap((key) => update(key, true));
      const everything = new Set([...known.keys(), ...allKeys()]);
      return [
        { kind: "unknown", detail: "configd restarted" },
        ...[...everything].flatMap((key) => update(key, false)),
      ];
    },
  };
}

function linkDeltas(
  interfaceName: string,
  before: StoreEntry | null,
  now: StoreEntry | null,
): readonly NetworkDelta[] {
  const link = (change: "added" | "removed" | "carrier_gained" | "carrier_lost"): readonly NetworkDelta[] => [
    { kind: "link", interfaceName, change },
  ];
  if (now === null) return before === null ? [] : link("removed");
  if (before === null) return link("added");
  if (before.active === now.active) return [];
  if (now.active === null) return [{ kind: "unknown", detail: `the link of ${interfaceName}` }];
  return link(now.active ? "carrier_gained" : "carrier_lost");
}

function addressDeltas(
  interfaceName: string,
  before: StoreEntry | null,
  now: StoreEntry | null,
): readonly NetworkDelta[] {
  const had = new Set(before?.addresses);
  const has = new Set(now?.addresses);
  const delta = (change: "added" | "removed", address: string): NetworkDelta => ({
    kind: "address",
    interfaceName,
    change,
    address,
  });
  return [
    ...[...had].filter((one) => !has.has(one)).map((one) => delta("removed", one)),
    ...[...has].filter((one) => !had.has(one)).map((one) => delta("added", one)),
  ];
}

function globalDeltas(before: StoreEntry | null, now: StoreEntry | null): readonly NetworkDelta[] {
  const route = (change: "added" | "removed", entry: StoreEntry): NetworkDelta => ({
    kind: "route",
    interfaceName: entry.primaryInterface,
    change,
  });
  if (before !== null && now !== null && before.primaryInterface === now.primaryInterface) return [];
  return [
    ...(before === null ? [] : [route("removed", before)]),
    ...(now === null ? [] : [route("added", now)]),
  ];
}
