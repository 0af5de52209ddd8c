// The types of single values: how each is read, described and shown. No schema library, because the daemon also loads
// this file.
import { SECRET_NAME } from "../../runtime/text/name-forms.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { parseReference, REFERENCE_FORMS, type SecretReference } from "../../secrets/reference.ts";
import { parseGlob, parseLabel, parseServerUrl, URL_EXPECTED } from "../values/backend-values.ts";
import { foreignReference } from "../values/foreign-reference.ts";
import { HOST_EXPECTED, parseHost } from "../values/host.ts";
import type { HostAddress } from "../values/host-text.ts";
import { describeKind, describeValue, type IssueDetail, type KeyPath } from "../values/mistakes.ts";
import { parseInterfaceName, type WrongText } from "../values/names.ts";
import { expandPath, PATH_EXPECTED, parsePath } from "../values/paths.ts";
import { parseSecretText } from "../values/secret-text.ts";
import { isTable } from "../values/table.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * How a value may be shown: `plain` as it is; `reference` only if it refers to a secret; `secret text` only
 * its references; `address`, `program` and `arguments` without parts that look like a secret.
 */
export type Shown = "plain" | "reference" | "secret text" | "address" | "program" | "arguments";

/** Reports an error; null: the value is of the wrong kind, or out of its limits. */
type Refuse = (detail: IssueDetail | null, at: KeyPath) => undefined;

export interface Value<Out> {
  /** The type's name in the documentation, unless a key has its own. */
  readonly type: string;
  readonly expected: string;
  readonly choices: readonly string[] | null;
  readonly shown: Shown;
  readonly json: JsonSchema;
  /** Converts a value for the engine; absent: no conversion. */
  normalize?(value: unknown, userHome: string): unknown;
  /** Returns the value that was read; undefined if `refuse` was called. */
  read(value: unknown, refuse: Refuse, at?: KeyPath): Out | undefined;
}

type Reading<Out> = { readonly ok: true; readonly value: Out } | WrongText;

interface TextLook {
  readonly type?: string;
  readonly expected?: string;
  readonly describe?: (text: string) => string;
}

export function text<Out = string>(
  shown: Shown,
  read: (text: string) => Reading<Out>,
  { type = "text", expected = "a text in quotes", describe = describeValue }: TextLook = {},
): Value<Out> {
  return {
    type,
    expected,
    choices: null,
    shown,
    json: { type: "string" },
    read(value, refuse, at = []) {
      if (typeof value !== "string") return refuse(null, at);
      const reading = read(value);
      if (reading.ok) return reading.value;
      const { found = describe(value), expected: wanted, hint } = reading;
      return refuse({ found, expected: wanted, hint }, at);
    },
  };
}

export function number(min: number, max: number, isWhole: boolean, unit: string | null): Value<number> {
  const type = isWhole ? "whole number" : "number";
  return {
    type,
    expected: `a ${type}${unit === null ? "" : ` of ${unit}`} from ${min} to ${max}`,
    choices: null,
    shown: "plain",
    json: { type: isWhole ? "integer" : "number", minimum: min, maximum: max },
    read(value, refuse, at = []) {
      const isRight = typeof value === "number" && value >= min && value <= max;
      if (isRight && (!isWhole || Number.isSafeInteger(value))) return value;
      return refuse(null, at);
    },
  };
}

/** A number, or `false`: off. */
export function orOff(value: Value<number>): Value<number | false> {
  return orNone(value);
}

/** A value, or `false`: none. */
export function orNone<Out>(value: Value<Out>): Value<Out | false> {
  return {
    ...value,
    type: `${value.type} or false`,
    expected: `${value.expected}, or false`,
    json: { anyOf: [value.json, { const: false }] },
    read: (written, refuse, at = []) => (written === false ? false : value.read(written, refuse, at)),
  };
}

export const toggle: Value<boolean> = {
  type: "true or false",
  expected: "true or false",
  choices: null,
  shown: "plain",
  json: { type: "boolean" },
  read: (value, refuse, at = []) => (typeof value === "boolean" ? value : refuse(null, at)),
};

/** A value as JSON has it. */
export type Literal = string | number | boolean | readonly Literal[] | { readonly [name: string]: Literal };

const MOST_LEVELS = 16;

/** A value that is used as it is written, with all that is in it. */
export const literal: Value<Literal> = {
  type: "text, number, boolean, list or table",
  expected: "a text, number, boolean, list or table",
  choices: null,
  shown: "plain",
  json: {},
  read(value, refuse) {
    const found = literalFault(value, 0);
    if (found === "") return refuse(null, []);
    // As clients' values are, to be equal to them. The assertion holds: all that it contains was checked.
    if (found === null) return parseJson(JSON.stringify(value)) as Literal;
    return refuse({ found, expected: "the value itself", hint: null }, []);
  },
};

/** What the value has that no literal may have; empty: a value of another type. */
function literalFault(value: unknown, level: number): string | null {
  if (typeof value === "string") return foreignReference(value) ?? (isPlain(value) ? null : "a reference");
  if (typeof value === "boolean") return null;
  if (typeof value === "bigint" || (Number.isInteger(value) && !Number.isSafeInteger(value)))
    return "a number of too many digits";
  if (typeof value === "number") return Number.isFinite(value) ? null : "";
  if (level === MOST_LEVELS || (!Array.isArray(value) && !isTable(value))) return "";
  const faults = Object.values(value).map((part: unknown) => literalFault(part, level + 1));
  return faults.find((fault) => fault !== null) ?? null;
}

