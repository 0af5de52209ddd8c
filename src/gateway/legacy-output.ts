// Structured results as clients before 2026-07-28 take them: always an object. What is none is wrapped as `{result: …}`,
// in the schema and in the value alike. Pure.
import { isJsonObject, type JsonObject } from "./json-rpc.ts";

const KEY = "result";
const WRAPPED_REF = `#/properties/${KEY}`;
/** Of the schema as a whole. */
const DIALECT = "$schema";
const MOST_LEVELS = 500;
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

/** Whether such clients get what this schema describes wrapped; false without a schema. */
export function isWrapped(outputSchema: unknown): boolean {
  return isJsonObject(outputSchema) && outputSchema["type"] !== "object";
}

/** The schema of the wrapped value; one that describes an object comes back as it is. */
export function legacyOutputSchema(outputSchema: JsonObject): JsonObject {
  if (!isWrapped(outputSchema)) return outputSchema;
  const { [DIALECT]: dialect, ...schema } = outputSchema;
  return {
    ...(dialect === undefined ? {} : { [DIALECT]: dialect }),
    type: "object",
    properties: { [KEY]: withMovedReferences(schema, MOST_LEVELS) },
    required: [KEY],
  };
}

/** A tool as such clients see it. */
export function legacyTool(tool: JsonObject): JsonObject {
  const { outputSchema } = tool;
  return isJsonObject(outputSchema) && isWrapped(outputSchema)
    ? { ...tool, outputSchema: legacyOutputSchema(outputSchema) }
    : tool;
}

/** A result of a tool as such clients take it. `wraps`: what `isWrapped` says of the tool's schema. */
export function legacyToolResult(result: JsonObject, wraps: boolean): JsonObject {
  const { structuredContent } = result;
  if (structuredContent === undefined || (!wraps && isJsonObject(structuredContent))) return result;
  return { ...result, structuredContent: { [KEY]: structuredContent } };
}

/** What pointed into the schema points to where it is now. */
function withMovedReferences(schema: unknown, levels: number): unknown {
  if (levels === 0 || typeof schema !== "object" || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map((one) => withMovedReferences(one, levels - 1));
  // The references within a schema that has an address of its own start there.
  if (!isJsonObject(schema) || typeof schema["$id"] === "string") return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, movedKeyword(key, value, levels)]),
  );
}

function movedKeyword(key: string, value: unknown, levels: number): unknown {
  if ((key === "$ref" || key === "$dynamicRef") && typeof value === "string") return movedReference(value);
  if (DATA.has(key)) return value;
  if (!NAMED.has(key) || !isJsonObject(value)) return withMovedReferences(value, levels - 1);
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, withMovedReferences(part, levels - 1)]),
  );
}

/** `#name` is an anchor, which is found wherever it stands. */
function movedReference(reference: string): string {
  return reference === "#" || reference.startsWith("#/") ? `${WRAPPED_REF}${reference.slice(1)}` : reference;
}
