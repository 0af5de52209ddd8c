// The properties that every view gets: the room it has, and the style.
import type { TuiLook, TuiSymbols } from "./look.ts";

export interface View {
  /** Columns. */
  readonly width: number;
  readonly look: TuiLook;
  readonly symbols: TuiSymbols;
}
