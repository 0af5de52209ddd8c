// One timer for many entries, most of which are deleted before they are due: adding or deleting an entry takes one Set
// operation.
import { ShortLivedSet } from "../../../runtime/short-lived.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";

/** Calls back for each entry that was not deleted within one to two times `periodMs`. */
export class CoarseTimer<T> implements Disposable {
  readonly #clock: Clock;
  readonly #periodMs: number;
  readonly #callback: (entry: T) => void;
  /** Entries of the current period and of the one before. */
  #young = new ShortLivedSet<T>();
  #old = new ShortLivedSet<T>();
  #timer: Timer | null = null;

  constructor(clock: Clock, periodMs: number, callback: (entry: T) => void) {
    this.#clock = clock;
    this.#periodMs = periodMs;
    this.#callback = callback;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** The oldest first. */
  get entries(): readonly T[] {
    return [...this.#old, ...this.#young];
  }

  add(entry: T): void {
    this.#young.add(entry);
    this.#timer ??= this.#clock.setTimer(this.#periodMs, this.#onPeriod);
  }

  delete(entry: T): void {
    if (!this.#young.delete(entry)) this.#old.delete(entry);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#young.clear();
    this.#old.clear();
  }

  readonly #onPeriod = (): void => {
    const due = this.#old;
    this.#old = this.#young;
    this.#young = new ShortLivedSet();
    // `delete` does not stop the timer, because the next entry mostly comes soon.
    this.#timer = this.#old.size > 0 ? this.#clock.setTimer(this.#periodMs, this.#onPeriod) : null;
    for (const entry of due) this.#callback(entry);
  };
}
