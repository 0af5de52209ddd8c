// A table: a line of titles above rows of cells. The caller makes the cells safe to print. Pure.

import { paintFor, type TerminalStyle } from "../../runtime/text/paint.ts";
import { columns, padded } from "../../runtime/text/plain-text.ts";

const GAP = "  ";

export function renderTable(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  style: TerminalStyle,
): string {
  const paint = paintFor(style);
  const widths = titles.map((title, at) =>
    Math.max(...[title, ...rows.map((row) => row[at] ?? "")].map(columns)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => padded(cell, widths[at] ?? 0))
      .join(GAP)
      .trimEnd();
  return [paint.dim(line(titles)), ...rows.map(line)].map((text) => `${text}\n`).join("");
}
