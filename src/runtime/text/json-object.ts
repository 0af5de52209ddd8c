// Reads JSON objects from untrusted or damaged text.
import { parseJson } from "./parse-json.ts";

export type JsonMembers = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonMembers {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function objectOf(value: unknown): JsonMembers {
  return isObject(value) ? value : {};
}

/** The object in the text; null if the text is not JSON, or not an object. */
export function jsonObject(text: string): JsonMembers | null {
  try {
    const value: unknown = parseJson(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
