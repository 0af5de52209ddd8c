// What the faces make of the hints that a tool gives of itself (MCP, ToolAnnotations).
import { isObject } from "../runtime/text/json-object.ts";

const MARKS = [
  ["readOnlyHint", true, "read-only"],
  ["destructiveHint", true, "may destroy"],
  ["destructiveHint", false, "destroys nothing"],
  ["idempotentHint", true, "safe to repeat"],
  ["openWorldHint", true, "reaches outside"],
] as const;

/** `Marked read-only, safe to repeat`; null: it has no marks. */
export function marksText(annotations: unknown): string | null {
  if (!isObject(annotations)) return null;
  const marks = MARKS.filter(([key, value]) => annotations[key] === value).map(([, , words]) => words);
  return marks.length === 0 ? null : `Marked ${marks.join(", ")}`;
}

/** Whether a call is asked about first: all tools but those that say they only read, or destroy nothing. */
export function mayDestroy(annotations: unknown): boolean {
  if (!isObject(annotations)) return true;
  const { destructiveHint, readOnlyHint } = annotations;
  if (destructiveHint === true) return true;
  return !(readOnlyHint === true || destructiveHint === false);
}
