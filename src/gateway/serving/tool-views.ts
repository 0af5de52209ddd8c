// Tools as clients of older versions are shown them, and as those of 2026-07-28 are.
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { isWrapped, legacyTool as wrappedTool } from "../legacy-output.ts";
import { type ParamHeader, paramHeadersOf } from "../param-headers.ts";

// Definitions outlive catalogs and views: each is looked into once.
const wrapped = new WeakMap<JsonObject, JsonObject>();

/** With an object as its output. */
export function legacyTool(definition: JsonObject): JsonObject {
  if (!isWrapped(definition["outputSchema"])) return definition;
  const known = wrapped.get(definition);
  if (known !== undefined) return known;
  const made = wrappedTool(definition);
  wrapped.set(definition, made);
  return made;
}

interface ModernTool {
  readonly definition: JsonObject;
  readonly headers: readonly ParamHeader[];
}

/** Null: it is not shown. */
const modern = new WeakMap<JsonObject, ModernTool | null>();

function modernTool(tool: JsonObject): ModernTool | null {
  const known = modern.get(tool);
  if (known !== undefined) return known;
  const { execution, ...definition } = tool;
  const isTask = isJsonObject(execution) && execution["taskSupport"] === "required";
  const shown = execution === undefined ? tool : definition;
  const headers = paramHeadersOf(tool["inputSchema"]);
  const made = isTask || "fault" in headers ? null : { definition: shown, headers };
  modern.set(tool, made);
  return made;
}

/**
 * Without those that work as tasks alone, those that clients must not use for the headers that they want, and without
 * the word of older versions about tasks.
 */
export function modernTools(tools: readonly JsonObject[]): {
  readonly definitions: readonly JsonObject[];
  readonly paramHeaders: ReadonlyMap<string, readonly ParamHeader[]>;
} {
  const definitions: JsonObject[] = [];
  const paramHeaders = new Map<string, readonly ParamHeader[]>();
  for (const tool of tools) {
    const shown = modernTool(tool);
    if (shown === null) continue;
    definitions.push(shown.definition);
    const { name } = tool;
    if (typeof name === "string" && shown.headers.length > 0) paramHeaders.set(name, shown.headers);
  }
  return { definitions, paramHeaders };
}
