// The time limit of a script, which stands still while a person is asked.
import type { Clock, Timer } from "../../runtime/time/clock.ts";

export class ScriptDeadline implements Disposable {
  readonly #clock: Clock;
  readonly #onLate: () => void;
  #leftMs: number;
  #sinceMs: number;
  #paused = 0;
  #timer: Timer | null = null;

  constructor(clock: Clock, limitMs: number, onLate: () => void) {
    this.#clock = clock;
    this.#onLate = onLate;
    this.#leftMs = limitMs;
    this.#sinceMs = clock.monotonicMs();
    this.#run();
  }

  /** Waits for `work`, whose time does not count. */
  async without<Value>(work: () => Promise<Value>): Promise<Value> {
    this.#pause();
    try {
      return await work();
    } finally {
      this.#paused -= 1;
      if (this.#paused === 0) this.#run();
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
    this.#leftMs -= this.#clock.monotonicMs() - this.#sinceMs;
    this.#timer?.[Symbol.dispose]();
  }

  #run(): void {
    this.#sinceMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.setTimer(Math.max(0, this.#leftMs), this.#onLate);
  }
}
