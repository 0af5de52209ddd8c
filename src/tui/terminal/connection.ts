// The state of the connection to the daemon.
import { localClock } from "../../runtime/time/local-time.ts";

export type Connection =
  | { readonly kind: "connecting" }
  | { readonly kind: "connected" }
  /** `sinceMs`: wall time, ms since the epoch, since when nobody answers. */
  | { readonly kind: "waiting"; readonly reason: string; readonly sinceMs: number };

/** "not connected since 14:32:05", local time. */
export function absenceText(sinceMs: number): string {
  return `not connected since ${localClock(new Date(sinceMs))}`;
}
