// Equal questions asked at about the same time are sent once, and all callers get the answer.
import type { Clock } from "../../runtime/time/clock.ts";

interface SingleFlight<Answer> {
  /**
   * Joins the newest question with that key if it began at `notBeforeMs` (monotonic) or later, or has not begun;
   * otherwise asks a new one. `begin` gets a function to call when the question is really sent (it may have to queue
   * first).
   */
  ask(key: string, notBeforeMs: number, begin: (goesOut: () => void) => Promise<Answer>): Promise<Answer>;
}

interface Ask<Answer> {
  /** Infinity until it is sent, so that every request made before that counts as early enough. */
  startedAtMs: number;
  readonly answer: Promise<Answer>;
}

/** Keys come from the configuration; beyond this many, the oldest belong to configurations long gone. */
const MAX_KEYS = 4_096;

export function createSingleFlight<Answer>(clock: Clock): SingleFlight<Answer> {
  const newest = new Map<string, Ask<Answer>>();
  return {
    ask(key, notBeforeMs, begin) {
      const known = newest.get(key);
      if (known !== undefined && known.startedAtMs >= notBeforeMs) return known.answer;
      let startedAtMs = Number.POSITIVE_INFINITY;
      let own: Ask<Answer> | null = null;
      const answer = begin(() => {
        startedAtMs = clock.monotonicMs();
        if (own !== null) own.startedAtMs = startedAtMs;
      });
      own = { startedAtMs, answer };
      if (newest.size >= MAX_KEYS && known === undefined) newest.clear();
      newest.set(key, own);
      return answer;
    },
  };
}

/** `count` pieces of work at once, the rest in order of coming; work that fails frees its slot. */
export function createSemaphore(count: number) {
  let free = count;
  const waiting: (() => void)[] = [];
  const release = (): void => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  return {
    /** Runs `work` when a slot is free; gives what it gives. */
    async use<T>(work: () => Promise<T>): Promise<T> {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await work();
      } finally {
        release();
      }
    },
  };
}
