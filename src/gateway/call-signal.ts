// The cancellation of a call, with its reason. An AbortSignal costs a call more than all of its routing, so this is a small
// part of its interface.

/** AbortSignal implements this interface, too. */
export interface CallSignal {
  readonly aborted: boolean;
  /** undefined until the signal is aborted. */
  readonly reason: unknown;
  /** The listener is called once, at the abort; never if the signal was aborted before. */
  addEventListener(type: "abort", listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** The signal of one call, with `abort`. */
export class CallAbort implements CallSignal {
  aborted = false;
  reason: unknown;
  readonly #listeners: (() => void)[] = [];

  addEventListener(_type: "abort", listener: () => void): void {
    if (!this.aborted && !this.#listeners.includes(listener)) this.#listeners.push(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at >= 0) this.#listeners.splice(at, 1);
  }

  /** Only the first abort has an effect. An exception of a listener affects neither other listeners nor the caller. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (let next = this.#listeners.shift(); next !== undefined; next = this.#listeners.shift()) {
      try {
        next();
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }
}
