// Brings many changes together into few redraws: one at once, then one per interval.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { createStore, type Readable } from "./store.ts";

/** 20 a second: smooth for people, and 10,000 changes a second cost no more than that. */
const INTERVAL_MS = 50;

export interface Redraws extends Disposable {
  /** Counts the redraws that are due. */
  readonly count: Readable<number>;
  /** Something changed. */
  ask(): void;
  /** A person waits for it: drawn at once. */
  now(): void;
}

export function createRedraws(clock: Clock): Redraws {
  const count = createStore(0);
  let timer: Timer | null = null;
  let isAsked = false;
  let isOver = false;
  const draw = (): void => {
    isAsked = false;
    count.set(count.get() + 1);
  };
  const rest = (): void => {
    timer = clock.setTimer(INTERVAL_MS, () => {
      timer = null;
      if (!isAsked) return;
      rest();
      draw();
    });
  };
  return {
    count,
    ask() {
      if (isOver) return;
      isAsked = true;
      if (timer !== null) return;
      rest();
      draw();
    },
    now() {
      if (!isOver) draw();
    },
    [Symbol.dispose]() {
      isOver = true;
      timer?.[Symbol.dispose]();
    },
  };
}
