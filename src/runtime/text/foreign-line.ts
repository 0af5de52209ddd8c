// Text from elsewhere (servers, programs, names) in a line of ours.
import { harmless } from "./plain-text.ts";

/**
 * The text on one line of at most `longest` characters, with everything that a terminal could obey or be deceived by
 * spelled out.
 */
export function foreignLine(text: string, longest: number): string {
  // Of a huge text only the beginning is read: four times what is shown, because white space is folded.
  const line = text
    .slice(0, 4 * longest)
    .replace(/\s+/gu, " ")
    .trim();
  return shortened(harmless(line), longest);
}

/** Never cut within a character. */
export function shortened(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 1).toWellFormed()}…`;
}
