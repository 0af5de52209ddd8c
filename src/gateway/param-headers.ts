// Arguments that 2026-07-28 repeats in headers, so that proxies can route by them: which of a tool's, and how a value is
// written in a header.
import { isJsonObject } from "./json-rpc.ts";

/** One argument that is repeated. */
export interface ParamHeader {
  /** Of the argument, through the properties of its schema. */
  readonly path: readonly string[];
  /** `Mcp-Param-Region`. */
  readonly header: string;
  readonly type: "string" | "integer" | "number" | "boolean";
}

const KEY = "x-mcp-header";
/** RFC 9110: of a header's name. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TYPES: ReadonlySet<unknown> = new Set(["string", "integer", "number", "boolean"]);
const ENCODED = /^=\?base64\?(.*)\?=$/s;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const DECIMAL = /^-?[0-9]+(\.[0-9]+)?$/;
/** Nested properties; deeper ones are no arguments that anybody would route by. */
const MOST_LEVELS = 32;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Null: the schema declares one in a wrong way, and none of it holds. */
export function paramHeadersOf(inputSchema: unknown): readonly ParamHeader[] | null {
  const found: ParamHeader[] = [];
  const names = new Set<string>();
  const look = (schema: unknown, path: readonly string[]): boolean => {
    if (!isJsonObject(schema)) return true;
    const name = schema[KEY];
    if (name !== undefined) {
      const { type } = schema;
      if (path.length === 0 || typeof name !== "string" || !TOKEN.test(name) || !isType(type)) return false;
      if (names.has(name.toLowerCase())) return false;
      names.add(name.toLowerCase());
      found.push({ path, header: `Mcp-Param-${name}`, type });
    }
    const { properties } = schema;
    if (!isJsonObject(properties) || path.length === MOST_LEVELS) return true;
    return Object.entries(properties).every(([key, part]) => look(part, [...path, key]));
  };
  return look(inputSchema, []) ? found : null;
}

function isType(type: unknown): type is ParamHeader["type"] {
  return TYPES.has(type);
}

/** The argument's text in a header; null: it is absent, or cannot be in one. */
export function paramText(args: unknown, { path }: ParamHeader): string | null {
  let value: unknown = args;
  for (const key of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return null;
    value = value[key];
  }
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  // Digits that a number here cannot hold are nobody's to compare.
  if (typeof value !== "number" || !Number.isFinite(value)) return null;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? null : String(value);
}

/** Whether a header says what the argument is; `text` as `paramText` gives it. */
export function saysSame(header: string, text: string, { type }: ParamHeader): boolean {
  const isNumber = (type === "integer" || type === "number") && DECIMAL.test(header) && DECIMAL.test(text);
  return isNumber ? Number(header) === Number(text) : header === text;
}

/** As the value of a header: plain where that is safe, else in base64. */
export function encodeHeader(text: string): string {
  const isSafe = /^[\x20-\x7e\t]*$/.test(text) && text.trim() === text && text !== "" && !ENCODED.test(text);
  return isSafe ? text : `=?base64?${Buffer.from(text.toWellFormed()).toString("base64")}?=`;
}

/** What a header's value says; null: it is said to be base64, and is not. */
export function decodeHeader(value: string): string | null {
  const text = value.replace(/^[ \t]+|[ \t]+$/g, "");
  const encoded = ENCODED.exec(text)?.[1];
  if (encoded === undefined) return text;
  if (!BASE64.test(encoded)) return null;
  try {
    return strictUtf8.decode(Buffer.from(encoded, "base64"));
  } catch {
    return null;
  }
}
