// Reads what should be one JSON object, and may be torn, foreign or anything else.

export type JsonMembers = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonMembers {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Empty for what is no object. */
export function objectOf(value: unknown): JsonMembers {
  return isObject(value) ? value : {};
}

/** The members of a text's one object; null for what is no JSON, and for JSON that is no object. */
export function jsonObject(text: string): JsonMembers | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
