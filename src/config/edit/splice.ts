// Changes of a text by range: splices, lines, and entries between brackets, for TOML and YAML alike.

/** Replaces `[start, end)`, offsets in UTF-16 units. */
export interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

export function applySplices(text: string, splices: readonly Splice[]): string {
  let result = "";
  let done = 0;
  for (const { start, end, text: inserted } of splices.toSorted((one, other) => one.start - other.start)) {
    if (start < done || end < start || end > text.length) throw new RangeError("splices overlap");
    result += text.slice(done, start) + inserted;
    done = end;
  }
  return result + text.slice(done);
}

/** Merges overlapping removals: two adjacent ones may both remove the empty line between them. */
export function mergeRemovals(removals: readonly Splice[]): Splice[] {
  const merged: Splice[] = [];
  for (const removal of removals.toSorted((one, other) => one.start - other.start)) {
    const last = merged.at(-1);
    if (last === undefined || removal.start >= last.end) merged.push(removal);
    else merged[merged.length - 1] = { ...last, end: Math.max(last.end, removal.end) };
  }
  return merged;
}

export function lineStart(text: string, offset: number): number {
  return offset === 0 ? 0 : text.lastIndexOf("\n", offset - 1) + 1;
}

/** The offset of the end of the line that contains `offset`, after its line break. */
export function lineEnd(text: string, offset: number): number {
  const end = text.indexOf("\n", offset);
  return end === -1 ? text.length : end + 1;
}

/** The end of the line that holds `offset`, before its line break. */
export function lineTextEnd(text: string, offset: number): number {
  const end = lineEnd(text, offset);
  if (text[end - 1] !== "\n" || end - 1 < offset) return end;
  return text[end - 2] === "\r" && end - 2 >= offset ? end - 2 : end - 1;
}

/** The line break that the file uses around `offset`. */
function lineBreak(text: string, offset: number): string {
  const after = text.indexOf("\n", offset);
  const at = after === -1 ? text.lastIndexOf("\n") : after;
  return at > 0 && text[at - 1] === "\r" ? "\r\n" : "\n";
}

export function indentation(text: string, offset: number): string {
  return /^[ \t]*/.exec(text.slice(lineStart(text, offset), offset))?.[0] ?? "";
}

export function isBlank(text: string): boolean {
  return /^[ \t\r\n]*$/.test(text);
}

/** True if only spaces and tabs come before `offset` on its line. */
export function beginsLine(text: string, offset: number): boolean {
  return isBlank(text.slice(lineStart(text, offset), offset));
}

/** Returns the splice that inserts `lines`, given without line breaks, after the line that contains `offset`. */
export function linesAfter(text: string, offset: number, lines: readonly string[]): Splice {
  const at = lineEnd(text, offset);
  const eol = lineBreak(text, offset);
  const joined = lines.join(eol);
  const open = at > 0 && text[at - 1] !== "\n";
  return { start: at, end: at, text: open ? `${eol}${joined}` : `${joined}${eol}` };
}

/** Lines to be put at the end of the file; with `apart`, after an empty line. */
export function linesAtEnd(text: string, lines: readonly string[], apart: boolean): Splice {
  const eol = lineBreak(text, text.length);
  const body = text.replace(/^\ufeff/, "");
  let before = body === "" || body.endsWith("\n") ? "" : eol;
  const lastLine = body.slice(lineStart(body, Math.max(0, body.replace(/\r?\n$/, "").length)));
  if (apart && !isBlank(body) && !isBlank(lastLine)) before += eol;
  return { start: text.length, end: text.length, text: `${before}${lines.join(eol)}${eol}` };
}

/**
 * Returns a splice that removes all lines from the line of `start` to the line of `end`. It also removes an adjacent
 * empty line that would be left over.
 */
