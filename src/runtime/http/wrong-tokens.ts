// Delays the refusal of wrong tokens, to slow down guessing. Requests with a valid token are never delayed.
import type { Clock } from "../time/clock.ts";
import { MinuteCounts } from "./minute-counts.ts";
import { senderNetwork } from "./sender-network.ts";

/** Refusals per minute and address without a delay, for clients that still have an old token. */
const FREE_A_MINUTE = 10;
const DELAY_MS = 500;
/** Limit of delayed refusals, because each holds a connection. */
const MOST_WAITING = 256;

export class WrongTokens {
  readonly #clock: Clock;
  readonly #counts: MinuteCounts;
  #waiting = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#counts = new MinuteCounts(clock);
  }

  /** Calls `answer` at once, or after a delay if the address has sent too many wrong tokens. */
  refuse(remote: string | null, answer: () => void): void {
    if (this.#counts.isWithin(senderNetwork(remote ?? ""), FREE_A_MINUTE) || this.#waiting >= MOST_WAITING) {
      answer();
      return;
    }
    this.#waiting += 1;
    this.#clock.setTimer(DELAY_MS, () => {
      this.#waiting -= 1;
      answer();
    });
  }
}
