// Reads JSON objects from untrusted or damaged text.
import { parseJson } from "./parse-json.ts";

export type JsonMembers = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonMembers {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function objectOf(value: unknown): JsonMembers {
  return isObject(value) ? value : {};
}

export function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** A text; "" for any other value. */
export function textOf(value: unknown): string {
  return isText(value) ? value : "";
}

/** A text that is not empty; else null. */
export function textOrNull(value: unknown): string | null {
  return textOf(value) || null;
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
