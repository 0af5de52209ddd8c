// The state of the connection to the daemon.
import { localClock } from "../../runtime/time/clock.ts";
import { type Line, markedLines, span } from "./line.ts";
import type { View } from "./terminal-style.ts";

export type Connection =
  | { readonly kind: "connecting" }
  | { readonly kind: "connected" }
  /** No daemon answers. `sinceMs`: since when, wall time, ms since the epoch. */
  | { readonly kind: "waiting"; readonly reason: string; readonly sinceMs: number };

/** "not connected since 14:32:05", local time. */
export function absenceText(sinceMs: number): string {
  return `not connected since ${localClock(new Date(sinceMs))}`;
}

/** While no daemon answers: since when the data is out of date, and why. */
export function absenceLines(connection: Connection, view: View): readonly Line[] {
  if (connection.kind !== "waiting") return [];
  const text = `${absenceText(connection.sinceMs)}: ${connection.reason}`;
  return markedLines(view.symbols.warning, text, "warning", view, 2);
}

export function failureLines(failure: string | null, { symbols }: View): readonly Line[] {
  return failure === null ? [] : [[span(`${symbols.error} ${failure}`, "bad")]];
}
