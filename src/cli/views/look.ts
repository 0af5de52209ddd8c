// The abilities of a terminal: its width, colour, and symbols.
import type { Paint, Style, Symbols } from "../../runtime/text/paint.ts";

export interface Look {
  /** In columns. */
  readonly width: number;
  readonly color: boolean;
  /** False: plain ASCII symbols. */
  readonly unicode: boolean;
}

const DEFAULT_WIDTH = 80;

type Environment = Readonly<Record<string, string | undefined>>;

/** The look of a stream: colour only on a terminal and not against NO_COLOR, symbols only where the locale is UTF-8. */
export function lookOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  environment: Environment,
): Look {
  const { NO_COLOR, FORCE_COLOR, TERM, COLUMNS, LC_ALL, LC_CTYPE, LANG } = environment;
  const forced = FORCE_COLOR !== undefined && FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
  const wanted = forced || (stream.isTTY === true && TERM !== "dumb");
  const told = Number(COLUMNS);
  return {
    width: stream.columns || (Number.isInteger(told) && told > 0 ? told : DEFAULT_WIDTH),
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

export function paintFor(look: Pick<Look, "color" | "unicode">): Paint {
  const style = (open: string, close: string): Style => {
    return look.color ? (text) => (text === "" ? "" : `\x1b[${open}m${text}\x1b[${close}m`) : (text) => text;
  };
  return {
    symbols: look.unicode ? UNICODE : ASCII,
    bold: style("1", "22"),
    dim: style("2", "22"),
    red: style("31", "39"),
    green: style("32", "39"),
    yellow: style("33", "39"),
    cyan: style("36", "39"),
    banner: style("1;30;43", "0"),
  };
}
