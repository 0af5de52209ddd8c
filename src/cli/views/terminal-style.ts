// The width, colour and symbols of a terminal.
import type { Paint, Style, Symbols } from "../../runtime/text/paint.ts";

export interface TerminalStyle {
  /** In columns. */
  readonly width: number;
  readonly color: boolean;
  /** False: plain ASCII symbols. */
  readonly unicode: boolean;
}

const DEFAULT_WIDTH = 80;

type Environment = Readonly<Record<string, string | undefined>>;

/** Colour only on a terminal and without NO_COLOR; Unicode symbols only in a UTF-8 locale. */
export function terminalStyle(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  environment: Environment,
): TerminalStyle {
  const { NO_COLOR, FORCE_COLOR, TERM, COLUMNS, LC_ALL, LC_CTYPE, LANG } = environment;
  const forced = FORCE_COLOR !== undefined && FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
  const wanted = forced || (stream.isTTY === true && TERM !== "dumb");
  const columns = Number(COLUMNS);
  return {
    width: stream.columns || (Number.isInteger(columns) && columns > 0 ? columns : DEFAULT_WIDTH),
    color: wanted && !NO_COLOR,
    unicode: /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || ""),
  };
}

const UNICODE: Symbols = {
  on: "●",
  off: "○",
  bad: "✗",
  good: "✓",
  skip: "–",
  warning: "▲",
  info: "i",
  arrow: "→",
  ready: "▶▶",
  dot: "·",
};

const ASCII: Symbols = {
  on: "*",
  off: "o",
  bad: "x",
  good: "+",
  skip: "-",
  warning: "!",
  info: "i",
  arrow: "->",
  ready: ">>",
  dot: "-",
};

export function paintFor(style: Pick<TerminalStyle, "color" | "unicode">): Paint {
  const code = (open: string, close: string): Style => {
    return style.color ? (text) => (text === "" ? "" : `\x1b[${open}m${text}\x1b[${close}m`) : (text) => text;
  };
  return {
    symbols: style.unicode ? UNICODE : ASCII,
    bold: code("1", "22"),
    dim: code("2", "22"),
    red: code("31", "39"),
    green: code("32", "39"),
    yellow: code("33", "39"),
    cyan: code("36", "39"),
    banner: code("1;30;43", "0"),
  };
}
