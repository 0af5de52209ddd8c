// How a call learns that it is cancelled, and why. Creating an AbortSignal takes longer than routing the
// call, so calls use only this small part of its interface.

/** An AbortSignal also has this interface. */
export interface CallSignal {
  readonly aborted: boolean;
  /** undefined until the signal is aborted. */
  readonly reason: unknown;
  /** The listener is called once, at the abort; never if the signal was aborted before. */
  addEventListener(type: "abort", listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** A call signal that its creator can abort. */
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
