// What every screen says above its content while the daemon is away.
import { absenceText, type Connection } from "./connection.ts";
import { type Line, paragraph, span } from "./line.ts";
import type { View } from "./view.ts";

const LIMIT = 2;

/** None while it is there: else since when what is shown is old, and why. */
export function absenceLine(connection: Connection, { width, symbols }: View): readonly Line[] {
  if (connection.kind !== "waiting") return [];
  const text = `${symbols.warning} ${absenceText(connection.sinceMs)}: ${connection.reason}`;
  return paragraph(text, width, LIMIT, symbols.ellipsis).map((line) => [span(line, "warning")]);
}
