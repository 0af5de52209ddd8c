// The first and the last line of every screen, and what stands on a terminal that is too small for one.

import { columns } from "../../runtime/text/plain-text.ts";
import { localClock } from "../../runtime/time/local-time.ts";
import type { Connection } from "./connection.ts";
import { cutLine, type Line, lineColumns, type Span, span, spread } from "./line.ts";
import type { Screen, ScreenSize } from "./screen.ts";
import type { View } from "./terminal-style.ts";

export const LEAST_WIDTH = 60;
export const LEAST_HEIGHT = 15;

type Tab = Pick<Screen, "key" | "title" | "view">;

/**
 * The views with their keys, and how the daemon is; below it the screens of the shown view, where it has several. What
 * is shown stands in brackets, for terminals without colour.
 */
export function headerLines(
  screens: readonly Tab[],
  shown: Tab,
  connection: Connection,
  view: View,
): readonly Line[] {
  const { ellipsis } = view.symbols;
  const firsts = screens.filter((one, at) => screens.findIndex((other) => other.view === one.view) === at);
  const tabs = tabSpans(firsts.map((one) => [one.key, one.view, one.view === shown.view]));
  const whole = [span("Mountaineer ", "strong"), ...tabs];
  const said = connectionSpans(connection, view);
  const fits = (left: Line, right: Line): boolean => lineColumns(left) + lineColumns(right) < view.width;
  const right = [said, said.slice(0, 2)].find((words) => fits(tabs, words)) ?? said.slice(0, 1);
  const left = fits(whole, right) ? whole : tabs;
  const parts = screens.filter((one) => one.view === shown.view);
  const second = tabSpans(parts.map(({ key, title }) => [key, title, key === shown.key]));
  return [
    spread(left, right, view.width, ellipsis),
    ...(parts.length > 1 ? [cutLine(second, view.width, ellipsis)] : []),
  ];
}

function tabSpans(tabs: readonly (readonly [key: string, title: string, isShown: boolean])[]): Line {
  return tabs.flatMap(([key, title, isShown]): Span[] =>
    isShown
      ? [span(`[${key} ${title}]`, "accent")]
      : [span(` ${key} `, "accent"), span(`${title} `, "faint")],
  );
}

/** As many of them as there is room for. */
function connectionSpans(connection: Connection, { symbols }: View): Line {
  switch (connection.kind) {
    case "connecting":
      return [span(symbols.off, "faint"), span(" connecting", "faint")];
    case "connected":
      return [span(symbols.on, "good"), span(" connected", "good")];
    case "waiting":
      return [
        span(symbols.off, "warning"),
        span(" not connected", "warning"),
        span(` since ${localClock(new Date(connection.sinceMs))}`, "warning"),
      ];
  }
}

/** The keys that mean something now, as many as there is room for. */
export function footerLine(hints: readonly string[], { width }: View): Line {
  const fits = (count: number): boolean => columns(hints.slice(0, count).join("  ")) <= width;
  return [span(hints.filter((_, at) => fits(at + 1)).join("  "), "faint")];
}

/** null where there is room enough. */
export function tooSmallLines({ width, height, symbols }: ScreenSize): readonly Line[] | null {
  if (width >= LEAST_WIDTH && height >= LEAST_HEIGHT) return null;
  const words = `Too small: needs ${LEAST_WIDTH}×${LEAST_HEIGHT}, has ${width}×${height}. q quits.`;
  const lines: Line[] = [];
  let line = "";
  for (const word of words.replaceAll("×", symbols.times).split(" ")) {
    if (line !== "" && columns(line) + 1 + columns(word) > width) {
      lines.push([span(line, "warning")]);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  lines.push([span(line, "warning")]);
  return lines.slice(0, height).map((each) => cutLine(each, width, symbols.ellipsis));
}
