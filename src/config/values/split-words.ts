// Splits a command line into words, with a shell's quotes and backslashes, but without running a shell. Pure.
import { MountaineerError } from "../../runtime/errors.ts";

/** Throws `usage` for a quote that is not closed. Nothing is expanded: no variables, no `~`, no patterns. */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at);
    const next = line.charAt(at + 1);
    if (quote === "'") {
      if (character === "'") quote = null;
      else word = (word ?? "") + character;
    } else if (character === "\\" && next !== "" && (quote === null || /["\\]/.test(next))) {
      word = (word ?? "") + next;
      at++;
    } else if (quote !== null) {
      if (character === quote) quote = null;
      else word = (word ?? "") + character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? "") + character;
  }
  if (quote !== null) throw new MountaineerError("usage", `the command line has an open ${quote}`);
  if (word !== null) words.push(word);
  return words;
}
