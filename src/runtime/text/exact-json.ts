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
 * Matches 16 digits, or an exponent: more than a double surely holds. Also within strings, which costs time and changes
 * nothing. Written without `{16}`: V8 matches that with a counter, one place after the other, while it unrolls up to
 * three repetitions and then skips places, which takes a fourth of the time for each message.
 */
const LONG = /[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]{3}[0-9.]|[0-9][eE][+-]?[0-9]{3}/;
/** The same for a whole number, without its sign: slower, and used only after the first one has matched. */
const LONG_NUMBERS = /[0-9.]{16,}(?:[eE][+-]?[0-9]+)?|[0-9][eE][+-]?[0-9]{3}/g;

/**
 * As `JSON.parse`, but a number that would come out with other digits becomes an opaque object, which `JSON.stringify`
 * writes as it came. Throws the parser's SyntaxError.
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

/** False: the text has a number that would be rounded. Browsers before 2025 cannot keep what a double does not hold. */
export function keepsDigits(text: string): boolean {
  return typeof exactJson.rawJSON === "function" || !mayBeInexact(text);
}

/** Most long numbers fit a double exactly: checking only those is cheaper than a reviver for every value. */
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
