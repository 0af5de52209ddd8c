// What the demo knows of its terminal; the command line provides it.
import type { Paint } from "../../runtime/text/paint.ts";

export interface TerminalStyle {
  readonly unicode: boolean;
  readonly paint: Paint;
}
