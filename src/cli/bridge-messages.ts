// Owns looking into the few messages of which a bridge has to know more than id and method.
import { parseExactly } from "../runtime/exact-json.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Empty for what is no object. */
export function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}

/**
 * The messages of a line by their index among its objects, read when one is asked for; empty ones where `line` is null
 * or no JSON.
 */
export function messagesOf(line: Buffer | null): (index: number) => JsonObject {
  let read: readonly JsonObject[] | null = null;
  return (index) => {
    read ??= readMessages(line);
    return read[index] ?? {};
  };
}

function readMessages(line: Buffer | null): readonly JsonObject[] {
  if (line === null) return [];
  try {
    const value = parseExactly(line.toString("utf8"));
    return (Array.isArray(value) ? value : [value]).filter(isJsonObject);
  } catch {
    return [];
  }
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
