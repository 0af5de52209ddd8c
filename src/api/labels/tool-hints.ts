// Texts and rules from a tool's own hints (MCP, ToolAnnotations).
import { isObject } from "../../runtime/text/json-object.ts";

const MARKS = [
  ["readOnlyHint", true, "read-only"],
  ["destructiveHint", true, "may destroy"],
  ["destructiveHint", false, "destroys nothing"],
  ["idempotentHint", true, "safe to repeat"],
  ["openWorldHint", true, "reaches outside"],
] as const;

/** `Marked read-only, safe to repeat`; null without hints. */
export function marksText(annotations: unknown): string | null {
  if (!isObject(annotations)) return null;
  const marks = MARKS.filter(([key, value]) => annotations[key] === value).map(([, , label]) => label);
  return marks.length === 0 ? null : `Marked ${marks.join(", ")}`;
}

/** Whether to ask a person before a call: true unless the tool says that it only reads, or that it destroys nothing. */
export function mayDestroy(annotations: unknown): boolean {
  if (!isObject(annotations)) return true;
  const { destructiveHint, readOnlyHint } = annotations;
  if (destructiveHint === true) return true;
  return !(readOnlyHint === true || destructiveHint === false);
}
