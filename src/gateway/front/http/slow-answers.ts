// Answers that take their time become streams: what is written now and then keeps their connection alive, and a client
// can take them up again when it breaks.
import { FleetingSet } from "../../../runtime/fleeting.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";

const LOOK_MS = 5_000;

export interface SlowAnswer {
  /** The answer is slow. */
  becomeStream(): void;
}

export class SlowAnswers implements Disposable {
  readonly #clock: Clock;
  readonly #lookMs: number;
  #young = new FleetingSet<SlowAnswer>();
  #old = new FleetingSet<SlowAnswer>();
  #timer: Timer | null = null;

  /** An answer is slow after `lookMs` to twice as long. */
  constructor(clock: Clock, lookMs = LOOK_MS) {
    this.#clock = clock;
    this.#lookMs = lookMs;
  }

  add(answer: SlowAnswer): void {
    this.#young.add(answer);
    this.#timer ??= this.#clock.setTimer(this.#lookMs, this.#look);
  }

  delete(answer: SlowAnswer): void {
    if (!this.#young.delete(answer)) this.#old.delete(answer);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#young.clear();
    this.#old.clear();
  }

  readonly #look = (): void => {
    const slow = this.#old;
    this.#old = this.#young;
    this.#young = new FleetingSet();
    // Not ended with the last call: there is a next one soon.
    this.#timer = this.#old.size > 0 ? this.#clock.setTimer(this.#lookMs, this.#look) : null;
    for (const answer of slow) answer.becomeStream();
  };
}
