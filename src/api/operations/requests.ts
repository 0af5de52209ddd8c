// Reads the bodies of requests to the management API. Unknown fields are refused, so that no option is ignored silently.
import { MountaineerError } from "../../runtime/errors.ts";
import {
  choice,
  type Fields,
  nullable,
  record,
  type Shape,
  strictObject,
  type TypeOf,
  union,
  wellFormedText,
} from "../../runtime/shape.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { isObject } from "../../runtime/text/json-object.ts";

const addedList = choice("shares", "aliases", "users");
const removedFrom = choice("shares", "aliases", "users", "backends");

export const configEdit = union(
  /** `value`: TOML, or else a plain string; null unsets the key. */
  strictObject({ key: wellFormedText, value: nullable(wellFormedText) }),
  /** Adds a block to the list `add`. */
  strictObject({ add: addedList, entry: record(wellFormedText) }),
  /** Removes the block of this name. */
  strictObject({ remove: removedFrom, name: wellFormedText }),
);
export type ConfigEditWire = TypeOf<typeof configEdit>;

export interface RequestShape<Input> extends Shape<Input> {
  readonly fields: Fields;
}

/** A body that was parsed before it is read. */
export interface ParsedBody {
  readonly value: unknown;
}

/** Reads a body; an empty body is `{}`. Returns null if `shape` is null. Throws `protocol`, naming the wrong field. */
export function readRequest<Input>(body: string | ParsedBody, shape: RequestShape<Input> | null): Input {
  // `Input` is null for an operation without a shape.
  if (shape === null) return null as Input;
  const { fields } = shape;
  const given = parseBody(body);
  for (const [name, value] of Object.entries(given)) {
    const shape = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (shape === undefined)
      throw wrongBody(`the body has a field that is not known here: ${name.slice(0, 64)}`);
    if (shape.faultIn(value) !== null) throw wrongBody(`${name} is not ${shape.expected}`);
  }
  for (const [name, shape] of Object.entries(fields)) {
    if (!("optional" in shape) && !Object.hasOwn(given, name))
      throw wrongBody(`the body lacks ${name}: ${shape.expected}`);
  }
  // All fields were checked, and none is missing.
  return given as Input;
}

function parseBody(body: string | ParsedBody): object {
  const value = typeof body === "string" ? parsed(body) : body.value;
  if (!isObject(value)) throw wrongBody("the body is not a JSON object");
  return value;
}

function parsed(body: string): unknown {
  if (body.trim() === "") return {};
  try {
    return parseExactly(body);
  } catch {
    throw wrongBody("the body is not JSON");
  }
}

export function wrongBody(message: string): MountaineerError {
  return new MountaineerError("protocol", message);
}
