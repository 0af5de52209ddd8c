// The headers in which a request of 2026-07-28 says over HTTP what it is: its method, what it names, and those arguments
// of a tool that its schema wants there. Pure.
import { isRawNumber } from "../../../../runtime/text/exact-json.ts";
import { isJsonObject, type JsonObject } from "../../../json-rpc.ts";
import { encodeHeader } from "../../../param-headers.ts";
import { MODERN_VERSION } from "../../../protocol.ts";

/** An argument that goes into the header `Mcp-Param-NAME`, too. */
export interface HeaderArgument {
  readonly name: string;
  /** Where it is among the arguments. */
  readonly path: readonly string[];
}

const MARK = "x-mcp-header";
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TYPES: ReadonlySet<unknown> = new Set(["string", "integer", "boolean"]);
const MOST_LEVELS = 100;

/** Why clients must not use a tool. */
interface SchemaFault {
  readonly fault: string;
}

/** What a tool's `inputSchema` wants as headers; or why it is not valid. */
export function headerArguments(inputSchema: unknown): readonly HeaderArgument[] | SchemaFault {
  const found: HeaderArgument[] = [];
  const names = new Set<string>();
  const fault = (path: readonly string[], why: string): SchemaFault => ({
    fault: `${MARK} of ${path.join(".") || "the schema itself"} ${why}`,
  });
  const declared = (schema: JsonObject, path: readonly string[]): SchemaFault | null => {
    const name = schema[MARK];
    if (typeof name !== "string" || !TOKEN.test(name)) return fault(path, "is not a valid header name");
    if (!TYPES.has(schema["type"])) return fault(path, "is not on a string, an integer or a boolean");
    if (names.has(name.toLowerCase())) return fault(path, `is ${name}, as that of another property`);
    names.add(name.toLowerCase());
    found.push({ name, path });
    return null;
  };
  const look = (schema: unknown, path: readonly string[], isReached: boolean): SchemaFault | null => {
    if (path.length > MOST_LEVELS || typeof schema !== "object" || schema === null) return null;
    if (Array.isArray(schema)) return firstOf(schema, (each) => look(each, path, false));
    if (!isJsonObject(schema)) return null;
    if (MARK in schema) {
      if (!isReached || path.length === 0) return fault(path, "is not on a plain property");
      const wrong = declared(schema, path);
      if (wrong !== null) return wrong;
    }
    return firstOf(Object.entries(schema), ([key, part]) => {
      // Values, and not schemas.
      if (key === "default" || key === "const" || key === "enum" || key === "examples") return null;
      if (key !== "properties" || !isJsonObject(part)) return look(part, [...path, key], false);
      return firstOf(Object.entries(part), ([name, inner]) => look(inner, [...path, name], isReached));
    });
  };
  return look(inputSchema, [], true) ?? found;
}

function firstOf<T>(all: readonly T[], look: (one: T) => SchemaFault | null): SchemaFault | null {
  for (const one of all) {
    const fault = look(one);
    if (fault !== null) return fault;
  }
  return null;
}

/** Which member of a method's params is its `Mcp-Name`. */
const NAMED_BY: ReadonlyMap<string, string> = new Map([
  ["tools/call", "name"],
  ["prompts/get", "name"],
  ["resources/read", "uri"],
]);

/** All headers of one request; `wanted`: of the tool that it calls. */
export function requestHeaders(
  method: string,
  params: JsonObject | undefined,
  wanted: readonly HeaderArgument[],
): Record<string, string> {
  const headers: Record<string, string> = { "mcp-protocol-version": MODERN_VERSION, "mcp-method": method };
  const name = params?.[NAMED_BY.get(method) ?? "taskId"];
  if (typeof name === "string") headers["mcp-name"] = encodeHeader(name);
  for (const { name: header, path } of wanted) {
    const text = argumentText(path.reduce<unknown>(memberOf, params?.["arguments"]));
    if (text !== null) headers[`mcp-param-${header.toLowerCase()}`] = encodeHeader(text);
  }
  return headers;
}

function memberOf(value: unknown, key: string): unknown {
  return isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** Null: it is not there, or of a kind that no header can hold. */
function argumentText(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "boolean" || Number.isSafeInteger(value)) return String(value);
  return isRawNumber(value) ? value.rawJSON : null;
}
