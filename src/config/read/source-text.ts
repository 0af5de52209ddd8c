// The file's bytes as text: decoding, size limits that apply before parsing, and positions in the text.
import { valueOr } from "../../runtime/errors.ts";
import type { IssueDetail, KeyPath } from "../values/mistakes.ts";

/** The size limit of a file. A thousand shares take about 250 KB. */
export const LARGEST_FILE_BYTES = 512 * 1024;

/** An error in the text itself, at an offset in UTF-16 units. */
export interface SyntaxFinding extends IssueDetail {
  readonly offset: number;
  /** The path of the key with the error; empty if the error belongs to no key. */
  readonly path: KeyPath;
}

/** The offset of a key or value in the text; a missing key has the offset of the closest table around it. */
export type Locator = (path: KeyPath, at: "key" | "value") => number;

/** What our reader of TOML or of YAML returns. */
export interface ParsedText {
  /** The parsed tables, as objects without a prototype; `{}` if nothing could be read. */
  readonly value: unknown;
  readonly syntax: readonly SyntaxFinding[];
  /** An error in `syntax` made the reader skip a part of the text, so that `value` may lack keys. */
  readonly incomplete: boolean;
  /** Locates keys. Takes time and memory, so it is called only if there is an error. */
  locate(): Promise<Locator>;
}

type DecodedText =
  | { readonly ok: true; readonly text: string }
  /** `before`: the decoded text up to the first invalid byte. */
  | {
      readonly ok: false;
      readonly before: string;
      readonly found: string;
      readonly expected: string;
      readonly hint: string;
    };

/** `stream`: the last character may be unfinished. */
function decodes(bytes: Uint8Array, stream: boolean): boolean {
  return valueOr(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream }), null) !== null;
}

/** The length of the longest valid prefix of the bytes; of all of them if only the last character is unfinished. */
function validPrefix(bytes: Uint8Array): number {
  let good = 0;
  let bad = bytes.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decodes(bytes.subarray(0, middle), true)) good = middle;
    else bad = middle;
  }
  // The invalid byte is the one that begins a character which the next byte does not continue.
  while (good < bytes.length && !decodes(bytes.subarray(0, good), false)) good -= 1;
  return good;
}

/** Decodes UTF-8, with or without a byte order mark (which is not part of the text). */
export function decodeText(bytes: Uint8Array): DecodedText {
  if (bytes.length > LARGEST_FILE_BYTES) {
    const found = `a file of ${bytes.length} bytes or more`;
    const expected = `at most ${LARGEST_FILE_BYTES} bytes`;
    return { ok: false, before: "", found, expected, hint: "is this the right file?" };
  }
  const expected = "text in UTF-8";
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    if (isUtf16)
      return { ok: false, before: "", found: "text in UTF-16", expected, hint: "save the file as UTF-8" };
    const length = validPrefix(bytes);
    const before = new TextDecoder("utf-8").decode(bytes.subarray(0, length), { stream: true });
    const byte = bytes[length]?.toString(16).padStart(2, "0");
    const found = byte === undefined ? "half a character at the end" : `byte 0x${byte}, which is not UTF-8`;
    return { ok: false, before, found, expected, hint: "save the file as UTF-8" };
  }
  const nul = text.indexOf("\0");
  if (nul === -1) return { ok: true, text };
  return {
    ok: false,
    before: text.slice(0, nul),
    found: "a NUL character",
    expected: "text",
    hint: "is this the right file?",
  };
}

interface TextPosition {
  /** The line number, from 1. */
  readonly line: number;
  /** The column, from 1, in UTF-16 units. */
  readonly column: number;
}

/** Places in `text`; lines end with LF or CRLF. */
export function textPositions(text: string): {
  positionAt(offset: number): TextPosition;
  offset(position: TextPosition): number;
} {
  const starts = [0];
  for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", end + 1)) starts.push(end + 1);
  return {
    positionAt(offset) {
      let low = 0;
      let high = starts.length;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if ((starts[middle] ?? 0) <= offset) low = middle;
        else high = middle;
      }
      return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
    },
    offset({ line, column }) {
      const start = starts[Math.min(Math.max(line, 1), starts.length) - 1] ?? 0;
      return Math.min(start + Math.max(column, 1) - 1, text.length);
    },
  };
}
