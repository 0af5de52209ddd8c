// What clients before 2026-07-28 take as a tool's output: an object. Anything else is put into one, as its `result`.
import { isJsonObject, type JsonObject } from "./json-rpc.ts";

/** Keywords whose value is data, and no schema. */
const DATA: ReadonlySet<string> = new Set(["const", "enum", "default", "examples", "required"]);
/** Keywords whose value has schemas by names of their own. */
const NAMED: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "dependentSchemas",
  "$defs",
  "definitions",
]);
const INSIDE = "#/properties/result";

/** Whether older clients need the schema, and every structured content of its tool, wrapped. */
export function isWrapped(outputSchema: unknown): outputSchema is JsonObject {
  return isJsonObject(outputSchema) && outputSchema["type"] !== "object";
}

/** An object schema with the given one as its `result`; references within the given one lead there. */
export function wrapSchema(outputSchema: JsonObject): JsonObject {
  const { $schema, ...schema } = outputSchema;
  return {
    ...($schema === undefined ? {} : { $schema }),
    type: "object",
    properties: { result: moved(schema) },
    required: ["result"],
  };
}

/** `outputSchema` is the tool's own; undefined: it has none. */
export function wrapContent(structuredContent: unknown, outputSchema: unknown): unknown {
  if (structuredContent === undefined) return undefined;
  const fits = isJsonObject(structuredContent) && !isWrapped(outputSchema);
  return fits ? structuredContent : { result: structuredContent };
}

function moved(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(moved);
  // A schema with an address of its own is where its references start from.
  if (!isJsonObject(schema) || typeof schema["$id"] === "string") return schema;
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, movedKeyword(key, value)]));
}

function movedKeyword(key: string, value: unknown): unknown {
  if (key === "$ref" && typeof value === "string") {
    return value === "#" || value.startsWith("#/") ? `${INSIDE}${value.slice(1)}` : value;
  }
  if (DATA.has(key)) return value;
  if (!NAMED.has(key) || !isJsonObject(value)) return moved(value);
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, moved(part)]));
}
