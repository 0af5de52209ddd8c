// The meaning of an edit: the file's values after it, whatever their notation. An edited text is right when it parses
// to these values.
import { type ErrorCode, MountaineerError } from "../../runtime/errors.ts";
import { type KeyPath, namesHint, pathText, quoted } from "../values/mistakes.ts";
import { nameKey } from "../values/names.ts";
import { define, emptyTable, isTable, type Table, valueAt } from "../values/table.ts";
import { type ConfigTable, type ConfigValue, keyName } from "./edit-value.ts";

/**
 * A requested change. A share or alias is addressed by its name or its index: `["shares", "CORE", "driver"]`.
 */
export type ConfigEdit =
  | { readonly kind: "set"; readonly keyPath: KeyPath; readonly value: ConfigValue }
  /** Removes a key or a whole section; does nothing if it is absent. */
  | { readonly kind: "unset"; readonly keyPath: KeyPath }
  | { readonly kind: "add"; readonly list: NamedList; readonly entry: ConfigTable }
  /** `backend` contains the keys of the backend, including its tables. */
  | { readonly kind: "add-backend"; readonly name: string; readonly backend: ConfigTable }
  | { readonly kind: "remove"; readonly list: NamedList | "backends"; readonly name: string };

/** An edit with every member of a list addressed by its index. */
export type EditStep =
  | { readonly kind: "set"; readonly path: KeyPath; readonly value: ConfigValue }
  | { readonly kind: "remove"; readonly path: KeyPath }
  | { readonly kind: "append"; readonly path: KeyPath; readonly value: ConfigTable }
  | { readonly kind: "add-table"; readonly path: KeyPath; readonly value: ConfigTable };

/** A copy of the table with the value under `key`; undefined removes the key. */
function withKey(table: Table, key: string, value: unknown): Table {
  const copy = emptyTable();
  for (const [name, part] of Object.entries(table)) {
    if (name !== key || value !== undefined) define(copy, name, part);
  }
  if (value !== undefined) define(copy, key, value);
  return copy;
}

/** The lists of tables that are addressed by their names. */
const LISTS = {
  shares: { path: ["shares"], noun: "share", unknown: "share_unknown" },
  aliases: { path: ["aliases"], noun: "alias", unknown: "alias_unknown" },
  users: { path: ["incoming_auth", "users"], noun: "user", unknown: "config_key_unknown" },
} as const;
export type NamedList = keyof typeof LISTS;

function namesIn(file: unknown, list: NamedList): (string | null)[] {
  const members = valueAt(file, LISTS[list].path);
  if (!Array.isArray(members)) return [];
  return members.map((member) => {
    const name = valueAt(member, ["name"]);
    return typeof name === "string" ? name : null;
  });
}

function indexIn(file: unknown, list: NamedList, name: string): number {
  const { noun, unknown } = LISTS[list];
  const names = namesIn(file, list);
  const matches = names.flatMap((known, index) =>
    known !== null && nameKey(known) === nameKey(name) ? [index] : [],
  );
  const [first] = matches;
  if (first === undefined) {
    const known = names.filter((candidate) => candidate !== null);
    const hint = namesHint(name, known, `the configuration has no ${list}`);
    throw new MountaineerError(unknown, `no ${noun} is called ${quoted(name)}`, { hint });
  }
  if (matches.length > 1) {
    throw new MountaineerError("config_uneditable", `two ${list} are called ${quoted(name)}`, {
      hint: "rename one of them in an editor",
    });
  }
  return first;
}

/**
 * The path with the name of a share, alias or user replaced by its index. Rejects with `share_unknown`,
 * `alias_unknown`, `config_key_unknown` (the list has no such user or index) and `config_uneditable` (two
 * members of the list have the name).
 */
export function indexedPath(file: unknown, keyPath: KeyPath): KeyPath {
  const [section, second, third, ...rest] = keyPath;
  if ((section === "shares" || section === "aliases") && second !== undefined) {
    if (typeof second === "string") return [section, indexIn(file, section, second), ...keyPath.slice(2)];
    assertIndex(file, [section], second, LISTS[section].unknown);
    return keyPath;
  }
  if (third === undefined || second === undefined) return keyPath;
  if (section === "incoming_auth" && second === "users" && typeof third === "string")
    return [section, second, indexIn(file, "users", third), ...rest];
  if (typeof third === "number") assertIndex(file, [section ?? "", second], third, "config_key_unknown");
  return keyPath;
}

function assertIndex(file: unknown, list: KeyPath, index: number, unknown: ErrorCode): void {
  const actual = valueAt(file, list);
  const count = Array.isArray(actual) ? actual.length : 0;
  if (Number.isInteger(index) && index >= 0 && index < count) return;
  const hint = count === 0 ? "there are none" : `the last of them is ${pathText([...list, count - 1])}`;
  throw new MountaineerError(unknown, `there is no ${pathText([...list, index])}`, { hint });
}

