// Text from elsewhere (servers, programs, names) in a line of ours.
import { harmless } from "./plain-text.ts";

/** On one line of at most `longest` characters; what a terminal could obey, or be deceived by, is spelled out. */
export function foreignLine(text: string, longest: number): string {
  // A huge text is not looked at beyond what can be shown; white space goes, so that it may be four times as much.
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
