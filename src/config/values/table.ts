// Tables as parsers give them: objects with any key, which may be `__proto__`.
import type { KeyPath } from "./mistakes.ts";

export type Table = Record<string, unknown>;

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

export function emptyTable(): Table {
  return Object.create(null);
}

/** Sets a member of the table. An assignment to `__proto__` would replace the prototype instead. */
export function define(table: object, key: string | number, value: unknown): void {
  Object.defineProperty(table, key, { value, enumerable: true, configurable: true, writable: true });
}

function child(value: unknown, segment: string | number): unknown {
  if (typeof segment === "number") return Array.isArray(value) ? value[segment] : undefined;
  return isTable(value) && Object.hasOwn(value, segment) ? value[segment] : undefined;
}

/** The value at `path`; undefined if there is none. */
export function valueAt(file: unknown, path: KeyPath): unknown {
  return path.reduce(child, file);
}
