// Structured results as clients before 2026-07-28 take them: always an object. What is none is wrapped as `{result: …}`,
// in the schema and in the value alike. Pure.
import { isJsonObject, type JsonObject } from "./json-rpc.ts";

const KEY = "result";
const WRAPPED_REF = `#/properties/${KEY}`;
/** Of the schema as a whole. */
const DIALECT = "$schema";
const MOST_LEVELS = 500;

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
function withMovedReferences(part: unknown, levels: number): unknown {
  if (levels === 0 || typeof part !== "object" || part === null) return part;
  if (Array.isArray(part)) return part.map((one) => withMovedReferences(one, levels - 1));
  if (!isJsonObject(part)) return part;
  return Object.fromEntries(
    Object.entries(part).map(([key, value]) => [
      key,
      (key === "$ref" || key === "$dynamicRef") && typeof value === "string"
        ? movedReference(value)
        : withMovedReferences(value, levels - 1),
    ]),
  );
}

/** `#name` is an anchor, which is found wherever it stands. */
function movedReference(reference: string): string {
  return reference === "#" || reference.startsWith("#/")
    ? `${WRAPPED_REF}${reference.slice(1)}`
    : reference;
}
