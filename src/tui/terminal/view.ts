// Owns what every view is given: the room there is, and how things look there.
import type { TuiLook, TuiSymbols } from "./look.ts";

export interface View {
  /** Columns. */
  readonly width: number;
  readonly look: TuiLook;
  readonly symbols: TuiSymbols;
}
