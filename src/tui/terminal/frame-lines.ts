// The first and the last line of every screen.

import type { Connection } from "./connection.ts";
import { cutLine, type Line, type Span, span, spread } from "./line.ts";
import type { Screen } from "./screen.ts";
import type { View } from "./view.ts";

/** The screens with their keys, and how the daemon is. */
export function headerLine(
  screens: readonly Pick<Screen, "key" | "name">[],
  shown: string,
  connection: Connection,
  view: View,
): Line {
  const tabs = screens.flatMap(({ key, name }): Span[] => [
    span("  "),
    span(`[${key}] ${name}`, key === shown ? "accent" : "faint"),
  ]);
  return spread(
    [span("Mountaineer", "strong"), ...tabs],
    connectionSpans(connection, view),
    view.width,
    view.symbols.ellipsis,
  );
}

function connectionSpans(connection: Connection, { symbols }: View): Line {
  switch (connection.kind) {
    case "connecting":
      return [span(`${symbols.off} connecting`, "faint")];
    case "connected":
      return [span(`${symbols.on} connected`, "good")];
    case "waiting":
      return [span(`${symbols.off} waiting for the daemon`, "warning")];
  }
}

/** The keys that mean something now. */
export function footerLine(hints: readonly string[], view: View): Line {
  return cutLine([span(hints.join("  "), "faint")], view.width, view.symbols.ellipsis);
}
