// State that views subscribe to.
import { useEffect, useState } from "preact/hooks";

export type Store<State extends object> = ReturnType<typeof createStore<State>>;

export function createStore<State extends object>(initial: State) {
  let state = initial;
  const listeners = new Set<() => void>();
  return {
    get: (): State => state,
    set(patch: Partial<State>): void {
      state = { ...state, ...patch };
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * The selected part of the state; a change of it redraws the component. `select` must return the same object
 * while its value is the same.
 */
export function useStore<State extends object, Part>(
  store: Store<State>,
  select: (state: State) => Part,
): Part {
  const [part, setPart] = useState(() => select(store.get()));
  useEffect(() => {
    const update = (): void => setPart(() => select(store.get()));
    update();
    return store.subscribe(update);
  }, [store]);
  return part;
}

/** The wall clock, updated every `everyMs` while the component is mounted, for texts such as "for 5 min". */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
