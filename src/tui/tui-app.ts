// The terminal: draws the frame's lines when they are due, and passes its keys to the frame.
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
import type { Frame } from "./terminal/frame.ts";
import { keysOf } from "./terminal/key.ts";
import type { LentTerminal } from "./terminal/lent-terminal.ts";
import type { Line, Tone } from "./terminal/line.ts";
import type { Redraws } from "./terminal/redraws.ts";
import { symbolsFor, type TuiStyle } from "./terminal/terminal-style.ts";

interface TuiAppProps {
  readonly frame: Frame;
  readonly redraws: Redraws;
  readonly lent: Pick<LentTerminal, "editing" | "suspend">;
  readonly style: TuiStyle;
}

/** Draws on the process's terminal until its `unmount`; a person who leaves ends it, too. */
export function renderApp(props: TuiAppProps): Instance {
  return render(h(TuiApp, props), {
    alternateScreen: true,
    incrementalRendering: true,
    // A terminal is there; that it may be a build machine's does not matter.
    interactive: true,
    exitOnCtrlC: false,
    patchConsole: false,
  });
}

function TuiApp({ frame, redraws, lent, style }: TuiAppProps): ReactElement {
  const { exit, suspendTerminal } = useApp();
  lent.suspend = suspendTerminal;
  const { columns: width, rows: height } = useWindowSize();
  useSyncExternalStore(redraws.count.subscribe, redraws.count.get);

  useInput((input, key) => {
    for (const pressed of keysOf(input, key)) {
      // Typed before the editor was there, it is not for what is shown after.
      if (lent.editing !== null) return;
      if (!frame.press(pressed)) continue;
      exit();
      return;
    }
    redraws.now();
  });

  // A key to leave may have waited for a save.
  useEffect(() => {
    if (frame.hasLeft()) exit();
  });

  usePaste((text) => {
    if (lent.editing !== null) return;
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
function Lines({ lines, width, height, style }: LinesProps): ReactElement {
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
