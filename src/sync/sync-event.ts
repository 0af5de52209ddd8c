// Events of the configuration's sync for people: one for each reload, the newest thousand kept.
import { isoTime } from "../runtime/time/clock.ts";

export type SyncEventType = "changed" | "no-change" | "error";

export interface SyncEvent {
  /** Local wall time, `14:32:05`. */
  readonly time: string;
  /** The same moment in ISO 8601 UTC. */
  readonly iso: string;
  /** The generation that runs after the event. */
  readonly generation: number;
  readonly type: SyncEventType;
  /** For people: `3 backends reloaded`, `no changes`, what is wrong and where. */
  readonly details: string;
}

/** An event that happens at `wallMs` (Unix epoch). */
export function syncEvent(
  wallMs: number,
  generation: number,
  type: SyncEventType,
  details: string,
): SyncEvent {
  return { time: localTime(wallMs), iso: isoTime(wallMs), generation, type, details };
}

/** `HH:MM:SS` in the machine's time zone. */
export function localTime(wallMs: number): string {
  const date = new Date(wallMs);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
}

export const SYNC_EVENTS_KEPT = 1_000;

interface SyncEventRing {
  add(event: SyncEvent): void;
  /** The newest `count` (default: all that are kept), oldest first. */
  newest(count?: number): readonly SyncEvent[];
}

/** Keeps the newest `capacity` (≥ 1) events; nothing is folded here, that is for faces. */
export function createSyncEventRing(capacity: number = SYNC_EVENTS_KEPT): SyncEventRing {
  const kept: SyncEvent[] = [];
  let oldest = 0;
  return {
    add(event) {
      if (kept.length < capacity) {
        kept.push(event);
        return;
      }
      kept[oldest] = event;
      oldest = (oldest + 1) % capacity;
    },
    newest(count = capacity) {
      const inOrder = [...kept.slice(oldest), ...kept.slice(0, oldest)];
      return count >= inOrder.length ? inOrder : inOrder.slice(inOrder.length - Math.max(0, count));
    },
  };
}
