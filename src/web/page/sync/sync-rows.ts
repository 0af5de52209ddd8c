// The table of the Sync view's events. Pure.
import type { SyncEvent } from "../../../api/contract.ts";

export interface SyncRow extends Pick<SyncEvent, "id" | "time" | "type" | "details"> {
  /** How many events in a row said that nothing changed. */
  readonly count: number;
}

const ROWS_KEPT = 20;

/** Newest first; runs of `no-change` are one row. */
export function syncRows(events: readonly SyncEvent[]): readonly SyncRow[] {
  const rows: SyncRow[] = [];
  for (const { id, time, type, details } of events) {
    const last = rows.at(-1);
    if (last?.type === "no-change" && type === "no-change")
      rows[rows.length - 1] = { ...last, id, time, details, count: last.count + 1 };
    else rows.push({ id, time, type, details, count: 1 });
  }
  return rows.slice(-ROWS_KEPT).reverse();
}
