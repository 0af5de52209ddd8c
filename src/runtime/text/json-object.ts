// Reads what should be one JSON object, and may be torn, foreign or anything else.

export type JsonMembers = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonMembers {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Empty for anything but an object. */
export function objectOf(value: unknown): JsonMembers {
  return isObject(value) ? value : {};
}

/** The members of the one object in a text; null if the text is not JSON, or not an object. */
export function jsonObject(text: string): JsonMembers | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
