// The colours and symbols of text in a terminal.

export interface TerminalStyle {
  /** In columns. */
  readonly width: number;
  readonly color: boolean;
  /** False: plain ASCII symbols. */
  readonly unicode: boolean;
}

const UNICODE = {
  on: "●",
  off: "○",
  bad: "✗",
  good: "✓",
  skip: "–",
  warning: "▲",
  info: "i",
  arrow: "→",
  arrows: "←→",
  ready: "▶▶",
  dot: "·",
  changed: "⟳",
  times: "×",
  ellipsis: "…",
  focus: "▸",
  chosen: "(●)",
  notChosen: "( )",
  checked: "[✓]",
  notChecked: "[ ]",
};

export type Symbols = Readonly<Record<keyof typeof UNICODE, string>>;

const ASCII: Symbols = {
  on: "*",
  off: "o",
  bad: "x",
  good: "+",
  skip: "-",
  warning: "!",
  info: "i",
  arrow: "->",
  arrows: "arrows",
  ready: ">>",
  dot: "-",
  changed: "~",
  times: "x",
  ellipsis: "..",
  focus: ">",
  chosen: "(*)",
  notChosen: "( )",
  checked: "[x]",
  notChecked: "[ ]",
};

export function symbolsFor({ unicode }: Pick<TerminalStyle, "unicode">): Symbols {
  return unicode ? UNICODE : ASCII;
}

export type Style = (text: string) => string;

/** `banner`: bold black on yellow. */
export interface Paint
  extends Readonly<Record<"bold" | "dim" | "red" | "green" | "yellow" | "cyan" | "banner", Style>> {
  readonly symbols: Symbols;
}

export function paintFor(style: Pick<TerminalStyle, "color" | "unicode">): Paint {
  const code = (open: string, close: string): Style => {
    return style.color ? (text) => (text === "" ? "" : `\x1b[${open}m${text}\x1b[${close}m`) : (text) => text;
  };
  return {
    symbols: symbolsFor(style),
    bold: code("1", "22"),
    dim: code("2", "22"),
    red: code("31", "39"),
    green: code("32", "39"),
    yellow: code("33", "39"),
    cyan: code("36", "39"),
    banner: code("1;30;43", "0"),
  };
}

const TONES = {
  good: ["on", "green"],
  plain: ["off", "dim"],
  warning: ["warning", "yellow"],
  bad: ["bad", "red"],
} as const;

/** The symbol of a tone, which shows the tone even without colour. */
export function toneMark(tone: keyof typeof TONES, symbols: Symbols): string {
  return symbols[TONES[tone][0]];
}

/** The symbol and colour of a tone. */
export function tonePaint(
  tone: keyof typeof TONES,
  { symbols, ...paint }: Paint,
): { readonly mark: string; readonly style: Style } {
  return { mark: toneMark(tone, symbols), style: paint[TONES[tone][1]] };
}
