// The live view's style on this terminal: with colour or without, with symbols or in ASCII.
import type { Tone } from "../../api/words/words.ts";

export interface TuiStyle {
  readonly color: boolean;
  /** False: plain ASCII symbols. */
  readonly unicode: boolean;
}

const UNICODE = {
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

export type TuiSymbols = Readonly<Record<keyof typeof UNICODE, string>>;

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

/** The symbol that stands for a tone, so that the tone can be read without colour. */
export function toneMark(tone: Tone, symbols: TuiSymbols): string {
  return { good: symbols.on, plain: symbols.off, warning: symbols.warning, bad: symbols.error }[tone];
}

/** The symbol before the result of an action. For a good result it is a check mark. */
export function noteMark(tone: Tone, symbols: TuiSymbols): string {
  return tone === "good" ? symbols.same : toneMark(tone, symbols);
}

export interface View {
  /** Width in columns. */
  readonly width: number;
  readonly style: TuiStyle;
  readonly symbols: TuiSymbols;
}
