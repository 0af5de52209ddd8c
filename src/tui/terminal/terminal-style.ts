// The live view's style on this terminal: with colour or without, with symbols or in ASCII.
import type { Tone } from "../../api/words/words.ts";

/** What the terminal can show. */
export interface TuiStyle {
  readonly color: boolean;
  /** False: plain ASCII symbols. */
  readonly unicode: boolean;
}

export interface TuiSymbols {
  readonly changed: string;
  readonly same: string;
  readonly error: string;
  readonly on: string;
  readonly off: string;
  readonly warning: string;
  readonly times: string;
  readonly ellipsis: string;
  readonly focus: string;
  readonly chosen: string;
  readonly notChosen: string;
  readonly checked: string;
  readonly notChecked: string;
  readonly arrows: string;
}

const UNICODE: TuiSymbols = {
  changed: "⟳",
  same: "✓",
  error: "✕",
  on: "●",
  off: "○",
  warning: "▲",
  times: "×",
  ellipsis: "…",
  focus: "▸",
  chosen: "(●)",
  notChosen: "( )",
  checked: "[✓]",
  notChecked: "[ ]",
  arrows: "←→",
};

const ASCII: TuiSymbols = {
  changed: "~",
  same: "+",
  error: "x",
  on: "*",
  off: "o",
  warning: "!",
  times: "x",
  ellipsis: "..",
  focus: ">",
  chosen: "(*)",
  notChosen: "( )",
  checked: "[x]",
  notChecked: "[ ]",
  arrows: "arrows",
};

export function symbolsFor(style: TuiStyle): TuiSymbols {
  return style.unicode ? UNICODE : ASCII;
}

/** What says a tone without colour. */
export function toneMark(tone: Tone, symbols: TuiSymbols): string {
  return { good: symbols.on, plain: symbols.off, warning: symbols.warning, bad: symbols.error }[tone];
}

export interface View {
  /** Columns. */
  readonly width: number;
  readonly style: TuiStyle;
  readonly symbols: TuiSymbols;
}
