// The first and the last line of every screen, and what stands on a terminal that is too small for one.

import { columns } from "../../runtime/text/plain-text.ts";
import { absenceText, type Connection } from "./connection.ts";
import { cutLine, type Line, lineColumns, type Span, span, spread } from "./line.ts";
import type { Screen, ScreenSize } from "./screen.ts";
import type { View } from "./terminal-style.ts";

export const LEAST_WIDTH = 60;
export const LEAST_HEIGHT = 15;

type Tab = Pick<Screen, "key" | "title">;

/** The screens with their keys, and how the daemon is; where titles have no room, keys stand alone. */
export function headerLine(screens: readonly Tab[], shown: string, connection: Connection, view: View): Line {
  const right = connectionSpans(connection, view);
  const room = view.width - lineColumns(right) - 1;
  const whole = titleSpans(screens, shown, () => true);
  const left = lineColumns(whole) <= room ? whole : titleSpans(screens, shown, (key) => key === shown);
  return spread(left, right, view.width, view.symbols.ellipsis);
}

function titleSpans(screens: readonly Tab[], shown: string, isNamed: (key: string) => boolean): Line {
  const tabs = screens.flatMap(({ key, title }, index): Span[] => {
    const gap = isNamed(key) || index === 0 ? "  " : " ";
    return [span(gap), span(isNamed(key) ? `[${key}] ${title}` : key, key === shown ? "accent" : "faint")];
  });
  return [span("Mountaineer", "strong"), ...tabs, span("  ? help", "faint")];
}

function connectionSpans(connection: Connection, { symbols }: View): Line {
  switch (connection.kind) {
    case "connecting":
      return [span(`${symbols.off} connecting`, "faint")];
    case "connected":
      return [span(`${symbols.on} connected`, "good")];
    case "waiting":
      return [span(`${symbols.off} ${absenceText(connection.sinceMs)}`, "warning")];
  }
}

/** The keys that mean something now. */
export function footerLine(hints: readonly string[], view: View): Line {
  return cutLine([span(hints.join("  "), "faint")], view.width, view.symbols.ellipsis);
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
