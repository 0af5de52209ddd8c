// Which scripts may run now. Those beyond the bounds wait for their turn, the oldest first.
import type { CallSignal } from "../call-signal.ts";

/** Scripts that run at once, of one principal and of all. */
const MOST_OF_ONE = 4;
const MOST_RUNNING = 16;
/** Scripts of one principal that wait. */
export const MOST_WAITING = 32;

interface Waiting {
  readonly key: string;
  readonly begin: (may: boolean) => void;
}

export class ScriptSlots {
  readonly #running = new Map<string, number>();
  readonly #waiting: Waiting[] = [];
  #all = 0;

  hasFreeSlot(key: string): boolean {
    return this.#waiting.filter((one) => one.key === key).length < MOST_WAITING;
  }

  /** Resolves with what ends the script; null if `signal` was aborted first. */
  async take(key: string, signal: CallSignal): Promise<Disposable | null> {
    if (!this.#begin(key) && !(await this.#turn(key, signal))) return null;
    return { [Symbol.dispose]: () => this.#release(key) };
  }

  #turn(key: string, signal: CallSignal): Promise<boolean> {
    const { promise, resolve: begin } = Promise.withResolvers<boolean>();
    const waiting: Waiting = { key, begin };
    const cancelled = (): void => {
      const at = this.#waiting.indexOf(waiting);
      if (at >= 0) this.#waiting.splice(at, 1);
      begin(false);
    };
    this.#waiting.push(waiting);
    signal.addEventListener("abort", cancelled, { once: true });
    if (signal.aborted) cancelled();
    return promise.finally(() => signal.removeEventListener("abort", cancelled));
  }

  #begin(key: string): boolean {
    const own = this.#running.get(key) ?? 0;
    if (own >= MOST_OF_ONE || this.#all >= MOST_RUNNING) return false;
    this.#running.set(key, own + 1);
    this.#all += 1;
    return true;
  }

  #release(key: string): void {
    const left = (this.#running.get(key) ?? 1) - 1;
    if (left === 0) this.#running.delete(key);
    else this.#running.set(key, left);
    this.#all -= 1;
    const next = this.#waiting.findIndex((one) => this.#begin(one.key));
    if (next >= 0) for (const { begin } of this.#waiting.splice(next, 1)) begin(true);
  }
}
