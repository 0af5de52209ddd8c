// Text of servers and other programs, made safe for one line of output.
import { printable } from "./plain-text.ts";

/**
 * The text on one line of at most `longest` characters, with control characters and invisible characters escaped.
 */
export function safeLine(text: string, longest: number): string {
  // Bounds the work for a huge text. Four times the result's length, because white space is folded.
  const line = text
    .slice(0, 4 * longest)
    .replace(/\s+/gu, " ")
    .trim();
  return shortened(printable(line), longest);
}

/** The text, cut to `longest` characters with an ellipsis. Never cut within a surrogate pair. */
export function shortened(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 1).toWellFormed()}…`;
}
