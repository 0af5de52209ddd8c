// The lines above a screen while no daemon answers.
import { absenceText, type ConnectionStatus } from "../../api/client/daemon-connection.ts";
import { type Line, markedLines, type View } from "./line.ts";

/** While no daemon answers: since when the data is out of date, and why. */
export function absenceLines(connection: ConnectionStatus, view: View): readonly Line[] {
  const text = absenceText(connection);
  return text === null ? [] : markedLines(view.symbols.warning, text, "warning", view, 2);
}
