// The state of the connection to the daemon.
import { localClock } from "../../runtime/time/clock.ts";
import { type Line, paragraph, span } from "./line.ts";
import type { View } from "./terminal-style.ts";

export type Connection =
  | { readonly kind: "connecting" }
  | { readonly kind: "connected" }
  /** `sinceMs`: wall time, ms since the epoch, since when nobody answers. */
  | { readonly kind: "waiting"; readonly reason: string; readonly sinceMs: number };

/** "not connected since 14:32:05", local time. */
export function absenceText(sinceMs: number): string {
  return `not connected since ${localClock(new Date(sinceMs))}`;
}

const LIMIT = 2;

/** None while it is there: else since when what is shown is old, and why. */
export function absenceLine(connection: Connection, { width, symbols }: View): readonly Line[] {
  if (connection.kind !== "waiting") return [];
  const text = `${symbols.warning} ${absenceText(connection.sinceMs)}: ${connection.reason}`;
  return paragraph(text, width, LIMIT, symbols.ellipsis).map((line) => [span(line, "warning")]);
}
