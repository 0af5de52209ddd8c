// Owns looking into the few messages of which a bridge has to know more than id and method.
import { parseExactly } from "../runtime/text/exact-json.ts";
import { isObject, type JsonMembers } from "../runtime/text/json-object.ts";

/**
 * The messages of a line by their index among its objects, read when one is asked for; empty ones where `line` is null
 * or no JSON.
 */
export function messagesOf(line: Buffer | null): (index: number) => JsonMembers {
  let read: readonly JsonMembers[] | null = null;
  return (index) => {
    read ??= readMessages(line);
    return read[index] ?? {};
  };
}

function readMessages(line: Buffer | null): readonly JsonMembers[] {
  if (line === null) return [];
  try {
    const value = parseExactly(line.toString("utf8"));
    return (Array.isArray(value) ? value : [value]).filter(isObject);
  } catch {
    return [];
  }
}
