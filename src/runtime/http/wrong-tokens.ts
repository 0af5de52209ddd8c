// Delays the refusal of wrong tokens, to slow down guessing. Requests with a valid token are never delayed.
import { dropOldest } from "../bounded-map.ts";
import type { Clock } from "../time/clock.ts";

/** Refusals per minute and address without a delay, for clients that still have an old token. */
const FREE_A_MINUTE = 10;
const MINUTE_MS = 60_000;
const DELAY_MS = 500;
/** Limit of delayed refusals, because each holds a connection. */
const MOST_WAITING = 256;
const MOST_ADDRESSES = 1_024;

export class WrongTokens {
  readonly #clock: Clock;
  readonly #tries = new Map<string, { count: number; readonly sinceMs: number }>();
  #waiting = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `answer` at once, or after a delay if the address has sent too many wrong tokens. */
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
