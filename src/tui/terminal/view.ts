// The properties that every view gets: the room it has, and the style.
import type { TuiStyle, TuiSymbols } from "./terminal-style.ts";

export interface View {
  /** Columns. */
  readonly width: number;
  readonly style: TuiStyle;
  readonly symbols: TuiSymbols;
}
