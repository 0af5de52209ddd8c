// The shapes of what requests to the management API carry, and how a request's body is read. They are strict: an option
// that the daemon does not know must not be ignored.
import { MountaineerError } from "../runtime/errors.ts";
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
} from "../runtime/shape.ts";
import { parseExactly } from "../runtime/text/exact-json.ts";
import { isObject } from "../runtime/text/json-object.ts";

const addedList = choice("shares", "aliases");
const removedFrom = choice("shares", "aliases", "backends");

/** One change of the configuration file. */
export const configEdit = union(
  /** `value` is TOML, else taken as a string; null unsets the key. */
  strictObject({ key: wellFormedText, value: nullable(wellFormedText) }),
  /** A new block of that list, with its keys. */
  strictObject({ add: addedList, entry: record(wellFormedText) }),
  /** The block of that name. */
  strictObject({ remove: removedFrom, name: wellFormedText }),
);
export type ConfigEditWire = TypeOf<typeof configEdit>;

export interface RequestShape<Input> extends Shape<Input> {
  readonly fields: Fields;
}

/** Reads a body; an empty one is `{}`. Without a shape it is null. Throws `protocol`, naming the field that is wrong. */
export function readRequest<Input>(body: string, shape: RequestShape<Input> | null): Input {
  // The input of an operation without a shape is declared as null.
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
  // Every field was looked at, and none is missing.
  return given as Input;
}

function parseBody(body: string): object {
  if (body.trim() === "") return {};
  let value: unknown;
  try {
    value = parseExactly(body);
  } catch {
    throw wrongBody("the body is not JSON");
  }
  if (!isObject(value)) throw wrongBody("the body is not a JSON object");
  return value;
}

function wrongBody(message: string): MountaineerError {
  return new MountaineerError("protocol", message);
}
