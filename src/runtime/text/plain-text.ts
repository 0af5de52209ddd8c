// Text for a terminal: escapes, width in columns, wrapping, and short phrases.
import { replaceInvisible } from "./invisible-characters.ts";

// C0, DEL and C1 characters control terminals; line and paragraph separators break lines.
const CONTROLS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control characters.
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029]|\p{Surrogate}/gu;
const WITHOUT_WIDTH = /^[\p{Mark}\p{Default_Ignorable_Code_Point}]$/u;
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

/** The text on one line, with control characters and invisible characters escaped: `\x1b`, `\u{202e}`. */
export function printable(text: string): string {
  return replaceInvisible(text, spelledOut).replace(CONTROLS, spelledOut);
}

/** The escape of a character: `\x1b`, `\u{202e}`; a space for a line break or tab. */
export function spelledOut(character: string): string {
  if (character === "\n" || character === "\t") return " ";
  const code = character.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

// JSON.stringify leaves these characters as they are.
const UNSEEN_IN_JSON = /[\u007f-\u009f\u2028\u2029\ufff9-\ufffb\p{Default_Ignorable_Code_Point}]/gu;

/** The JSON text with the same meaning, and with control and invisible characters as `\uXXXX`. */
export function printableJson(json: string): string {
  return json.replace(UNSEEN_IN_JSON, unicodeEscape);
}

/** `\u009b`; two of them for a character beyond U+FFFF. */
export function unicodeEscape(character: string): string {
  return character.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The width in a terminal, in columns, of a text that `printable` has escaped. */
export function columns(text: string): number {
  let sum = 0;
  for (const character of text) {
    if (WITHOUT_WIDTH.test(character)) continue;
    sum += WIDE.test(character) ? 2 : 1;
  }
  return sum;
}

/**
 * Returns as much of the beginning of `text` as fits into `width` columns. `text` must have been escaped by
 * `printable`.
 */
export function firstColumns(text: string, width: number): string {
  return fittingCharacters([...text], width).join("");
}

export function lastColumns(text: string, width: number): string {
  return fittingCharacters([...text].reverse(), width)
    .reverse()
    .join("");
}

function fittingCharacters(characters: readonly string[], width: number): string[] {
  let left = width;
  const end = characters.findIndex((character) => {
    left -= columns(character);
    return left < 0;
  });
  return characters.slice(0, end === -1 ? undefined : end);
}

/** Appends spaces up to `width` columns. Longer text is not cut. */
export function padded(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - columns(text)));
}

/** Stands for a space in a text that `printable` has escaped: no such text contains it. */
const GLUE = "\0";

/** The text with its spaces replaced, so that `wrapped` keeps it on one line. */
export function nonBreaking(text: string): string {
  return text.replaceAll(" ", GLUE);
}

/**
 * Lines of at most `width` columns, broken at spaces; other spaces stay, as a path may contain two. A longer word, such
 * as a path, is not broken, nor is a command between backticks.
 */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.replace(/`[^`]*`/g, nonBreaking).split(/(?<=[^ ])(?= )/)) {
    if (line === "" || columns(line + word) <= width) line += line === "" ? word.trimStart() : word;
    else {
      lines.push(line);
      line = word.trimStart();
    }
  }
  if (line !== "") lines.push(line);
  return lines.map((broken) => broken.replaceAll(GLUE, " "));
}

/** Quotes the word for a POSIX shell if necessary. */
export function shellWord(word: string): string {
  // Invisible characters would be lost on the way through a terminal.
  if (printable(word) !== word)
    return `"$(printf '${[...new TextEncoder().encode(word)].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")}')"`;
  return /^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * A command for a POSIX shell, such as `mountaineer mount --share ${name}`: each value becomes one word. A value that begins
 * with `-` and follows neither an option nor `--` is written behind one `--`, so options come before it.
 */
export function shellCommand(parts: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  let hasDashes = false;
  return values.reduce<string>((text, value, index) => {
    const word = shellWord(String(value));
    const isOperand = !hasDashes && String(value).startsWith("-") && !/ --(?:[a-z][a-z-]*)? $/.test(text);
    const next = parts[index + 1] ?? "";
    hasDashes = (hasDashes || isOperand || text.endsWith(" -- ")) && !/[|;&]/.test(next);
    return `${text}${isOperand ? "-- " : ""}${word}${next}`;
  }, parts[0] ?? "");
}

/** "42 s", "5 min", "3 h 12 min", "2 d 4 h". */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return hours % 24 === 0 ? `${Math.floor(hours / 24)} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** "812 B", "1.2 GB". */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** "1 share", "2 shares". */
export function pluralize(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** "a, b and 2 more". */
export function firstNames<Item>(items: readonly Item[], nameOf: (item: Item) => string, most = 5): string {
  const names = items.slice(0, most).map((item) => nameOf(item));
  return `${names.join(", ")}${items.length > most ? ` and ${items.length - most} more` : ""}`;
}

/** "1 share", "2 backends" or "1 share, 2 backends"; null: neither. */
export function sharesAndBackends(shares: number, backends: number): string | null {
  const parts = [
    ...(shares > 0 ? [pluralize(shares, "share")] : []),
    ...(backends > 0 ? [pluralize(backends, "server")] : []),
  ];
  return parts.length === 0 ? null : parts.join(", ");
}

/** Escapes like `printable`, but keeps line breaks and tabs. */
export function printableLines(text: string): string {
  return text
    .split("\n")
    .map((line) => line.replace(/\r$/, "").split("\t").map(printable).join("\t"))
    .join("\n");
}

/** Removes a byte order mark from the beginning of a text, because JSON does not allow one. */
export function withoutByteOrderMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** Writes the characters beyond ASCII as TOML, JSON and YAML escape them: text that looks alike then looks different. */
export function escapedText(text: string): string {
  return text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
