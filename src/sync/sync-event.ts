// Events of the configuration's sync for people: one for each reload.

import { isoTime, localClock } from "../runtime/time/clock.ts";

export type SyncEventType = "changed" | "no-change" | "error";

export interface SyncEvent {
  /** Local wall time, `14:32:05`. */
  readonly time: string;
  /** ISO 8601 UTC of the same moment. */
  readonly iso: string;
  /** The generation that runs after the event. */
  readonly generation: number;
  readonly type: SyncEventType;
  /** A text for people, for example `3 backends reloaded`, `no changes`, or an error and its place in the file. */
  readonly details: string;
}

/** An event that happens at `wallMs` (Unix epoch). */
export function syncEvent(
  wallMs: number,
  generation: number,
  type: SyncEventType,
  details: string,
): SyncEvent {
  return { time: localClock(new Date(wallMs)), iso: isoTime(wallMs), generation, type, details };
}

type NumberedSyncEvent = SyncEvent & { id: number };

const RETAINED = 1_000;

/** The newest thousand events, oldest first. */
export function createSyncEvents() {
  const retained: NumberedSyncEvent[] = [];
  let count = 0;
  return {
    add(event: SyncEvent): NumberedSyncEvent {
      count += 1;
      const numbered = { ...event, id: count };
      retained.push(numbered);
      if (retained.length > RETAINED) retained.shift();
      return numbered;
    },
    all: (): NumberedSyncEvent[] => [...retained],
  };
}
