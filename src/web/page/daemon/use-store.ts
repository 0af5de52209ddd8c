// The hooks by which a view is drawn again when its part of a value changes.
import { useEffect, useState } from "preact/hooks";
import type { Store } from "./store.ts";

/** `select` gives a part that stays the same object while it says the same. */
export function useStore<State extends object, Part>(
  store: Store<State>,
  select: (state: State) => Part,
): Part {
  const [part, setPart] = useState(() => select(store.get()));
  useEffect(() => {
    const look = (): void => setPart(() => select(store.get()));
    look();
    return store.subscribe(look);
  }, [store]);
  return part;
}

/** The wall clock, moved on every `everyMs` while a view is there: for "for 5 min". */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
