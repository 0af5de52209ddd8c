// Tables in the engine's form: camelCase, milliseconds, bytes, absolute paths; null for an absent value.

import { isTable } from "../values/table.ts";
import type { Approval, EntryKind, Key, OutOf } from "./schema-keys.ts";
import type { Members, Place } from "./tables.ts";

type Camel<Name> = Name extends `${infer Part}_${infer Rest}` ? `${Part}${Capitalize<Camel<Rest>>}` : Name;
type Without<End extends string, Name> = Name extends `${infer Start}${End}` ? Start : Name;

/** The engine's name of the file's key `Name`: in camelCase, and with the engine's unit. */
type EngineName<Name, Of> =
  Of extends Key<unknown, "seconds">
    ? `${Camel<Without<"_secs", Name>> & string}Ms`
    : Of extends Key<unknown, "MiB">
      ? `${Camel<Without<"_mb", Name>> & string}Bytes`
      : Camel<Name>;

/** The engine's type for a key or table of the file. */
type EngineValue<P> =
  P extends Key<unknown>
    ? Exclude<OutOf<P>, undefined>
    : P extends { readonly kind: "table"; readonly keys: infer M extends Members }
      ? Normalized<M>
      : P extends { readonly kind: "list"; readonly table: { readonly keys: infer M extends Members } }
        ? readonly Normalized<M>[]
        : P extends { readonly kind: "named"; readonly table: { readonly keys: infer M extends Members } }
          ? Readonly<Record<string, Normalized<M>>>
          : P extends Place
            ? Exclude<OutOf<P>, undefined>
            : never;

/** A table with the members `M`, under the names and in the units that the engine uses. */
export type Normalized<M extends Members> = {
  readonly [Name in keyof M as EngineName<Name, M[Name]> & string]:
    | EngineValue<M[Name]>
    | (undefined extends OutOf<M[Name]> ? null : never);
};

const SECOND_MS = 1000;
const MEBIBYTE = 1024 * 1024;

/** The size of the file's unit in units of the engine, such as 1000 (ms) for seconds. */
export function unitSize({ doc }: Key<unknown>): number {
  return doc.unit === "seconds" ? SECOND_MS : doc.unit === "MiB" ? MEBIBYTE : 1;
}

export function camelCase(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Returns the name that a key or table has in the type `EngineName`. */
export function normalizedName(name: string, place: Place): string {
  const unit = place.kind === "key" ? place.doc.unit : null;
  if (unit === "seconds") return `${camelCase(name.replace(/_secs$/, ""))}Ms`;
  return unit === "MiB" ? `${camelCase(name.replace(/_mb$/, ""))}Bytes` : camelCase(name);
}

function normalizedValue(place: Place, value: unknown, userHome: string): unknown {
  if (value === undefined) return null;
  switch (place.kind) {
    case "key": {
      const size = unitSize(place);
      if (typeof value === "number" && size !== 1) return Math.round(value * size);
      return place.normalize === undefined ? value : place.normalize(value, userHome);
    }
    case "table":
      return normalizedTable(place.keys, value, userHome);
    case "list":
      return Array.isArray(value) ? value.map((one) => normalizedValue(place.table, one, userHome)) : value;
    case "named":
    case "open": {
      const inner = place.kind === "open" ? place.key : place.table;
      const members = Object.entries(asMembers(value));
      return Object.fromEntries(members.map(([name, one]) => [name, normalizedValue(inner, one, userHome)]));
    }
  }
}

function normalizedTable(members: Members, table: unknown, userHome: string): object {
  const values = asMembers(table);
  const entries = Object.entries(members).map(([name, place]) => [
    normalizedName(name, place),
    normalizedValue(place, values[name], userHome),
  ]);
  return Object.fromEntries(entries);
}

function asMembers(value: unknown): Readonly<Record<string, unknown>> {
  return isTable(value) ? value : {};
}

/** Converts a table, and all tables in it, to the engine's form. */
export function normalized<M extends Members>(
  members: M,
  table: { readonly [Name in keyof M]: OutOf<M[Name]> },
  userHome: string,
): Normalized<M> {
  // The assertion holds: `M` has the same names, and each value was read by the declaration of its name.
  return normalizedTable(members, table, userHome) as Normalized<M>;
}

/** The members of an empty table, in the engine's form. */
export function normalizedDefaults(members: Members, userHome: string): Readonly<Record<string, unknown>> {
  const empty = Object.entries(members).map(([name, place]) => [name, place.read(undefined, [], [])]);
  return { ...normalizedTable(members, Object.fromEntries(empty), userHome) };
}

const SERIOUSNESS = ["runs", "approval", "sends", "access", "guards"] as const;

/** null: no kind needs an approval. */
export function mostSerious(kinds: readonly Approval[]): EntryKind | null {
  return SERIOUSNESS.find((kind) => kinds.includes(kind)) ?? null;
}

/** The approval that a change of a key needs; for a table, the most serious approval that any of its keys needs. */
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

/** Returns the result of `approvalOf` for each key and table, under the name that the engine uses. */
export function approvalsIn(members: Members): Readonly<Record<string, Approval>> {
  return Object.fromEntries(
    Object.entries(members).map(([name, place]) => [normalizedName(name, place), approvalOf(place)]),
  );
}
