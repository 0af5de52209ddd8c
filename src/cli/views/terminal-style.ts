// The width, colour and symbols of this process's terminal.
import type { TerminalStyle } from "../../runtime/text/paint.ts";

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