function backendPath(file: unknown, name: string): KeyPath {
  const backends = valueAt(file, ["backends"]);
  const known = isTable(backends) ? Object.keys(backends) : [];
  if (known.includes(name)) return ["backends", name];
  const hint = namesHint(name, known, "the configuration has no servers");
  throw new MountaineerError("backend_unknown", `no server is called ${quoted(name)}`, { hint });
}

function newBackendPath(file: unknown, name: string): KeyPath {
  const path = ["backends", name];
  if (valueAt(file, path) === undefined) return path;
  throw new MountaineerError("usage", `there is a server called ${quoted(name)}`, {
    hint: "choose another name, or remove that one first",
  });
}

/** The step that makes an edit. `file`: the present values of the text. */
export function editStep(file: unknown, edit: ConfigEdit): EditStep {
  switch (edit.kind) {
    case "set":
      return { kind: "set", path: indexedPath(file, edit.keyPath), value: edit.value };
    case "unset":
      return { kind: "remove", path: indexedPath(file, edit.keyPath) };
    case "add":
      return { kind: "append", path: LISTS[edit.list].path, value: edit.entry };
    case "add-backend":
      return { kind: "add-table", path: newBackendPath(file, edit.name), value: edit.backend };
    case "remove": {
      const { list, name } = edit;
      const path =
        list === "backends" ? backendPath(file, name) : [...LISTS[list].path, indexIn(file, list, name)];
      return { kind: "remove", path };
    }
  }
}

function notATable(path: KeyPath): MountaineerError {
  return new MountaineerError("config_uneditable", `${keyName(path)} is not a table, so it has no keys`);
}

function changed(value: unknown, step: EditStep, depth: number): unknown {
  const segment = step.path[depth];
  if (segment === undefined) {
    if (step.kind === "set" || step.kind === "add-table") return step.value;
    if (step.kind === "append") {
      const list = value ?? [];
      if (!Array.isArray(list))
        throw new MountaineerError("config_uneditable", `${keyName(step.path)} is not a list`);
      return [...list, step.value];
    }
    return undefined;
  }
  if (typeof segment === "number") {
    if (!Array.isArray(value) || segment >= value.length) throw notATable(step.path.slice(0, depth));
    const member = changed(value[segment], step, depth + 1);
    return value.toSpliced(segment, 1, ...(member === undefined ? [] : [member]));
  }
  const table = value === undefined || value === null ? emptyTable() : value;
  if (!isTable(table)) throw notATable(step.path.slice(0, depth));
  return withKey(table, segment, changed(valueAt(table, [segment]), step, depth + 1));
}

/**
 * The values after the step. Rejects with `config_uneditable` when the path leads through something that is not a
 * table.
 */
export function meantBy(file: unknown, step: EditStep): unknown {
  return changed(file, step, 0);
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isTable(value) && Object.keys(value).length === 0;
}

/** The value without null and empty tables along `path`, so that these compare equal to absent ones. */
function withoutEmpties(value: unknown, path: KeyPath): unknown {
  const [segment, ...rest] = path;
  if (segment === undefined || rest.length === 0) return value;
  if (typeof segment === "number") {
    if (!Array.isArray(value) || segment >= value.length) return value;
    return value.toSpliced(segment, 1, withoutEmpties(value[segment], rest) ?? emptyTable());
  }
  if (!isTable(value)) return value ?? undefined;
  const inner = withoutEmpties(valueAt(value, [segment]), rest);
  return withKey(value, segment, isEmpty(inner) ? undefined : inner);
}

/** The path of the first place where two values differ; null when they are equal. */
export function firstDifference(one: unknown, other: unknown, path: KeyPath = []): KeyPath | null {
  // `===` treats -0 as 0, as both formats write it; `Object.is` treats NaN as equal to itself.
  if (one === other || Object.is(one, other)) return null;
  if (one instanceof Date && other instanceof Date) {
    return one.toISOString() === other.toISOString() ? null : path;
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
      const at = [...path, index];
      if (index >= one.length || index >= other.length) return at;
      const difference = firstDifference(one[index], other[index], at);
      if (difference !== null) return difference;
    }
    return null;
  }
  if (!isTable(one) || !isTable(other)) return path;
  for (const key of new Set([...Object.keys(one), ...Object.keys(other)])) {
    const at = [...path, key];
    if (!Object.hasOwn(one, key) || !Object.hasOwn(other, key)) return at;
    const difference = firstDifference(one[key], other[key], at);
    if (difference !== null) return difference;
  }
  return null;
}

/**
 * Returns the path of the first difference between `actual` (the values of the edited text) and `meant` (the values
 * that the step intends); null if there is none.
 */
export function difference(actual: unknown, meant: unknown, step: EditStep): KeyPath | null {
  const path = step.kind === "append" ? [...step.path, 0] : step.path;
  return firstDifference(withoutEmpties(actual, path), withoutEmpties(meant, path));
}
