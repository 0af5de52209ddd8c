// The keys of a table in the engine's form: camelCase, milliseconds, bytes, absolute paths; null for what the file does
// not say.
import type { Approval, EntryKind, Key, OutOf } from "./schema-keys.ts";
import type { Members, Place } from "./tables.ts";

type Camel<Name> = Name extends `${infer Word}_${infer Rest}` ? `${Word}${Capitalize<Camel<Rest>>}` : Name;
type Without<End extends string, Name> = Name extends `${infer Start}${End}` ? Start : Name;

/** The engine's name of the key `Name`. */
type SettledName<Name, Of> =
  Of extends Key<unknown, "seconds">
    ? `${Camel<Without<"_secs", Name>> & string}Ms`
    : Of extends Key<unknown, "MiB">
      ? `${Camel<Without<"_mb", Name>> & string}Bytes`
      : Of extends Key<unknown>
        ? Camel<Name>
        : never;

type OrNull<Value> = undefined extends Value ? Exclude<Value, undefined> | null : Value;

/** The keys, without the tables, of a table with the members `M`. */
export type Settled<M extends Members> = {
  readonly [Name in keyof M as SettledName<Name, M[Name]> & string]: OrNull<OutOf<M[Name]>>;
};

const SECOND_MS = 1000;
const MEBIBYTE = 1024 * 1024;

/** How many of the engine's units make one of the file's. */
export function unitSize({ doc }: Key<unknown>): number {
  return doc.unit === "seconds" ? SECOND_MS : doc.unit === "MiB" ? MEBIBYTE : 1;
}

export function camelCase(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** The same names as in the type. */
export function settledName(name: string, place: Place): string {
  const unit = place.kind === "key" ? place.doc.unit : null;
  if (unit === "seconds") return `${camelCase(name.replace(/_secs$/, ""))}Ms`;
  return unit === "MiB" ? `${camelCase(name.replace(/_mb$/, ""))}Bytes` : camelCase(name);
}

/** The keys alone of a table's members. */
export function keysIn(members: Members): readonly (readonly [name: string, key: Key<unknown>])[] {
  return Object.entries(members).flatMap(([name, place]) => (place.kind === "key" ? [[name, place]] : []));
}

function settledValue(key: Key<unknown>, value: unknown, userHome: string): unknown {
  if (value === undefined) return null;
  const size = unitSize(key);
  if (typeof value === "number" && size !== 1) return Math.round(value * size);
  return key.settle === undefined ? value : key.settle(value, userHome);
}

/** The keys of a table in the engine's form. */
export function settled<M extends Members>(
  members: M,
  table: { readonly [Name in keyof M]: OutOf<M[Name]> },
  userHome: string,
): Settled<M> {
  const entries = keysIn(members).map(([name, key]) => [
    settledName(name, key),
    settledValue(key, table[name], userHome),
  ]);
  // The type has the same names, and each value was read by its own key.
  return Object.fromEntries(entries) as Settled<M>;
}

const SERIOUSNESS = ["runs", "approval", "sends", "access", "guards"] as const;

/** The most serious of some kinds. */
export function mostSerious(kinds: readonly Approval[]): EntryKind | null {
  return SERIOUSNESS.find((kind) => kinds.includes(kind)) ?? null;
}

/** What a change at a place decides: of a table, the most serious of its keys. */
export function approvalOf(place: Place): Approval {
  switch (place.kind) {
    case "key":
      return place.doc.approval;
    case "open":
      return place.key.doc.approval;
    case "list":
    case "named":
      return approvalOf(place.table);
    case "table":
      return mostSerious(Object.values(place.keys).map(approvalOf)) ?? "free";
  }
}

/** The same for each key and table, under the engine's names. */
export function approvalsIn(members: Members): Readonly<Record<string, Approval>> {
  return Object.fromEntries(
    Object.entries(members).map(([name, place]) => [settledName(name, place), approvalOf(place)]),
  );
}
