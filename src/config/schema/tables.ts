// Declares the tables of the configuration: the keys and tables of each, and its documentation.
import { describeValue, type KeyPath } from "../values/mistakes.ts";
import type { TextReading } from "../values/names.ts";
import { define, isTable } from "../values/table.ts";
import type { Issue, Key, Node, OutOf } from "./schema-keys.ts";
import type { JsonSchema } from "./value-types.ts";

/** The documentation of a table, or of each table of a list. */
interface TableText {
  readonly meaning: string;
  /** The effective configuration shows the table only if the file has it. */
  readonly isOptional: boolean;
}

export type Members = Readonly<Record<string, Place>>;

export interface Table<Out, M extends Members = Members> extends Node<Out>, TableText {
  readonly kind: "table";
  readonly keys: M;
}

/** A table whose keys are names that people choose. All these keys have the same meaning. */
interface OpenTable<Out> extends Node<Out>, TableText {
  readonly kind: "open";
  readonly key: Key<unknown>;
}

/** A list of tables, or tables under names that people choose. */
interface TablesOf<Kind, Out, M extends Members = Members> extends Node<Out> {
  readonly kind: Kind;
  /** The plural for people: `shares`. */
  readonly noun: string;
  readonly table: Table<unknown, M>;
}

export type Place = Key<unknown> | Table<unknown> | OpenTable<unknown> | TablesOf<"list" | "named", unknown>;

type OutOfMembers<M extends Members> = { readonly [Name in keyof M]: OutOf<M[Name]> };

export function table<M extends Members>(
  meaning: string,
  keys: M,
  isOptional = false,
): Table<OutOfMembers<M>, M> {
  return {
    meaning,
    isOptional,
    kind: "table",
    isRequired: false,
    keys,
    json() {
      const names = Object.keys(keys).filter((name) => keys[name]?.isRequired);
      return {
        type: "object",
        properties: Object.fromEntries(Object.entries(keys).map(([name, place]) => [name, place.json()])),
        ...(names.length === 0 ? {} : { required: names }),
        additionalProperties: false,
      };
    },
    read(written = {}, path, issues) {
      const read = {};
      if (!isTable(written)) issues.push({ kind: "section", path });
      else {
        for (const [name, place] of Object.entries(keys)) {
          const value = Object.hasOwn(written, name) ? written[name] : undefined;
          define(read, name, place.read(value, [...path, name], issues));
        }
        for (const key of Object.keys(written)) {
          if (!Object.hasOwn(keys, key)) issues.push({ kind: "unknown", path, key });
        }
      }
      // Each key was read by its own declaration, so without an issue all values have their types.
      return read as OutOfMembers<M>;
    },
  };
}

/** A table as from `table`, but shown in the effective configuration only if the file has it. */
export function optionalTable<M extends Members>(meaning: string, keys: M): Table<OutOfMembers<M>, M> {
  return table(meaning, keys, true);
}

/** Turns a table into one that is read as undefined if it is absent. */
export function orAbsent<P extends Table<unknown> | OpenTable<unknown>>(
  place: P,
): Omit<P, "read"> & Pick<Node<OutOf<P> | undefined>, "read"> {
  const { read, ...others } = place;
  return {
    ...others,
    isOptional: true,
    read: (written, path, issues) =>
      // The assertion holds: `read` is the reader of `place`.
      written === undefined ? undefined : (read(written, path, issues) as OutOf<P>),
  };
}

/** `[[NAME]]`; an absent list counts as empty. */
export function listOf<Out, M extends Members>(
  noun: string,
  one: Table<Out, M>,
): TablesOf<"list", readonly Out[], M> {
  return {
    kind: "list",
    noun,
    table: one,
    isRequired: false,
    json: () => ({ type: "array", items: one.json() }),
    read(written = [], path, issues) {
      if (Array.isArray(written)) {
        return written.map((value: unknown, index) => one.read(value ?? null, [...path, index], issues));
      }
      issues.push({ kind: "section", path });
      return [];
    },
  };
}

type NameReader = (name: string) => TextReading;
/** A pattern for the JSON Schema, by which editors check the file; `NameReader` checks more. */
type NamePattern = { readonly pattern?: string };

function readNamed<Out>(
  written: unknown,
  path: KeyPath,
  issues: Issue[],
  readName: NameReader,
  member: Node<Out>,
): Readonly<Record<string, Out>> {
  const read = {};
  if (!isTable(written)) issues.push({ kind: "section", path });
  else {
    for (const [name, value] of Object.entries(written)) {
      const at = [...path, name];
      const reading = readName(name);
      if (reading.ok && name !== "__proto__") define(read, name, member.read(value, at, issues));
      else issues.push({ kind: "detail", path: at, at: "key", detail: wrongName(name, reading) });
    }
  }
  return read;
}

function wrongName(name: string, reading: TextReading) {
  // A member called `__proto__` would be lost whenever an object is copied.
  if (name === "__proto__" || reading.ok)
    return { found: "a name that is taken", expected: "another name", hint: null };
  return { found: describeValue(name), expected: reading.expected, hint: reading.hint };
}

function namedJson({ pattern }: NamePattern, member: Node<unknown>): JsonSchema {
  const propertyNames = { ...(pattern === undefined ? {} : { pattern }), type: "string" };
  return { type: "object", propertyNames, additionalProperties: member.json() };
}

/** `[NAME.*]`: tables under names that people choose; absent ones count as empty. */
export function named<Out, M extends Members>(
  noun: string,
  readName: NameReader,
  one: Table<Out, M>,
  pattern: NamePattern = {},
): TablesOf<"named", Readonly<Record<string, Out>>, M> {
  return {
    kind: "named",
    noun,
    table: one,
    isRequired: false,
    json: () => namedJson(pattern, one),
    read: (written = {}, path, issues) => readNamed(written, path, issues, readName, one),
  };
}

export function open<Out>(
  meaning: string,
  readName: NameReader,
  key: Key<Out>,
  pattern: NamePattern = {},
): OpenTable<Readonly<Record<string, Out>>> {
  return {
    meaning,
    isOptional: true,
    kind: "open",
    isRequired: false,
    key,
    json: () => namedJson(pattern, key),
    read: (written = {}, path, issues) => readNamed(written, path, issues, readName, key),
  };
}
