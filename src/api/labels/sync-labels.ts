// Texts about config sync for all user interfaces: whether the file is watched, and the rows of its last
// events. Pure.
import type { SyncEvent, SyncReport } from "../contract/config.ts";
import type { Label } from "./label.ts";

const WATCHING: Readonly<Record<SyncReport["watching"], Label>> = {
  live: { text: "live", tone: "good" },
  idle: { text: "idle", tone: "plain" },
  stopped: { text: "stopped", tone: "bad" },
  off: { text: "off", tone: "warning" },
};

export function watchLabel(watching: SyncReport["watching"]): Label {
  return WATCHING[watching];
}

export const FILE_MISSING_TEXT = "The file does not exist; the loaded configuration stays in use.";

export const ROWS_RETAINED = 20;

export interface EventRow extends RowEvent {
  /** How many events the row stands for. The row shows the time of the newest one. */
  readonly count: number;
}

/** `time`: local `HH:MM:SS`. */
type RowEvent = Pick<SyncEvent, "time" | "type" | "details">;

/**
 * Returns the rows, oldest first, with the event added, and keeps only the newest rows. Consecutive events without a
 * change share a row.
 */
export function withEvent(rows: readonly EventRow[], { time, type, details }: RowEvent): readonly EventRow[] {
  const last = rows.at(-1);
  if (last !== undefined && last.type === "no-change" && type === "no-change") {
    return [...rows.slice(0, -1), { time, type, details, count: last.count + 1 }];
  }
  return [...rows, { time, type, details, count: 1 }].slice(-ROWS_RETAINED);
}
