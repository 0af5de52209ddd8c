// The shapes of what requests to the management API carry, and how a request's body is read. They are strict: an option
// that the daemon does not know must not be ignored.
import { MountaineerError } from "../runtime/errors.ts";
import {
  choice,
  count,
  described,
  type Fields,
  flag,
  jsonObject,
  list,
  matching,
  nullable,
  optional,
  record,
  type Shape,
  strictObject,
  type TypeOf,
  text,
  union,
  wellFormedText,
} from "../runtime/shape.ts";
import { parseExactly } from "../runtime/text/exact-json.ts";
import { isObject } from "../runtime/text/json-object.ts";

/** Far more than a panel or a command edits at once. */
const MOST_EDITS = 1_000;

/** Absent or null means all of them. */
const names: Shape<readonly string[] | null> = described(
  "a list of names, or null for all",
  nullable(list(text)),
);
const sha256 = matching(/^[0-9a-f]{64}$/, "a SHA-256 in small hexadecimal digits");
/** A word that a log line and the history can show. */
const source = matching(/^[a-z][a-z0-9-]{0,31}$/, "a word of small letters");
const addedList = choice("shares", "aliases");
const removedFrom = choice("shares", "aliases", "backends");

/** As a person types it. */
export const ownerCodeRequest = strictObject({ code: text });
export const sharesRequest = strictObject({ shares: optional(names) });
/** `logon`: log in to each server once, too. */
export const verifyRequest = strictObject({ shares: optional(names), logon: optional(flag) });
export const unmountRequest = strictObject({ shares: optional(names), force: optional(flag) });
export const switchRequest = strictObject({
  shares: optional(names),
  to: choice("tb", "fallback", "auto"),
  force: optional(flag),
  wait: optional(flag),
});
export type SwitchTarget = TypeOf<typeof switchRequest>["to"];

export const unsentRequest = strictObject({
  /** Absent or null: all of them. */
  share: optional(nullable(text)),
  /** The id of the server that files wait for; needed where there are several. */
  server: optional(nullable(text)),
  what: choice("show", "send_here", "set_aside"),
});
export type UnsentRequest = TypeOf<typeof unsentRequest>;

export const foldersRequest = strictObject({
  share: text,
  /** From the share's root; absent or "" is the root itself. */
  subpath: optional(text),
});

export const callRequest = strictObject({
  tool: wellFormedText,
  /** Default {}. */
  arguments: optional(jsonObject),
});
export type CallRequest = TypeOf<typeof callRequest>;

/** By the names that clients use. */
export const switchToolsRequest = strictObject({ tools: list(text, MOST_EDITS), on: flag });

export const backendsRequest = strictObject({ backends: optional(names) });
export const backendRequest = strictObject({ backend: wellFormedText });

/** `to` is a route's name, or `auto`: as the rules say. */
export const backendSwitchRequest = strictObject({ backend: wellFormedText, to: wellFormedText });
export type BackendSwitchRequest = TypeOf<typeof backendSwitchRequest>;

/** `secrets`: only what refers to one that has another value now; the file is not read. */
export const reloadRequest = strictObject({ dry_run: optional(flag), secrets: optional(flag) });

/** One change of the configuration file. */
const configEdit = union(
  /** `value` is TOML, else taken as a string; null unsets the key. */
  strictObject({ key: wellFormedText, value: nullable(wellFormedText) }),
  /** A new block of that list, with its keys. */
  strictObject({ add: addedList, entry: record(wellFormedText) }),
  /** The block of that name. */
  strictObject({ remove: removedFrom, name: wellFormedText }),
);
export type ConfigEditWire = TypeOf<typeof configEdit>;

export const editRequest = strictObject({
  /** In order. */
  edits: described(
    `a list of at most ${MOST_EDITS} { key, value }, each value a text or null, { add, entry } or ` +
      "{ remove, name } of shares, aliases or backends",
    list(configEdit, MOST_EDITS),
  ),
  /** The content that was edited; another one underneath is refused. Absent: whatever is there. */
  expected_sha256: optional(sha256),
  /** Who edits: "cli", "tui", "api". */
  source,
});
export type EditRequest = TypeOf<typeof editRequest>;

/** Replaces the whole text, as an editor does. */
export const editTextRequest = strictObject({ text: wellFormedText, expected_sha256: sha256, source });

/** A whole text, as an editor has it. */
export const checkConfigRequest = strictObject({ text: wellFormedText });

export const rollbackRequest = strictObject({
  /** Default 1. */
  n: optional(count),
  /** Hash of the entry that was number `n` when listed; `config_changed` if `n` is another entry now. */
  sha256: optional(sha256),
  /** Of the file that was seen; `config_changed` when it is another one by now. */
  expected_sha256: optional(sha256),
});

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
