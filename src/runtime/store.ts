// A value that is replaced as a whole, and its listeners.

export interface Readable<T> {
  get(): T;
  /** Calls `listener` after each replacement; returns a function that unregisters it. */
  subscribe(listener: () => void): () => void;
}

interface Store<T> extends Readable<T> {
  /** Replaces the value; does not call listeners if it is the same. */
  set(value: T): void;
  /**
   * Replaces a part of the value. Returns true, which a key handler can return to say that it has used the
   * key.
   */
  put(part: Partial<T>): true;
}

export function createStore<T>(initial: T): Store<T> {
  let current = initial;
  const listeners = new Set<() => void>();
  const set = (value: T): void => {
    if (Object.is(value, current)) return;
    current = value;
    for (const listener of [...listeners]) listener();
  };
  return {
    get: () => current,
    set,
    put(part) {
      set({ ...current, ...part });
      return true;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** Notifies when any of the values is replaced. */
export function eitherOf(
  ...values: readonly Pick<Readable<unknown>, "subscribe">[]
): Pick<Readable<unknown>, "subscribe"> {
  return {
    subscribe(listener) {
      const unregister = values.map((value) => value.subscribe(listener));
      return () => {
        for (const undo of unregister) undo();
      };
    },
  };
}
