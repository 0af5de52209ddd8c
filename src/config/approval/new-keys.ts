// The approved form of an entry, with the keys that Mountaineer has learned since: each has its default, as the
// approved configuration did not set it. So an upgrade never makes an entry wait. Pure.

import { normalizedDefaults, normalizedName } from "../schema/normalized.ts";
import { configFile, OPEN_TABLES } from "../schema/schema.ts";
import type { Place } from "../schema/tables.ts";
import {
  type Entry,
  type EntryValue,
  type Fields,
  isList,
  isSameMeaning,
  membersOf,
  plain,
} from "./entries.ts";
import { CHOSEN_BELOW } from "./entry-keys.ts";

/** Defaults by the key's name in the engine. Several tables of a section may have a key of one name. */
type Defaults = ReadonlyMap<string, readonly EntryValue[]>;

/** `blank`: the entry of an empty file; its defaults may depend on the machine. */
export function withNewKeys(
  approved: Fields,
  { group, name, whole }: Entry,
  blank: Fields,
  userHome: string,
): Fields {
  const tables = group === "sections" ? (SECTION_TABLES[name] ?? [name]) : [group];
  let known: Defaults | null = null;
  const defaults = (): Defaults => {
    known ??= defaultsBelow(
      Object.entries(configFile.keys).flatMap(([key, member]) => (tables.includes(key) ? [member] : [])),
      userHome,
    );
    return known;
  };
  return filledTable(approved, whole, blank, defaults);
}

/** Tables of the file whose keys are in an entry of another name. */
const SECTION_TABLES: Readonly<Record<string, readonly string[]>> = {
  incoming_auth: ["incoming_auth", "server"],
};

function defaultsBelow(members: readonly Place[], userHome: string): Defaults {
  const pairs = members.flatMap((member) => pairsBelow(member, userHome));
  const byName = Map.groupBy(pairs, ([name]) => name);
  return new Map([...byName].map(([name, named]) => [name, named.map(([, value]) => value)]));
}

function pairsBelow(member: Place, userHome: string): (readonly [name: string, value: EntryValue])[] {
  if (member.kind === "key" || member.kind === "open") return [];
  if (member.kind !== "table") return pairsBelow(member.table, userHome);
  const own = normalizedDefaults(member.keys, userHome);
  return Object.entries(member.keys).flatMap(([key, inner]) => {
    const name = normalizedName(key, inner);
    return [[name, plain(own[name])] as const, ...pairsBelow(inner, userHome)];
  });
}

/** Absent in the engine's form of a backend with one route, in each version. */
const ROUTES = "routes";

/** In a table in which people choose the names, an absent name is not a key of a later version. */
function filledTable(approved: Fields, file: Fields, blank: Fields, defaults: () => Defaults): Fields {
  // A program's keys do not apply to an address.
  if (!isSameMeaning(approved["type"], file["type"])) return approved;
  const known = Object.entries(approved).map(([key, value]) => {
    const [other, empty] = [file[key] ?? null, blank[key] ?? null];
    return [
      key,
      OPEN_TABLES.has(key) ? value : filled(value, other, membersOf(empty), defaults, CHOSEN_BELOW.has(key)),
    ];
  });
  return { ...Object.fromEntries(known), ...Object.fromEntries(laterKeys(approved, file, blank, defaults)) };
}

function filled(
  approved: EntryValue,
  file: EntryValue,
  blank: Fields,
  defaults: () => Defaults,
  hasChosenNames: boolean,
): EntryValue {
  if (isList(approved)) {
    const others = isList(file) ? file : [];
    return approved.map((one, index) => filled(one, others[index] ?? null, {}, defaults, false));
  }
  if (typeof approved !== "object" || approved === null) return approved;
  if (!hasChosenNames) return filledTable(approved, membersOf(file), blank, defaults);
  const members = Object.entries(approved).map(([name, one]) => {
    return [name, filled(one, membersOf(file)[name] ?? null, {}, defaults, false)];
  });
  return Object.fromEntries(members);
}

function laterKeys(approved: Fields, file: Fields, blank: Fields, defaults: () => Defaults) {
  return Object.entries(file).flatMap(([key, value]) => {
    if (Object.hasOwn(approved, key) || key === ROUTES) return [];
    const all = [blank[key] ?? null, ...(defaults().get(key) ?? [])].filter((one) => one !== null);
    const [first] = all;
    return first === undefined ? [] : [[key, all.find((one) => isSameMeaning(one, value)) ?? first] as const];
  });
}
