// Counts events of each kind within a minute.
import { dropOldest } from "../bounded-map.ts";
import type { Clock } from "../time/clock.ts";

const MINUTE_MS = 60_000;
const MOST_KINDS = 1_024;

export class MinuteCounts {
  readonly #clock: Clock;
  readonly #counts = new Map<string, { count: number; readonly sinceMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts an event. False: there were already `most` of its kind within the minute. */
  isWithin(kind: string, most: number): boolean {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#counts.get(kind);
    if (known !== undefined && nowMs - known.sinceMs < MINUTE_MS) {
      known.count += 1;
      return known.count <= most;
    }
    this.#counts.delete(kind);
    this.#counts.set(kind, { count: 1, sinceMs: nowMs });
    dropOldest(this.#counts, MOST_KINDS);
    return true;
  }
}
