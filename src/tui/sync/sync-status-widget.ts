// Owns the event table's content: sync events come in one by one and are kept as rows.
import { type EventRow, type RowEvent, withEvent } from "../status/event-rows.ts";
import { createStore, type Readable } from "../terminal/store.ts";

export interface SyncStatusWidget {
  /** One call for each event, oldest first; what is shown follows. */
  addSyncEvent(event: RowEvent): void;
  /** Oldest first, at most ROWS_KEPT. */
  readonly rows: Readable<readonly EventRow[]>;
}

export function createSyncStatusWidget(): SyncStatusWidget {
  const rows = createStore<readonly EventRow[]>([]);
  return {
    addSyncEvent: (event) => rows.set(withEvent(rows.get(), event)),
    rows,
  };
}