function isPlain(text: string): boolean {
  const reading = parseSecretText(text);
  return reading.ok && reading.value.every((part) => part === text);
}

export function choice<const Choice extends string>(choices: readonly Choice[]): Value<Choice> {
  const expected = `one of ${choices.map((one) => `"${one}"`).join(", ")}`;
  return {
    type: expected,
    expected,
    choices,
    shown: "plain",
    json: { type: "string", enum: choices },
    read: (value, refuse, at = []) => choices.find((one) => one === value) ?? refuse(null, at),
  };
}

/** Converts the members of a list and drops repeated ones. */
function normalizedList(
  normalize: NonNullable<Value<unknown>["normalize"]>,
): NonNullable<Value<unknown>["normalize"]> {
  return (values, userHome) =>
    Array.isArray(values) ? [...new Set(values.map((value: unknown) => normalize(value, userHome)))] : values;
}

/** A list. By default it has the same `shown` as its members. */
export function list<Out>(
  member: Value<Out>,
  {
    type = "list of texts",
    expected = 'a list of texts, such as `["one", "two"]`',
    fewest = 0,
    shown = member.shown,
  } = {},
): Value<readonly Out[]> {
  return {
    type,
    expected,
    choices: null,
    shown,
    json: { ...(fewest === 0 ? {} : { minItems: fewest }), type: "array", items: member.json },
    ...(member.normalize === undefined ? {} : { normalize: normalizedList(member.normalize) }),
    read(value, refuse, at = []) {
      if (!Array.isArray(value) || value.length < fewest) return refuse(null, at);
      const members = value.map((one: unknown, index) => member.read(one, refuse, [...at, index]));
      return members.filter((one) => one !== undefined);
    },
  };
}

const WORKING_FOLDER_EXPECTED = `${PATH_EXPECTED}, or \`"client"\``;

/** A path. The engine gets it as an absolute path. */
export const path: Value<string> = {
  ...text("plain", parsePath, { type: "path", expected: PATH_EXPECTED }),
  normalize: (value, userHome) => expandPath(String(value), userHome),
};

/** `cwd = "client"`: the folder in which the client works. */
export const CLIENT_FOLDER = "client";

/** The folder of the backend's plugin or bundle, or one in it. */
const IN_PACKAGE = /^\$\{package\}(?:\/(?!\.\.(?:\/|$))[^/]*)*$/;

/** The folder in which a program starts: a path, or the client's own. */
export const workingFolder: Value<string> = {
  ...text(
    "plain",
    (written) => {
      const isKnown = written === CLIENT_FOLDER || IN_PACKAGE.test(written);
      const reading = isKnown ? ({ ok: true, value: written } as const) : parsePath(written);
      return reading.ok ? reading : { ...reading, expected: WORKING_FOLDER_EXPECTED };
    },
    { type: "path", expected: WORKING_FOLDER_EXPECTED },
  ),
  normalize: (value, userHome) =>
    value === CLIENT_FOLDER || IN_PACKAGE.test(String(value)) ? value : expandPath(String(value), userHome),
};

export const host = text<HostAddress>(
  "plain",
  (written) => {
    const reading = parseHost(written);
    return reading.ok ? { ok: true, value: reading.address } : { ...reading, expected: HOST_EXPECTED };
  },
  { type: "host", expected: HOST_EXPECTED },
);

export const networkInterface = text("plain", parseInterfaceName, {
  type: "interface",
  expected: "the name of a network interface, such as `en5` or `eth0`",
});

function referenceHint(written: string): string {
  if (written.startsWith("secret:")) return `a secret's name is ${SECRET_NAME.expected}`;
  if (written.includes("$"))
    return "the whole value is one reference: a name of letters, digits and `_`, in braces after `$`";
  return "no secrets in config: `mountaineer secret set NAME` keeps it, `secret:NAME` stands for it here";
}

/** `${VARIABLE}` or `secret:NAME`, and nothing else. A message never quotes the text, which may well be a password. */
export const reference = text<SecretReference>(
  "reference",
  (written) => {
    const value = parseReference(written);
    if (value !== null) return { ok: true, value };
    return { ok: false, expected: REFERENCE_FORMS, hint: referenceHint(written) };
  },
  { type: "reference", expected: REFERENCE_FORMS, describe: describeKind },
);

/**
 * A text that may contain references to secrets. Messages about errors never show the text, as most of them are
 * secrets.
 */
export function secretText(
  isAllowed: (text: string) => boolean,
  expected: string,
): Value<readonly (string | SecretReference)[]> {
  return text(
    "secret text",
    (written): Reading<readonly (string | SecretReference)[]> => {
      const reading = parseSecretText(written);
      const found = foreignReference(written) ?? "`${` without a name and `}`";
      if (!reading.ok) return { ...reading, found };
      if (isAllowed(written)) return reading;
      return { ok: false, expected: "a text without control characters", hint: null };
    },
    { expected, describe: describeKind },
  );
}

export const url = text("address", parseServerUrl, {
  type: "address",
  expected: URL_EXPECTED,
  describe: describeKind,
});

export const label = text("plain", parseLabel);

export const globs = list(text("plain", parseGlob), { type: "list of patterns" });
