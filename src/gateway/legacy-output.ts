// Structured results for legacy clients (before 2026-07-28). These accept only objects, so any other value is
// wrapped as `{result: …}`, and its schema accordingly. Pure.
import { memoized } from "../runtime/memo.ts";
import { isJsonObject, type JsonObject } from "./json-rpc.ts";

const KEY = "result";
const WRAPPED_REF = `#/properties/${KEY}`;
/** Keyword that moves to the root of the wrapping schema. */
const DIALECT = "$schema";
const MOST_LEVELS = 500;
/** Keywords whose value is data, not a schema. */
const DATA: ReadonlySet<string> = new Set(["const", "enum", "default", "examples", "required"]);
/** Keywords whose value is an object of named schemas. */
const NAMED: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "dependentSchemas",
  "$defs",
  "definitions",
]);

/** Whether values of this schema are wrapped; false without a schema. */
export function isWrapped(outputSchema: unknown): boolean {
  return isJsonObject(outputSchema) && outputSchema["type"] !== "object";
}

/** The schema of the wrapped value; an object's schema is returned unchanged. */
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

/**
 * A tool's definition for legacy clients. Memoized, because the same definition object appears in many
 * catalogs and views.
 */
export const legacyTool = memoized((tool: JsonObject): JsonObject => {
  const { outputSchema } = tool;
  return isJsonObject(outputSchema) && isWrapped(outputSchema)
    ? { ...tool, outputSchema: legacyOutputSchema(outputSchema) }
    : tool;
});

/** A tool's result for legacy clients. `wraps`: `isWrapped` of the tool's schema. */
export function legacyToolResult(result: JsonObject, wraps: boolean): JsonObject {
  const { structuredContent } = result;
  if (structuredContent === undefined || (!wraps && isJsonObject(structuredContent))) return result;
  return { ...result, structuredContent: { [KEY]: structuredContent } };
}

/** Returns the schema with its internal references changed, because the schema becomes a property of another schema. */
function withMovedReferences(schema: unknown, levels: number): unknown {
  if (levels === 0 || typeof schema !== "object" || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map((one) => withMovedReferences(one, levels - 1));
  // References within a schema with an `$id` are relative to that schema.
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

/** Only paths change: `#name` is an anchor, which is valid anywhere. */
function movedReference(reference: string): string {
  return reference === "#" || reference.startsWith("#/") ? `${WRAPPED_REF}${reference.slice(1)}` : reference;
}
