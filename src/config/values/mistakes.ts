// Errors in a configuration: their fields, and a list of them as text.
import { MountaineerError } from "../../runtime/errors.ts";
import { closestWord } from "../../runtime/text/suggest.ts";

export interface IssueDetail {
  readonly found: string;
  readonly expected: string;
  readonly hint: string | null;
}

export interface ConfigMistake extends IssueDetail {
  readonly file: string;
  /** The line number, from 1. */
  readonly line: number;
  /** The column, from 1, in UTF-16 units as editors count; a byte order mark is not counted. */
  readonly column: number;
  /** `shares[1].fallback_host`; empty for a syntax error without a key. */
  readonly path: string;
}

export type KeyPath = readonly (string | number)[];

/** An error without its line and column. */
export interface Finding extends IssueDetail {
  readonly path: KeyPath;
  /** The other key that the error is about; its line is added to `found`. */
  readonly conflictsWith?: KeyPath;
  /** Whether the error points at the key or at its value. */
  readonly at: "key" | "value";
  /**
   * The error is that a key or name is missing. The missing key or name may be in a part of the file that could not
   * be read, or in another machine's file.
   */
  readonly restsOnAbsence?: true;
}

/** The `found` of a missing key. */
export const MISSING = "nothing";

/** The limit of listed errors; if there are more, the last one says so. */
export const MISTAKE_LIMIT = 200;

const SHOWN_CHARACTERS = 60;
// Control and format characters would let a file move the cursor, or reorder the text on a terminal.
const UNSAFE_CHARACTER = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** `text` in double quotes, shortened, with control and format characters escaped. */
export function quoted(text: string): string {
  const characters = [...text.slice(0, SHOWN_CHARACTERS * 2)];
  const shown = characters.slice(0, SHOWN_CHARACTERS).join("");
  const rest = shown.length < text.length ? "…" : "";
  const safe = shown
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll(UNSAFE_CHARACTER, (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ""}}`);
  return `"${safe}${rest}"`;
}

export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return MISSING;
  if (typeof value === "string") return `string ${quoted(value)}`;
  if (typeof value === "number" || typeof value === "bigint") return `number ${value}`;
  if (typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  if (value instanceof Date) return "a date";
  return "a table";
}

/** The kind of a value without the value, for keys whose values are secret. */
export function describeKind(value: unknown): string {
  if (typeof value === "string") return "a string";
  if (typeof value === "number" || typeof value === "bigint") return "a number";
  if (typeof value === "boolean") return "a boolean";
  return describeValue(value);
}

/** A share's name for a message. A name with `@` or `:` is not shown: it may contain a password (`ann:secret@nas/core`). */
export function describeServerShare(name: string): string {
  return /[@:]/.test(name) ? describeKind(name) : describeValue(name);
}

/** An address for a message. An address with a user or a query is not shown: it may contain a secret. */
export function describeAddress(address: string): string {
  return /[@?]/.test(address) ? describeKind(address) : describeValue(address);
}

const BARE_KEY = /^[A-Za-z0-9_-]{1,60}$/;

/** `["shares", 1, "name"]` as `shares[1].name`; keys that are not bare are quoted. */
export function pathText(path: KeyPath): string {
  let text = "";
  for (const segment of path) {
    if (typeof segment === "number") text += `[${segment}]`;
    else text += `${text === "" ? "" : "."}${BARE_KEY.test(segment) ? segment : quoted(segment)}`;
  }
  return text;
}

/** All errors as text: `file:line:column: path`, then `found` and `expected`. */
export function describeMistakes(mistakes: readonly ConfigMistake[]): string {
  return mistakes
    .map((mistake) => {
      const shown = [`${mistake.file}:${mistake.line}:${mistake.column}: ${mistake.path}`.trimEnd()];
      shown.push(`  found     ${mistake.found}`, `  expected  ${mistake.expected}`);
      if (mistake.hint !== null) shown.push(`  hint      ${mistake.hint}`);
      return shown.join("\n");
    })
    .join("\n");
}

export function mistakesError(
  mistakes: readonly ConfigMistake[],
  hint: string | null = null,
): MountaineerError {
  const text = `the configuration has ${countText(mistakes)}\n${describeMistakes(mistakes)}`;
  return new MountaineerError("config_invalid", text, { hint });
}

/** The error for an edit whose result would have errors. */
export function refusalError(mistakes: readonly ConfigMistake[]): MountaineerError {
  return new MountaineerError("config_invalid", `${refusal(mistakes)}\n${describeMistakes(mistakes)}`);
}

/** The error for generated content with errors: one line for each error, without its place. */
export function unwrittenError(mistakes: readonly ConfigMistake[]): MountaineerError {
  const lines = [refusal(mistakes), ...mistakes.map((mistake) => `  ${mistakeText(mistake)}`)];
  return new MountaineerError("config_invalid", lines.join("\n"));
}

function refusal(mistakes: readonly ConfigMistake[]): string {
  return `the configuration would have ${countText(mistakes)}; nothing was written`;
}

/** One error without its place. */
export function mistakeText({ path, found, expected, hint }: ConfigMistake): string {
  return `${path}: found ${found}, expected ${expected}${hint === null ? "" : ` (${hint})`}`;
}

function countText({ length }: readonly ConfigMistake[]): string {
  return length === 1 ? "a mistake" : `${length} mistakes`;
}

/** The hint for a name that is not in `known`; `none` is the hint for an empty `known`. */
export function namesHint(name: string, known: readonly string[], none: string): string {
  const meant = closestWord(name, known);
  if (meant !== null) return `did you mean ${quoted(meant)}?`;
  return known.length === 0 ? none : `there are ${known.slice(0, 20).map(quoted).join(", ")}`;
}
