// Whether a call was taken back, and why. An AbortSignal costs a call more than all of its routing; this is as much of one
// as calls need.

/** An AbortSignal is one, too. */
export interface CallSignal {
  readonly aborted: boolean;
  /** Why; undefined until it is aborted. */
  readonly reason: unknown;
  /** Called once, when it is aborted; never when it was before. */
  addEventListener(type: "abort", listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** One call's, and the right to abort it. */
export class CallAbort implements CallSignal {
  aborted = false;
  reason: unknown;
  /** Mostly there is one; the others come after it. */
  #first: (() => void) | null = null;
  #others: (() => void)[] | null = null;

  addEventListener(_type: "abort", listener: () => void): void {
    if (this.aborted || listener === this.#first) return;
    if (this.#first === null && this.#others === null) this.#first = listener;
    else if (this.#others === null) this.#others = [listener];
    else if (!this.#others.includes(listener)) this.#others.push(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    if (listener === this.#first) {
      this.#first = null;
      return;
    }
    const at = this.#others?.indexOf(listener) ?? -1;
    if (at >= 0) this.#others?.splice(at, 1);
  }

  /** Later ones do nothing. A listener's mistake holds up neither the others nor the caller. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      try {
        next();
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }

  #next(): (() => void) | undefined {
    const first = this.#first;
    this.#first = null;
    return first ?? this.#others?.shift();
  }
}
