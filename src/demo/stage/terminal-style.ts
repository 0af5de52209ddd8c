// What the demo knows of its terminal; the command line provides it.
import type { Paint } from "../../runtime/text/paint.ts";

export interface TerminalStyle {
  readonly unicode: boolean;
  readonly paint: Paint;
  /** One line in which nothing drives or deceives a terminal. */
  readonly harmless: (text: string) => string;
  /** How many columns a terminal gives to harmless text. */
  readonly columns: (text: string) => number;
}
