// Owns reading text that should be one JSON object, and may be torn, foreign or anything else.

/** Its members; null for what is no JSON, and for JSON that is no object. */
export function jsonObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return { ...value };
  } catch {
    return null;
  }
}
