// Slows down a sender of one wrong token after the other. A right one is never delayed, wherever it comes from.
import { dropOldest } from "../bounded-map.ts";
import type { Clock } from "../time/clock.ts";

/** How many a minute from one address are answered at once: a client may not have the new token yet. */
const FREE_A_MINUTE = 10;
const MINUTE_MS = 60_000;
const DELAY_MS = 500;
/** Answers that wait at once: each holds a connection. */
const MOST_WAITING = 256;
const MOST_ADDRESSES = 1_024;

export class WrongTokens {
  readonly #clock: Clock;
  /** By address, the oldest first. */
  readonly #tries = new Map<string, { count: number; readonly sinceMs: number }>();
  #waiting = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `answer` at once, or a little later. */
  refuse(remote: string | null, answer: () => void): void {
    if (!this.#isTooMany(remote ?? "") || this.#waiting >= MOST_WAITING) {
      answer();
      return;
    }
    this.#waiting += 1;
    this.#clock.setTimer(DELAY_MS, () => {
      this.#waiting -= 1;
      answer();
    });
  }

  #isTooMany(address: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#tries.get(address);
    if (known !== undefined && nowMs - known.sinceMs < MINUTE_MS) {
      known.count += 1;
      return known.count > FREE_A_MINUTE;
    }
    this.#tries.delete(address);
    this.#tries.set(address, { count: 1, sinceMs: nowMs });
    dropOldest(this.#tries, MOST_ADDRESSES);
    return false;
  }
}
