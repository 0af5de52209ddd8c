// Foreign text made safe for the terminal: control characters spelled out, lines folded to a width.
import { columns, printable } from "../../runtime/text/plain-text.ts";

const TAB = "    ";

const PLAIN = /^[\x20-\x7e]$/;
const PLAIN_LINE = /^[\x20-\x7e]*$/;

function shownLine(line: string): string {
  return PLAIN_LINE.test(line) ? line : printable(line.replaceAll("\t", TAB));
}

/** The lines of a text with line breaks of any kind. */
export function linesOf(text: string): string[] {
  return text.split(/\r\n|\n|\r/);
}

/**
 * Splits a line, with control characters spelled out, into pieces of at most `width` columns. All pieces but the
 * first begin with `indent`.
 */
export function folded(line: string, width: number, indent = ""): string[] {
  const shown = shownLine(line);
  if (PLAIN_LINE.test(shown) ? shown.length <= width : columns(shown) <= width) return [shown];
  const mark = indent.length * 2 > width ? "" : indent;
  const pieces: string[] = [];
  let piece = "";
  let limit = width;
  for (const character of shown) {
    const needed = PLAIN.test(character) ? 1 : columns(character);
    if (needed > limit && piece !== "") {
      pieces.push(piece);
      piece = mark;
      limit = width - mark.length;
    }
    piece += character;
    limit -= needed;
  }
  return [...pieces, piece];
}
