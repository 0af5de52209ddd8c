// Owns the frame around the screens: header, the screen that is shown, key hints; changing screens and leaving.
import { Box, useApp, useInput, useWindowSize } from "ink";
import { createElement as h, type ReactElement, useState, useSyncExternalStore } from "react";
import { footerLine, headerLine } from "./frame-lines.ts";
import { type Key, keysOf } from "./key.ts";
import { Lines } from "./lines-view.ts";
import { symbolsFor, type TuiLook } from "./look.ts";
import type { Screen } from "./screen.ts";
import type { View } from "./view.ts";

export interface TuiAppProps {
  /** At least one; the first is shown. */
  readonly screens: readonly [Screen, ...Screen[]];
  readonly look: TuiLook;
}

const FRAME_LINES = 2;

export function TuiApp({ screens, look }: TuiAppProps): ReactElement {
  const { exit } = useApp();
  const { columns: width, rows: height } = useWindowSize();
  const [shown, show] = useState<Screen>(screens[0]);
  const [isLeaving, setLeaving] = useState(false);
  const hints = useSyncExternalStore(shown.hints.subscribe, shown.hints.get);
  const connection = useSyncExternalStore(shown.connection.subscribe, shown.connection.get);

  const press = (key: Key): void => {
    if (key.kind === "named" && key.name === "quit") {
      exit();
      return;
    }
    if (shown.onKey(key)) {
      setLeaving(false);
      return;
    }
    if (key.kind !== "character") return;
    if (key.text === "q") {
      if (!isLeaving && shown.warnUnsaved()) setLeaving(true);
      else exit();
      return;
    }
    const next = screens.find((screen) => screen.key === key.text);
    if (next !== undefined) show(next);
  };
  useInput((input, key) => {
    for (const pressed of keysOf(input, key)) press(pressed);
  });

  const view: View = { width, look, symbols: symbolsFor(look) };
  const header = headerLine(screens, shown.key, connection, view);
  return h(
    Box,
    { flexDirection: "column", height, width, overflow: "hidden" },
    h(Lines, { lines: [header], look }),
    h(
      Box,
      { flexDirection: "column", flexGrow: 1, flexShrink: 0 },
      h(shown.Body, { width, height: Math.max(0, height - FRAME_LINES), look }),
    ),
    h(Lines, { lines: height > 1 ? [footerLine(hints, view)] : [], look }),
  );
}
