// A line of the screen as pieces of text with a tone each, measured and cut to fit.
import type { Symbols, TerminalStyle } from "../../runtime/text/paint.ts";
import {
  columns,
  firstColumns,
  lastColumns,
  padded,
  printable,
  wrapped,
} from "../../runtime/text/plain-text.ts";
import { folded } from "./folded.ts";

/** The space to draw in. */
export interface View {
  /** Width in columns. */
  readonly width: number;
  readonly style: Pick<TerminalStyle, "color" | "unicode">;
  readonly symbols: Symbols;
}

/** Decides the colour; the text is complete without colour. */
export type Tone = "plain" | "strong" | "faint" | "good" | "bad" | "warning" | "accent" | "banner" | "cursor";

export interface Span {
  readonly text: string;
  readonly tone: Tone;
}

export type Line = readonly Span[];

/** Spells out control characters. */
export function span(text: string, tone: Tone = "plain"): Span {
  return { text: printable(text), tone };
}

const ESCAPE = String.fromCharCode(27);
const TONE_OF: ReadonlyMap<string, Tone> = new Map<string, Tone>([
  ["1", "strong"],
  ["2", "faint"],
  ["31", "bad"],
  ["32", "good"],
  ["33", "warning"],
  ["36", "accent"],
  ["1;30;43", "banner"],
]);

/** A line of a view that `paintFor` has painted, as spans. What a paint encloses has been made harmless before. */
function paintedLine(painted: string): Line {
  const [first = "", ...rest] = painted.split(`${ESCAPE}[`);
  const pieces = rest.map((piece): Span => {
    const end = piece.indexOf("m");
    return { text: piece.slice(end + 1), tone: TONE_OF.get(piece.slice(0, end)) ?? "plain" };
  });
  return [span(first), ...pieces].filter(({ text }) => text !== "");
}

/** Painted lines as spans, where even commands and paths that a view keeps whole are broken: nothing is cut off. */
export function paintedLines(painted: readonly string[], width: number): readonly Line[] {
  return painted.map(paintedLine).flatMap((line) => {
    if (lineColumns(line) <= width) return [line];
    const text = lineText(line);
    const indent = span(text.slice(0, text.search(/\S/)));
    const tone = line.findLast((piece) => piece.text.trim() !== "")?.tone ?? "plain";
    const parts = paragraph(text, width - columns(indent.text), MOST_PARTS, "");
    return parts.map((part): Line => [indent, span(part, tone)]);
  });
}

const MOST_PARTS = 100;

export function lineColumns(line: Line): number {
  return line.reduce((sum, { text }) => sum + columns(text), 0);
}

/** The line's text without tones, as a terminal without colour shows it. */
export function lineText(line: Line): string {
  return line.map(({ text }) => text).join("");
}

/** An ellipsis replaces the end if the text is wider than `width` columns. */
export function cutText(text: string, width: number, ellipsis: string): string {
  if (columns(text) <= width) return text;
  if (width <= columns(ellipsis)) return firstColumns(text, Math.max(0, width));
  return firstColumns(text, width - columns(ellipsis)) + ellipsis;
}

/** The last of the `width` columns stays empty. Control characters are spelled out. */
export function cell(text: string, width: number, { symbols }: View): string {
  return padded(cutText(span(text).text, width - 1, symbols.ellipsis), width);
}

/** Cuts off the start, because the end of a path says more. */
export function cutStart(text: string, width: number, ellipsis: string): string {
  if (columns(text) <= width) return text;
  if (width <= columns(ellipsis)) return lastColumns(text, Math.max(0, width));
  return ellipsis + lastColumns(text, width - columns(ellipsis));
}

export function cutLine(line: Line, width: number, ellipsis: string): Line {
  if (lineColumns(line) <= width) return line;
  const fitting: Span[] = [];
  let left = width;
  for (const [index, piece] of line.entries()) {
    const own = columns(piece.text);
    const more = line.slice(index + 1).some(({ text }) => text.trim() !== "");
    if (own <= left && (!more || own <= left - columns(ellipsis))) {
      fitting.push(piece);
      left -= own;
      continue;
    }
    // The ellipsis stands for the rest of this piece, or for the pieces after it.
    const text = own > left ? cutText(piece.text, left, ellipsis) : piece.text;
    const cut = own > left || !more ? text : cutText(`${piece.text}${ellipsis} `, left, ellipsis);
    fitting.push({ text: cut, tone: piece.tone });
    break;
  }
  return fitting;
}

/** `left` and `right` at the two ends of `width` columns; cuts `left` if both do not fit. */
export function spread(left: Line, right: Line, width: number, ellipsis: string): Line {
  const limit = width - lineColumns(right) - 1;
  if (limit < 0) return cutLine(right, width, ellipsis);
  const cut = cutLine(left, limit, ellipsis);
  return [...cut, span(" ".repeat(width - lineColumns(cut) - lineColumns(right))), ...right];
}

/**
 * Foreign text in at most `limit` lines of at most `width` columns, broken at spaces; also breaks words
 * longer than a line.
 */
export function paragraph(text: string, width: number, limit: number, ellipsis: string): string[] {
  const widest = Math.max(1, width);
  const lines = wrapped(printable(text), widest).flatMap((line) => folded(line, widest));
  if (lines.length <= limit) return lines;
  const shown = lines.slice(0, Math.max(0, limit));
  const last = shown.pop();
  return last === undefined
    ? []
    : [...shown, cutText(`${last} ${ellipsis}${" ".repeat(widest)}`, widest, ellipsis)];
}

/**
 * Lays out a paragraph after `lead`, in at most `limit` lines. Further lines are indented to the column where the
 * paragraph begins.
 */
export function hangingLines(
  lead: Span,
  text: string,
  tone: Tone,
  { width, symbols }: View,
  limit = 20,
): readonly Line[] {
  const indent = span(" ".repeat(columns(lead.text)));
  return paragraph(text, width - columns(lead.text), limit, symbols.ellipsis).map((line, index) => [
    index === 0 ? lead : indent,
    span(line, tone),
  ]);
}

export function markedLines(
  mark: string,
  text: string,
  tone: Tone,
  view: View,
  limit?: number,
): readonly Line[] {
  return hangingLines(span(`${mark} `, tone), text, tone, view, limit);
}

export function diffTone(line: string): Tone {
  if (line.startsWith("@@")) return "accent";
  if (line.startsWith("+")) return "good";
  return line.startsWith("-") ? "bad" : "plain";
}
