// Owns reading JSON that is to be written again as it came: numbers that a double cannot hold keep their digits.

interface RawNumber {
  readonly rawJSON: string;
}

/** Of the language since 2025; the compiler's library does not know them yet. */
const exactJson = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

/** Digits, or an exponent, beyond what a double surely holds. In strings, too: that costs time and changes nothing. */
const MAYBE_INEXACT = /[0-9.]{16}|[0-9][eE][+-]?[0-9]{3}/;

/**
 * As `JSON.parse`, but a number that would be written with other digits than it came with is an opaque object, which
 * `JSON.stringify` writes as it came. Ids and progress tokens of JSON-RPC messages are numbers in any case: they are
 * compared, and found again.
 * Throws the parser's SyntaxError.
 */
export function parseExactly(text: string): unknown {
  if (!MAYBE_INEXACT.test(text)) return JSON.parse(text);
  let value: unknown;
  try {
    value = exactJson.parse(text, (_key, part, { source }) =>
      typeof part === "number" && source !== undefined && isInexact(part, source)
        ? exactJson.rawJSON(source)
        : part,
    );
  } catch (error) {
    // Thousands of levels deep: a reviver needs the stack, the plain parser does not.
    if (error instanceof RangeError) return JSON.parse(text);
    throw error;
  }
  for (const message of Array.isArray(value) ? value : [value]) keepIdNumbers(message);
  return value;
}

/** Whether it stands for a number with more digits than a number here has. */
export function isRawNumber(value: unknown): boolean {
  return exactJson.isRawJSON(value);
}

const LONGEST_EXACT = 15;

function isInexact(value: number, source: string): boolean {
  if (!Number.isFinite(value)) return true;
  if (value === 0) return /^[^eE]*[1-9]/.test(source);
  return source.length > LONGEST_EXACT && String(value) !== source;
}

function keepIdNumbers(message: unknown): void {
  if (!isObject(message) || !("jsonrpc" in message)) return;
  keepNumber(message, "id");
  const { params } = message;
  if (!isObject(params)) return;
  keepNumber(params, "requestId");
  keepNumber(params, "progressToken");
  if (isObject(params["_meta"])) keepNumber(params["_meta"], "progressToken");
}

function keepNumber(holder: Record<string, unknown>, key: string): void {
  const value = holder[key];
  if (exactJson.isRawJSON(value)) holder[key] = Number(value.rawJSON);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !exactJson.isRawJSON(value);
}
