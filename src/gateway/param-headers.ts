// Arguments that clients of 2026-07-28 repeat in headers, so that proxies can route by them: finds their declarations in a
// tool's schema, and encodes the values.
import { valueOr } from "../runtime/errors.ts";
import { trimEnd } from "../runtime/text/trim-end.ts";
import { isJsonObject, type JsonObject } from "./json-rpc.ts";

export interface ParamHeader {
  /** The path of the argument through the schema's properties. */
  readonly path: readonly string[];
  /** The header's full name, such as `Mcp-Param-Region`. */
  readonly header: string;
  readonly type: "string" | "integer" | "boolean";
}

/** Why clients over HTTP must not use a tool. */
export interface SchemaFault {
  readonly fault: string;
}

const KEY = "x-mcp-header";
/** A header's name (RFC 9110). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TYPES: ReadonlySet<unknown> = new Set(["string", "integer", "boolean"]);
const ENCODED = /^=\?base64\?(.*)\?=$/s;
/** Matches a header's value that may be encoded, or has white space at an end. */
const NEEDS_DECODING = /^[ \t=]|[ \t]$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const DECIMAL = /^-?[0-9]+(\.[0-9]+)?$/;
/** Keywords whose value is a schema or a list of schemas. */
const SCHEMAS: ReadonlySet<string> = new Set(
  (
    "items prefixItems additionalItems unevaluatedItems contains additionalProperties unevaluatedProperties " +
    "propertyNames contentSchema allOf anyOf oneOf not if then else"
  ).split(" "),
);
/** Keywords whose value has schemas by names. */
const NAMED: ReadonlySet<string> = new Set(
  "properties patternProperties dependentSchemas dependencies definitions $defs".split(" "),
);
const MOST_LEVELS = 100;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The headers that a tool's `inputSchema` declares. One invalid declaration is a fault of the whole tool. */
export function paramHeadersOf(inputSchema: unknown): readonly ParamHeader[] | SchemaFault {
  const found: ParamHeader[] = [];
  const names = new Set<string>();
  const fault = (path: readonly string[], why: string): SchemaFault => ({
    fault: `${KEY} of ${path.join(".") || "the schema itself"} ${why}`,
  });
  const declared = (schema: JsonObject, path: readonly string[]): SchemaFault | null => {
    const { [KEY]: name, type } = schema;
    if (typeof name !== "string" || !TOKEN.test(name)) return fault(path, "is not a valid header name");
    if (!isType(type)) return fault(path, "is not on a string, an integer or a boolean");
    if (names.has(name.toLowerCase())) return fault(path, `is ${name}, as that of another property`);
    names.add(name.toLowerCase());
    found.push({ path, header: `Mcp-Param-${name}`, type });
    return null;
  };
  const check = (schema: unknown, path: readonly string[], isReached: boolean): SchemaFault | null => {
    if (path.length > MOST_LEVELS || typeof schema !== "object" || schema === null) return null;
    if (Array.isArray(schema)) return firstOf(schema, (each) => check(each, path, false));
    if (!isJsonObject(schema)) return null;
    if (KEY in schema) {
      if (!isReached || path.length === 0) return fault(path, "is not on a plain property");
      const wrong = declared(schema, path);
      if (wrong !== null) return wrong;
    }
    return firstOf(Object.entries(schema), ([key, part]) => {
      if (SCHEMAS.has(key)) return check(part, [...path, key], false);
      if (!NAMED.has(key) || !isJsonObject(part)) return null;
      const [within, isPlain] = key === "properties" ? [path, isReached] : [[...path, key], false];
      return firstOf(Object.entries(part), ([name, inner]) => check(inner, [...within, name], isPlain));
    });
  };
  return check(inputSchema, [], true) ?? found;
}

function firstOf<T>(all: readonly T[], check: (one: T) => SchemaFault | null): SchemaFault | null {
  for (const one of all) {
    const fault = check(one);
    if (fault !== null) return fault;
  }
  return null;
}

function isType(type: unknown): type is ParamHeader["type"] {
  return TYPES.has(type);
}

/** The argument's value in a call; undefined: absent. */
export function paramValue(args: unknown, { path }: Pick<ParamHeader, "path">): unknown {
  let value: unknown = args;
  for (const key of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/** The text that a header carries for the value of an argument; null if the value is absent or has no such text. */
export function paramText(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  // An integer beyond the safe range has already lost digits, so its text could be wrong.
  if (typeof value !== "number" || !Number.isFinite(value)) return null;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? null : String(value);
}

/** Whether a header has the argument's value; `text`: from `paramText`. */
export function hasSameValue(header: string, text: string, { type }: ParamHeader): boolean {
  const isNumber = type === "integer" && DECIMAL.test(header) && DECIMAL.test(text);
  return isNumber ? Number(header) === Number(text) : header === text;
}

/** A header's value for a text: plain if that is safe, else base64. */
export function encodeHeader(text: string): string {
  const isSafe = /^[\x20-\x7e\t]*$/.test(text) && text.trim() === text && text !== "" && !ENCODED.test(text);
  return isSafe ? text : `=?base64?${Buffer.from(text.toWellFormed()).toString("base64")}?=`;
}

/** The text of a header's value; null for invalid base64. */
export function decodeHeader(value: string): string | null {
  if (!NEEDS_DECODING.test(value)) return value;
  const text = trimEnd(value.replace(/^[ \t]+/, ""), " \t");
  const encoded = ENCODED.exec(text)?.[1];
  if (encoded === undefined) return text;
  if (!BASE64.test(encoded)) return null;
  return valueOr(() => strictUtf8.decode(Buffer.from(encoded, "base64")), null);
}
