// Estimates the size of a result as JSON without writing it: strings as UTF-8, the rest approximately.

import { unparsedBytes } from "../../runtime/json/large-json.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import type { JsonObject } from "../json-rpc.ts";
import { writtenResult } from "../written-results.ts";

/** Deeper values cannot be written as JSON, and fail elsewhere. */
const MOST_LEVELS = 1_000;
/** Texts up to this length are measured in characters, without encoding them: most are ASCII. */
const SHORT_TEXT = 1_024;
const AROUND_A_VALUE = 4;

/** Whether the result has at most `bytes` bytes as sent. */
export function isWithin(result: JsonObject, bytes: number): boolean {
  const written = writtenResult(result);
  return (written !== null && written.length <= bytes) || jsonSize(result, bytes) <= bytes;
}

/** The approximate number of bytes as JSON; stops counting beyond `enough`. */
export function jsonSize(value: unknown, enough: number = Number.POSITIVE_INFINITY): number {
  return count(value, 0, enough, MOST_LEVELS);
}

function count(value: unknown, before: number, enough: number, levels: number): number {
  if (typeof value === "string") return before + textSize(value) + AROUND_A_VALUE;
  if (typeof value !== "object" || value === null) return before + AROUND_A_VALUE;
  if (isRawNumber(value)) return before + value.rawJSON.length;
  const unparsed = unparsedBytes(value);
  if (unparsed !== null) return before + unparsed;
  let size = before + AROUND_A_VALUE;
  if (levels === 0) return size;
  if (Array.isArray(value)) {
    for (const each of value) {
      size = count(each, size, enough, levels - 1);
      if (size > enough) return size;
    }
    return size;
  }
  const members: Readonly<Record<string, unknown>> = value as Readonly<Record<string, unknown>>;
  // Parsed JSON has no inherited members, so the loop visits only the object's own.
  for (const key in members) {
    size = count(members[key], size + key.length + AROUND_A_VALUE, enough, levels - 1);
    if (size > enough) return size;
  }
  return size;
}

export function textSize(text: string): number {
  return text.length <= SHORT_TEXT ? text.length : Buffer.byteLength(text);
}
