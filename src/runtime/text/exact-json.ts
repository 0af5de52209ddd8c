// Reads JSON that is to be written again unchanged: numbers that a double cannot hold keep their digits.

/** A number with more digits than a number here has. Equal only to itself: compare the digits. */
export interface RawNumber {
  readonly rawJSON: string;
}

/** In the language since 2025; the compiler's types do not have them yet. */
const exactJson = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

/**
 * 16 digits, or an exponent, beyond what a double surely holds. In strings, too: that costs time and changes nothing. V8
 * looks for `{16}` with a counter, one place after the other; what is repeated three times at most it writes out, and then
 * skips places: a fourth of the time, for each message both ways.
 */
const LONG = /[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]|[0-9][eE][+-]?[0-9]{3}/;
/** The same with the whole of a number, without its sign: slower, and needed only where there is one. */
const LONG_NUMBERS = /[0-9.]{16,}(?:[eE][+-]?[0-9]+)?|[0-9][eE][+-]?[0-9]{3}/g;

/**
 * As `JSON.parse`, but a number that would be written with other digits than it came with is an opaque object, which
 * `JSON.stringify` writes as it came. Throws the parser's SyntaxError.
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
    // Thousands of levels deep: a reviver needs the stack, the plain parser does not.
    if (error instanceof RangeError) return JSON.parse(text);
    throw error;
  }
}

/** False: a number in it would be rounded here. Browsers before 2025 cannot keep what a double does not hold. */
export function keepsDigits(text: string): boolean {
  return typeof exactJson.rawJSON === "function" || !mayBeInexact(text);
}

/** Most long numbers are a double's own digits: to look at them alone is cheaper than a reviver for every value. */
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
/** Below this a double holds fewer digits. */
const LEAST_WHOLE = 2 ** -1022;

function isInexact(value: number, source: string): boolean {
  if (!Number.isFinite(value)) return true;
  if (value === 0) return /^[^eE]*[1-9]/.test(source);
  return (source.length > LONGEST_EXACT || Math.abs(value) < LEAST_WHOLE) && String(value) !== source;
}
