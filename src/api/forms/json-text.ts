// Parses JSON that a person typed, and reports an error by line and column.
import { keepsDigits, parseExactly } from "../../runtime/text/exact-json.ts";

export type JsonReading =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "mistake"; readonly line: number; readonly column: number; readonly expected: string };

/** Matches one token, or nothing. Control characters are not allowed in a string. */
const TOKEN =
  /[ \t\r\n]*(?:(?<mark>[{}[\],:])|(?<text>"(?:[^"\\\p{Cc}]|[\u007f-\u009f])*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})(?:[^"\\\p{Cc}]|[\u007f-\u009f])*)*")|(?<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9a-zA-Z.])|(?<word>true|false|null)(?![0-9a-zA-Z]))/uy;
/** JSON.stringify is recursive, so deeper values could not be written. */
const DEPTH_LIMIT = 500;
const BLANKS = /[ \t\r\n]*/y;

/**
 * Parses JSON; numbers keep their digits. Line and column of an error count from 1, the column in
 * characters.
 */
export function readJson(text: string): JsonReading {
  const fault = faultIn(text) ?? (keepsDigits(text) ? null : { at: 0, expected: SHORT_NUMBERS });
  if (fault === null) return { kind: "value", value: parseExactly(text) };
  const before = text.slice(0, fault.at).split("\n");
  const line = before.length;
  return { kind: "mistake", line, column: [...(before.at(-1) ?? "")].length + 1, expected: fault.expected };
}

const SHORT_NUMBERS = "numbers of at most 15 digits: this browser rounds longer ones";

type Wanted = "value" | "value or ]" | "name or }" | "name" | ":" | ", or }" | ", or ]" | "end";

const EXPECTED: Readonly<Record<Wanted, string>> = {
  value: 'a value: "text", a number, true, false, null, { or [',
  "value or ]": "a value or ]",
  "name or }": 'a name in quotes, as in "name": 1, or }',
  name: 'a name in quotes, as in "name": 1',
  ":": "a colon after the name",
  ", or }": "a comma or }",
  ", or ]": "a comma or ]",
  end: "nothing more after the value",
};

/**
 * The place of the first error, and what was expected there. Not recursive, so that deeply nested input
 * cannot overflow the stack.
 */
function faultIn(text: string): { readonly at: number; readonly expected: string } | null {
  const open: ("{" | "[")[] = [];
  let wanted: Wanted = "value";
  const afterValue = (): Wanted => {
    const inner = open.at(-1);
    return inner === undefined ? "end" : inner === "{" ? ", or }" : ", or ]";
  };
  for (let at = 0; ; ) {
    BLANKS.lastIndex = at;
    BLANKS.exec(text);
    const start = BLANKS.lastIndex;
    if (start === text.length && wanted === "end") return null;
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.groups;
    const next: Wanted | null = token === undefined ? null : stepAfter(wanted, token, open, afterValue);
    if (open.length > DEPTH_LIMIT) return { at: start, expected: `at most ${DEPTH_LIMIT} levels` };
    if (next === null) {
      const isOpenText = text[start] === '"' && token?.["text"] === undefined;
      const hint = "a closed text: no line break, and \\\\ for a backslash, in quotes";
      return { at: start, expected: isOpenText && wanted !== "end" ? hint : EXPECTED[wanted] };
    }
    wanted = next;
    at = TOKEN.lastIndex;
  }
}

/** The tokens that may follow this token; null: `wanted` does not allow the token. `open`: the open brackets. */
function stepAfter(
  wanted: Wanted,
  token: Readonly<Record<string, string | undefined>>,
  open: ("{" | "[")[],
  afterValue: () => Wanted,
): Wanted | null {
  const { mark, text } = token;
  const isName = wanted === "name" || wanted === "name or }";
  if (isName && text !== undefined) return ":";
  if (wanted === ":") return mark === ":" ? "value" : null;
  const closes = mark === "}" ? "{" : mark === "]" ? "[" : null;
  const mayClose =
    wanted === "name or }" || wanted === "value or ]" || wanted === ", or }" || wanted === ", or ]";
  if (closes !== null) {
    if (!mayClose || open.at(-1) !== closes) return null;
    open.pop();
    return afterValue();
  }
  if (mark === ",") {
    if (wanted === ", or }") return "name";
    return wanted === ", or ]" ? "value" : null;
  }
  if (wanted !== "value" && wanted !== "value or ]") return null;
  if (mark === "{" || mark === "[") {
    open.push(mark);
    return mark === "{" ? "name or }" : "value or ]";
  }
  return mark === undefined ? afterValue() : null;
}
