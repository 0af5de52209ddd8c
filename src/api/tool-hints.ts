// What the faces make of the hints that a tool gives of itself (MCP, ToolAnnotations).
import { isObject } from "../runtime/text/json-object.ts";

/** Whether a call is asked about first: all tools but those that say they only read, or destroy nothing. */
export function mayDestroy(annotations: unknown): boolean {
  if (!isObject(annotations)) return true;
  const { destructiveHint, readOnlyHint } = annotations;
  if (destructiveHint === true) return true;
  return !(readOnlyHint === true || destructiveHint === false);
}
