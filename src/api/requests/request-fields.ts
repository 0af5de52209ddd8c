// Owns the reading of a request body field by field, without a schema library.
import { parseBodyObject, wrongBody } from "./request-body.ts";

/** What a field's value must be. */
export interface Field<T> {
  readonly holds: (value: unknown) => value is T;
  /** For people: "true or false". */
  readonly expected: string;
}

type Reading<T> = { readonly [Key in keyof T]-?: Field<Exclude<T[Key], undefined>> };

export const flag: Field<boolean> = {
  holds: (value) => typeof value === "boolean",
  expected: "true or false",
};
export const text: Field<string> = {
  // Half a character would reach the file as another one.
  holds: (value): value is string => typeof value === "string" && value.isWellFormed(),
  expected: "a text",
};

/**
 * Reads a body that may have the fields of `reading` and no other, and has those that are `required`; an empty one is
 * `{}`. Throws `protocol`, naming the field that is wrong.
 */
export function readFields<T extends object>(
  body: string,
  reading: Reading<T>,
  required: readonly (keyof T & string)[],
): T {
  const given = parseBodyObject(body);
  for (const [name, value] of Object.entries(given)) {
    if (!isFieldOf(name, reading))
      throw wrongBody(`the body has a field that is not known here: ${name.slice(0, 64)}`);
    if (!reading[name].holds(value)) throw wrongBody(`${name} is not ${reading[name].expected}`);
  }
  for (const name of required) {
    if (!Object.hasOwn(given, name)) throw wrongBody(`the body lacks ${name}: ${reading[name].expected}`);
  }
  // Every field was looked at, and none is missing.
  return given as T;
}

function isFieldOf<T extends object>(name: string, reading: Reading<T>): name is keyof T & string {
  return Object.hasOwn(reading, name);
}
