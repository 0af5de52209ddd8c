// The frame around the screens: header, current screen, key hints, and the keys' way to the screen.
import { Box, useApp, useInput, useWindowSize } from "ink";
import { createElement as h, type ReactElement, useSyncExternalStore } from "react";
import type { Frame } from "./terminal/frame.ts";
import { footerLine, headerLine } from "./terminal/frame-lines.ts";
import { keysOf } from "./terminal/key.ts";
import { Lines } from "./terminal/lines-view.ts";
import type { Screen } from "./terminal/screen.ts";
import { symbolsFor, type TuiStyle } from "./terminal/terminal-style.ts";
import type { View } from "./terminal/view.ts";

interface TuiAppProps {
  readonly screens: readonly Screen[];
  readonly frame: Frame;
  readonly style: TuiStyle;
}

const FRAME_LINES = 2;

export function TuiApp({ screens, frame, style }: TuiAppProps): ReactElement {
  const { exit } = useApp();
  const { columns: width, rows: height } = useWindowSize();
  const shown = useSyncExternalStore(frame.shown.subscribe, frame.shown.get);
  const hints = useSyncExternalStore(shown.hints.subscribe, shown.hints.get);
  const connection = useSyncExternalStore(shown.connection.subscribe, shown.connection.get);

  useInput((input, key) => {
    for (const pressed of keysOf(input, key)) {
      if (!frame.press(pressed)) continue;
      exit();
      return;
    }
  });

  const view: View = { width, style, symbols: symbolsFor(style) };
  const header = headerLine(screens, shown.key, connection, view);
  return h(
    Box,
    { flexDirection: "column", height, width, overflow: "hidden" },
    h(Lines, { lines: [header], style }),
    h(
      Box,
      { flexDirection: "column", flexGrow: 1, flexShrink: 0 },
      h(shown.Body, { width, height: Math.max(0, height - FRAME_LINES), style }),
    ),
    h(Lines, { lines: height > 1 ? [footerLine(hints, view)] : [], style }),
  );
}
