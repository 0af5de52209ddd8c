// The time limit of a script, which is paused while a person is asked.
import type { Clock, Timer } from "../../runtime/time/clock.ts";

/** Of all questions together: after it, the time that a person takes counts. */
const QUESTIONS_MS = 60 * 60_000;

export class ScriptDeadline implements Disposable {
  readonly #clock: Clock;
  readonly #onLate: () => void;
  #remainingMs: number;
  #questionsRemainingMs = QUESTIONS_MS;
  #sinceMs: number;
  #paused = 0;
  #timer: Timer | null = null;

  constructor(clock: Clock, limitMs: number, onLate: () => void) {
    this.#clock = clock;
    this.#onLate = onLate;
    this.#remainingMs = limitMs;
    this.#sinceMs = clock.monotonicMs();
    this.#run(limitMs);
  }

  /** Waits for `work`, whose time does not count. */
  async without<Value>(work: () => Promise<Value>): Promise<Value> {
    this.#pause();
    try {
      return await work();
    } finally {
      this.#paused -= 1;
      if (this.#paused === 0) {
        this.#questionsRemainingMs -= this.#clock.monotonicMs() - this.#sinceMs;
        this.#run(this.#remainingMs);
      }
    }
  }

  [Symbol.dispose](): void {
    // A question that ends later starts no timer.
    this.#paused += 1;
    this.#timer?.[Symbol.dispose]();
  }

  #pause(): void {
    this.#paused += 1;
    if (this.#paused > 1) return;
    this.#remainingMs -= this.#clock.monotonicMs() - this.#sinceMs;
    this.#run(this.#questionsRemainingMs);
  }

  #run(remainingMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#sinceMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.setTimer(Math.max(0, remainingMs), this.#onLate);
  }
}
