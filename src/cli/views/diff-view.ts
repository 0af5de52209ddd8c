// A file's text, and the difference of two, for a terminal; elsewhere they are printed unchanged. Pure.

import { harmless } from "../../runtime/text/plain-text.ts";
import { paintFor, type TerminalStyle } from "./terminal-style.ts";

/** Every line harmless, tabs kept. */
export function forTerminal(text: string): string {
  return text
    .split("\n")
    .map((line) => line.replace(/\r$/, "").split("\t").map(harmless).join("\t"))
    .join("\n");
}

/** A unified diff in colour, harmless. */
export function renderDiff(diff: string, style: TerminalStyle): string {
  const paint = paintFor(style);
  return forTerminal(diff)
    .split("\n")
    .map((line, index) => {
      if (index < 2) return paint.bold(line);
      if (line.startsWith("@@")) return paint.cyan(line);
      if (line.startsWith("+")) return paint.green(line);
      return line.startsWith("-") ? paint.red(line) : line;
    })
    .join("\n");
}
