// One write at a time of a small file that changes often: requests during one write share the next.

interface SharedWrites<T> {
  /** The outcome of a write that begins after this call, once the one under way has ended. */
  write(): Promise<T>;
  /** Resolves when everything asked for until now is written, or has failed. Never rejects. */
  readonly settled: Promise<unknown>;
}

/** `write` writes the state at the moment when it is called. */
export function shareWrites<T>(write: () => Promise<T>): SharedWrites<T> {
  let next: Promise<T> | null = null;
  let settled: Promise<unknown> = Promise.resolve();
  return {
    write() {
      if (next !== null) return next;
      next = settled.then(() => {
        next = null;
        return write();
      });
      settled = next.catch(() => {});
      return next;
    },
    get settled() {
      return settled;
    },
  };
}