export function wholeLines(text: string, start: number, end: number): Splice {
  const from = lineStart(text, start);
  const to = lineEnd(text, end);
  const before = from === 0 ? null : lineStart(text, from - 1);
  if (before !== null && !isBlank(text.slice(before, from))) return { start: from, end: to, text: "" };
  if (to === text.length) return { start: before ?? from, end: to, text: "" };
  const next = lineEnd(text, to);
  return { start: from, end: isBlank(text.slice(to, next)) ? next : to, text: "" };
}

/** The offset of the next character that is neither blank nor in a comment. */
function skipBlanks(text: string, from: number): number {
  let at = from;
  for (;;) {
    while (at < text.length && /[ \t\r\n]/.test(text[at] ?? "")) at += 1;
    if (text[at] !== "#") return at;
    at = lineTextEnd(text, at);
  }
}

/** The offset after the comma that follows an entry; null when none does. */
function commaAfter(text: string, end: number): number | null {
  const at = skipBlanks(text, end);
  return text[at] === "," ? at + 1 : null;
}

/** The positions of a pair of brackets and of the entries between them. */
export interface Bracketed {
  readonly open: number;
  readonly close: number;
  readonly entries: readonly Span[];
  /** True for `{ a }`, false for `{a}`. */
  readonly spaced: boolean;
}

export function addEntry(text: string, { open, close, entries, spaced }: Bracketed, entry: string): Splice[] {
  const last = entries.at(-1);
  if (last === undefined) {
    const inner = text.slice(open, close);
    if (inner.includes("\n")) {
      const indent = `${indentation(text, close)}  `;
      return [{ start: open, end: open, text: `${lineBreak(text, open)}${indent}${entry}` }];
    }
    const space = spaced ? " " : "";
    return [{ start: open, end: close, text: `${space}${entry}${space}` }];
  }
  const comma = commaAfter(text, last.end);
  const from = comma ?? last.end;
  if (beginsLine(text, last.start) && text.slice(from, close).includes("\n")) {
    const line = linesAfter(text, from, [
      `${indentation(text, last.start)}${entry}${comma === null ? "" : ","}`,
    ]);
    return comma === null ? [{ start: last.end, end: last.end, text: "," }, line] : [line];
  }
  return [{ start: from, end: from, text: comma === null ? `, ${entry}` : ` ${entry}` }];
}

/** Removes an entry with its comma, and the whole line if nothing else is on it. */
export function removeEntry(text: string, { entries }: Bracketed, index: number): Splice[] {
  const entry = entries[index];
  if (entry === undefined) throw new RangeError("no such entry");
  const previous = entries[index - 1];
  const isLast = index === entries.length - 1;
  const ownEnd = /^[ \t]*,/.exec(text.slice(entry.end))?.[0].length;
  const end = entry.end + (ownEnd ?? 0);
  const rest = text.slice(end, lineTextEnd(text, end));
  const isWholeLine = beginsLine(text, entry.start) && /^[ \t]*(#.*)?$/.test(rest);
  const line = { start: lineStart(text, entry.start), end: lineEnd(text, end), text: "" };
  if (ownEnd !== undefined) {
    if (isWholeLine) return [line];
    const spaces = /^[ \t]*/.exec(text.slice(end))?.[0].length ?? 0;
    return [{ start: entry.start, end: text[end + spaces] === "#" ? end : end + spaces, text: "" }];
  }
  const laterComma = isLast ? null : commaAfter(text, entry.end);
  if (laterComma !== null && !text.slice(entry.end, laterComma).includes("#")) {
    return [{ start: entry.start, end: laterComma, text: "" }];
  }
  if (previous === undefined) return [isWholeLine ? line : { ...entry, text: "" }];
  const between = text.slice(previous.end, entry.start);
  const comma = /^[ \t]*,/.exec(between)?.[0].length;
  if (isWholeLine) {
    return comma !== undefined && isLast
      ? [{ start: previous.end, end: previous.end + comma, text: "" }, line]
      : [line];
  }
  return between.includes("#")
    ? [{ ...entry, text: "" }]
    : [{ start: previous.end, end: entry.end, text: "" }];
}
