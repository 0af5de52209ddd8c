// The terminal: draws the frame's lines when they are due, and passes keys to the frame.
import {
  Box,
  type Instance,
  render,
  Text,
  type TextProps,
  useApp,
  useInput,
  usePaste,
  useWindowSize,
} from "ink";
import { createElement as h, type ReactElement, useEffect, useSyncExternalStore } from "react";
import { createStore } from "../runtime/store.ts";
import { symbolsFor, type TerminalStyle } from "../runtime/text/paint.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { createThrottle } from "../runtime/time/throttle.ts";
import type { Frame } from "./terminal/frame.ts";
import { keysOf } from "./terminal/key.ts";
import type { Line, Tone } from "./terminal/line.ts";

/** 20 redraws a second look smooth, and bound the cost of any number of changes. */
const BETWEEN_REDRAWS_MS = 50;

/** Combines many changes into few redraws. */
export function createRedraws(clock: Clock) {
  /** Each new value makes the view draw. */
  const count = createStore(0);
  const now = (): void => count.set(count.get() + 1);
  const { due, [Symbol.dispose]: dispose } = createThrottle(clock, BETWEEN_REDRAWS_MS, now);
  return { count, due, now, [Symbol.dispose]: dispose };
}

interface TuiAppProps {
  readonly frame: Frame;
  readonly redraws: ReturnType<typeof createRedraws>;
  readonly style: Pick<TerminalStyle, "color" | "unicode">;
}

/** Draws on the process's terminal until the returned instance is unmounted, or the user leaves. */
export function renderApp(props: TuiAppProps): Instance {
  return render(h(TuiApp, props), {
    alternateScreen: true,
    incrementalRendering: true,
    // Set, because in a CI run the library would treat the terminal as not interactive.
    interactive: true,
    exitOnCtrlC: false,
    patchConsole: false,
  });
}

function TuiApp({ frame, redraws, style }: TuiAppProps): ReactElement {
  const { exit } = useApp();
  const { columns: width, rows: height } = useWindowSize();
  useSyncExternalStore(redraws.count.subscribe, redraws.count.get);

  useInput((input, key) => {
    for (const pressed of keysOf(input, key)) {
      if (!frame.press(pressed)) continue;
      exit();
      return;
    }
    redraws.now();
  });

  // Checked after each redraw, because the key to leave may have been queued during a save.
  useEffect(() => {
    if (frame.hasLeft()) exit();
  });

  usePaste((text) => {
    frame.paste(text);
    redraws.now();
  });

  const lines = frame.draw({ width, height, style, symbols: symbolsFor(style) });
  return h(Lines, { lines, width, height, style });
}

const STYLES: Readonly<Record<Tone, TextProps>> = {
  plain: {},
  strong: { bold: true },
  faint: { dimColor: true },
  good: { color: "green" },
  bad: { color: "red" },
  warning: { color: "yellow" },
  accent: { color: "cyan" },
  banner: { color: "black", backgroundColor: "yellow", bold: true },
  cursor: { inverse: true },
};

interface LinesProps {
  readonly lines: readonly Line[];
  /** Size of the terminal, in columns and lines. */
  readonly width: number;
  readonly height: number;
  readonly style: Pick<TerminalStyle, "color" | "unicode">;
}

/** Draws the lines, which already fit; an extra row would overwrite another one. */
function Lines({ lines, width, height, style }: LinesProps): ReactElement {
  return h(
    Box,
    { flexDirection: "column", width, height, overflow: "hidden" },
    lines.map((line, row) => h(Box, { key: row, height: 1, flexShrink: 0 }, lineText(line, style))),
  );
}

function lineText(line: Line, style: Pick<TerminalStyle, "color" | "unicode">): ReactElement {
  const pieces = line
    .filter(({ text }) => text !== "")
    .map(({ text, tone }, index) => h(Text, { key: index, ...(style.color ? STYLES[tone] : {}) }, text));
  return h(Text, { wrap: "truncate" }, pieces.length === 0 ? " " : pieces);
}
