// Parses JSON without losing digits: a number that a double cannot represent keeps its text when it is written again.

/** A number that a double cannot represent. Two objects are never equal: compare `rawJSON`. */
export interface RawNumber {
  readonly rawJSON: string;
}

/** These functions are part of the language since 2025, but not yet of the compiler's types. */
const exactJson = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

/**
 * Matches 16 digits, or an exponent of three digits: such a number may not fit a double. V8 searches `{3}` four times
 * as fast as `{16}`.
 */
const LONG = /[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]|[0-9][eE][+-]?[0-9]{3}/;
/**
 * Matches numbers that a double may not hold exactly: a whole long number without its sign, or the end of a number
 * with a three-digit exponent. Slower than `LONG`, so used only where `LONG` matches.
 */
const LONG_NUMBERS = /[0-9.]{16,}(?:[eE][+-]?[0-9]+)?|[0-9][eE][+-]?[0-9]{3}/g;

/**
 * Like `JSON.parse`, but a number that would lose digits becomes a `RawNumber`, which `JSON.stringify` writes unchanged.
 * Throws the parser's SyntaxError.
 */
export function parseExactly(text: string): unknown {
  if (!mayBeInexact(text)) return JSON.parse(text);
  try {
    return exactJson.parse(text, (_key, part, { source }) =>
      typeof part === "number" && source !== undefined && isInexact(part, source)
        ? exactJson.rawJSON(source)
        : part,
    );
  } catch (error) {
    // The text is nested thousands of levels deep; only parsing with a reviver overflows the stack.
    if (error instanceof RangeError) return JSON.parse(text);
    throw error;
  }
}

/** False if the text has a number that this engine would round: browsers before 2025 have no `JSON.rawJSON`. */
export function keepsDigits(text: string): boolean {
  return typeof exactJson.rawJSON === "function" || !mayBeInexact(text);
}

/**
 * True if a number in the text may lose digits when it is parsed. Checks only long numbers; parsing the whole text
 * with a reviver would cost more.
 */
function mayBeInexact(text: string): boolean {
  if (!LONG.test(text)) return false;
  for (const [found] of text.matchAll(LONG_NUMBERS)) {
    if (found.length <= LONGEST_EXACT || isInexact(Number(found), found)) return true;
  }
  return false;
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
