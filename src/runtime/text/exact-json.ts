// Parses JSON without losing digits: a number that a double cannot represent keeps its text when it is written again.
import { endOfString, parseJson } from "./parse-json.ts";

/** A number that a double cannot represent. Two objects are never equal: compare `rawJSON`. */
export interface RawNumber {
  readonly rawJSON: string;
}

/** These functions are part of the language since 2025, but not yet of the compiler's types. */
const exactJson = JSON as unknown as {
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

/**
 * Matches 16 digits, or an exponent of three digits: such a number may not fit a double. V8 searches `{3}` four times
 * as fast as `{16}`.
 */
const LONG = /[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]|[0-9][eE][+-]?[0-9]{3}/;
/** Matches all that can be an inexact number: 16 characters of a number, or an exponent of three digits. */
const MAYBE_INEXACT = /[-+.0-9eE]{16,}|[-.0-9]{0,14}[0-9][eE][+-]?[0-9]{3,}/g;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
/** `1e999` */
const SHORTEST = 5;
/** A number may not be followed by a colon, but the text that replaces it may. */
const COLON_NEXT = /[ \t\r\n]*:/y;

/**
 * Like `JSON.parse`, but a number that would lose digits becomes a `RawNumber`, which `JSON.stringify` writes unchanged.
 * Throws the parser's SyntaxError. Costs little more than `JSON.parse`: only inexact numbers outside of strings do.
 */
export function parseExactly(text: string): unknown {
  if (!LONG.test(text)) return parseJson(text);
  const mark = `${Math.random()}:`;
  const sources: string[] = [];
  let marked = "";
  let at = 0;
  for (const { start, end } of inexactNumbers(text)) {
    marked += `${text.slice(at, start)}"${mark}${sources.length}"`;
    sources.push(text.slice(start, end));
    at = end;
  }
  if (sources.length === 0) return parseJson(text);
  try {
    const value: unknown = parseJson(marked + text.slice(at));
    return restored(value, mark, (index) => exactJson.rawJSON(sources[index] ?? "null"));
  } catch {
    // It is not JSON, and this throws the error about the text itself. Or it is nested thousands of levels deep.
    return parseJson(text);
  }
}

/** Looks only between strings. */
function* inexactNumbers(text: string): Iterable<{ readonly start: number; readonly end: number }> {
  for (let at = 0; at < text.length; ) {
    const quote = text.indexOf('"', at);
    const between = text.slice(at, quote === -1 ? text.length : quote);
    for (const { 0: source, index } of between.length < SHORTEST ? [] : between.matchAll(MAYBE_INEXACT)) {
      if (!NUMBER.test(source) || !isInexact(Number(source), source)) continue;
      const start = at + index;
      const end = start + source.length;
      COLON_NEXT.lastIndex = end;
      if (!COLON_NEXT.test(text)) yield { start, end };
    }
    at = quote === -1 ? text.length : endOfString(text, quote) + 1;
  }
}

/**
 * Puts something else in the place of each string that consists of the mark and an index. The value must be parsed JSON,
 * and is changed. Throws a RangeError if it is nested thousands of levels deep.
 */
export function restored(value: unknown, mark: string, at: (index: number) => unknown): unknown {
  if (typeof value === "string") return value.startsWith(mark) ? at(Number(value.slice(mark.length))) : value;
  if (typeof value !== "object" || value === null || exactJson.isRawJSON(value)) return value;
  if (Array.isArray(value)) {
    for (const [index, before] of value.entries()) value[index] = restored(before, mark, at);
    return value;
  }
  for (const key of Object.keys(value)) {
    const before: unknown = Reflect.get(value, key);
    const after = restored(before, mark, at);
    if (after === before) continue;
    // Assigning to `__proto__` would lose the value.
    if (key === "__proto__") Object.defineProperty(value, key, { value: after });
    else Reflect.set(value, key, after);
  }
  return value;
}

/** False if the text has a number that this JavaScript engine would round: browsers before 2025 have no `JSON.rawJSON`. */
export function keepsDigits(text: string): boolean {
  return typeof exactJson.rawJSON === "function" || [...inexactNumbers(text)].length === 0;
}

export function isRawNumber(value: unknown): value is RawNumber {
  return exactJson.isRawJSON(value);
}

const LONGEST_EXACT = 15;
/** Below this value, doubles are subnormal and have fewer digits. */
const LEAST_WHOLE = 2 ** -1022;

function isInexact(value: number, source: string): boolean {
  if (!Number.isFinite(value)) return true;
  if (value === 0) return /^[^eE]*[1-9]/.test(source);
  return (source.length > LONGEST_EXACT || Math.abs(value) < LEAST_WHOLE) && String(value) !== source;
}
