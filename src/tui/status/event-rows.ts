// The rows of the event table. Consecutive events without a change share one row; the newest twenty rows are kept.
import type { SyncEvent } from "../../api/contract.ts";

export const ROWS_KEPT = 20;

export interface EventRow {
  /** Of the newest event in it, local `HH:MM:SS`. */
  readonly time: string;
  readonly type: SyncEvent["type"];
  readonly details: string;
  /** How many events it stands for. */
  readonly count: number;
}

/** What an event says of itself. */
export type RowEvent = Pick<SyncEvent, "time" | "type" | "details">;

/** The rows, oldest first, after one more event. */
export function withEvent(rows: readonly EventRow[], { time, type, details }: RowEvent): readonly EventRow[] {
  const last = rows.at(-1);
  if (last !== undefined && last.type === "no-change" && type === "no-change") {
    return [...rows.slice(0, -1), { time, type, details, count: last.count + 1 }];
  }
  return [...rows, { time, type, details, count: 1 }].slice(-ROWS_KEPT);
}

/** Tells one event of one daemon from all others. */
export type EventMark = Pick<SyncEvent, "id" | "iso">;

/**
 * Those of a daemon's events that were not seen yet. `seen` is the newest event seen, of this daemon or of one before
 * it, whose numbers began anew.
 */
export function unseenEvents(events: readonly SyncEvent[], seen: EventMark | null): readonly SyncEvent[] {
  if (seen === null) return events;
  const isSameDaemon = events.some(({ id, iso }) => id === seen.id && iso === seen.iso);
  return isSameDaemon ? events.filter(({ id }) => id > seen.id) : events;
}
