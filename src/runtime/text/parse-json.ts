// Parses JSON from outside. V8's parser may mix up keys with escapes, and give an object a key of another text
// (nodejs/node#63785, Node 24 and 26). So keys with a backslash never reach it.

/**
 * Like `JSON.parse`; of several equal keys, the last one counts. Throws a SyntaxError; if a key has a backslash, also a
 * RangeError for a text that is nested thousands of levels deep.
 */
export function parseJson(text: string): unknown {
  const keys = text.includes("\\") ? keysOf(text) : null;
  if (keys === null) return JSON.parse(text);
  try {
    return withoutV8Keys(text, keys);
  } catch (error) {
    // The parser's error is about the text itself.
    if (error instanceof SyntaxError) JSON.parse(text);
    throw error;
  }
}

function withoutV8Keys(text: string, keys: readonly Quoted[]): unknown {
  // Replaces each key by its number within the object, which V8 parses correctly. The parsed value keeps the order.
  const names: string[] = [];
  const counts = [0];
  let numbered = "";
  let at = 0;
  for (const { start, end, isKey } of keys) {
    countObjects(text, at, start, counts);
    if (isKey) {
      const depth = counts.length - 1;
      const number = counts[depth] ?? 0;
      counts[depth] = number + 1;
      numbered += `${text.slice(at, start)}"k${number}"`;
      names.push(nameOf(text.slice(start, end)));
    } else numbered += text.slice(at, end);
    at = end;
  }
  return renamed(JSON.parse(numbered + text.slice(at)), names.values());
}

interface Quoted {
  readonly start: number;
  readonly end: number;
  readonly isKey: boolean;
}

const COLON_NEXT = /[ \t\r\n]*:/y;

/** All strings of the text, if a key has a backslash; else null. */
function keysOf(text: string): readonly Quoted[] | null {
  const found: Quoted[] = [];
  let isEscaped = false;
  for (let start = text.indexOf('"'); start !== -1; ) {
    const end = endOfString(text, start) + 1;
    COLON_NEXT.lastIndex = end;
    const isKey = text.charAt(end) === ":" || COLON_NEXT.test(text);
    isEscaped ||= isKey && text.slice(start, end).includes("\\");
    found.push({ start, end, isKey });
    start = text.indexOf('"', end);
  }
  return isEscaped ? found : null;
}

/** The index of the quote that ends the string; infinity if it has no end. */
export function endOfString(text: string, open: number): number {
  for (let end = text.indexOf('"', open + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end;
    while (text.charCodeAt(before - 1) === BACKSLASH) before -= 1;
    if ((end - before) % 2 === 0) return end;
  }
  return Number.POSITIVE_INFINITY;
}

const [OPEN, CLOSE, BACKSLASH] = ["{".charCodeAt(0), "}".charCodeAt(0), "\\".charCodeAt(0)];

/** Follows the objects that begin and end in a part of the text without strings. */
function countObjects(text: string, from: number, to: number, counts: number[]): void {
  for (let at = from; at < to; at += 1) {
    const code = text.charCodeAt(at);
    if (code === OPEN) counts.push(0);
    else if (code === CLOSE) counts.pop();
  }
}

/** Matches a backslash, and what JSON does not allow in a string. */
const NOT_PLAIN = /[^ -[\]-\uffff]/;

/** The key without its quotes and escapes. V8 parses it correctly where it is not an object's key. */
function nameOf(quoted: string): string {
  return NOT_PLAIN.test(quoted) ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
}

/** The value with the next name in place of each key. */
function renamed(value: unknown, names: Iterator<string>): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((part) => renamed(part, names));
  const object: Record<string, unknown> = {};
  for (const key in value) {
    const name = String(names.next().value);
    const part = renamed(Reflect.get(value, key), names);
    // Assigning to `__proto__` would lose the value.
    if (name === "__proto__")
      Object.defineProperty(object, name, {
        value: part,
        enumerable: true,
        writable: true,
        configurable: true,
      });
    else object[name] = part;
  }
  return object;
}
