// Renders a file's text, and the diff of two files, for a terminal; for other outputs, both stay unchanged.
// Pure.

import { paintFor, type TerminalStyle } from "../../runtime/text/paint.ts";
import { printableLines } from "../../runtime/text/plain-text.ts";

export function renderDiff(diff: string, style: TerminalStyle): string {
  const paint = paintFor(style);
  return printableLines(diff)
    .split("\n")
    .map((line, index) => {
      if (index < 2) return paint.bold(line);
      if (line.startsWith("@@")) return paint.cyan(line);
      if (line.startsWith("+")) return paint.green(line);
      return line.startsWith("-") ? paint.red(line) : line;
    })
    .join("\n");
}
