// Draws lines: one row each, in the colours of their tones.
import { Box, Text, type TextProps } from "ink";
import { createElement as h, type ReactElement } from "react";
import type { Line, Tone } from "./line.ts";
import type { TuiStyle } from "./terminal-style.ts";

const STYLES: Readonly<Record<Tone, TextProps>> = {
  plain: {},
  strong: { bold: true },
  faint: { dimColor: true },
  good: { color: "green" },
  bad: { color: "red" },
  warning: { color: "yellow" },
  accent: { color: "cyan" },
  cursor: { inverse: true },
};

interface LinesProps {
  readonly lines: readonly Line[];
  /** Columns of the terminal. */
  readonly width: number;
  /** Its lines. */
  readonly height: number;
  readonly style: TuiStyle;
}

/** The lines under each other. They fit already: a row too many would be drawn over another one. */
export function Lines({ lines, width, height, style }: LinesProps): ReactElement {
  return h(
    Box,
    { flexDirection: "column", width, height, overflow: "hidden" },
    lines.map((line, row) => h(Box, { key: row, height: 1, flexShrink: 0 }, lineText(line, style))),
  );
}

function lineText(line: Line, style: TuiStyle): ReactElement {
  const pieces = line
    .filter(({ text }) => text !== "")
    .map(({ text, tone }, index) => h(Text, { key: index, ...(style.color ? STYLES[tone] : {}) }, text));
  return h(Text, { wrap: "truncate" }, pieces.length === 0 ? " " : pieces);
}
