// Equal requests at about the same time share one answer, and work is limited to a number at a time.
import type { Clock } from "../../runtime/time/clock.ts";

interface Flight<Answer> {
  /** Infinity until the request is sent, so that every caller before that may join. */
  startedAtMs: number;
  readonly answer: Promise<Answer>;
}

/**
 * Maximum number of keys. Keys come from the configuration, so if there are more, most belong to earlier
 * configurations; then all are dropped.
 */
const MAX_KEYS = 4_096;

export function createSingleFlight<Answer>(clock: Clock) {
  const newest = new Map<string, Flight<Answer>>();
  return {
    /**
     * Joins the newest request with that key. Begins a new one if there is none, if it failed, or if it was sent
     * before `notBeforeMs` (monotonic). `begin` must call `goesOut` when its request is sent, after any queueing.
     */
    run(key: string, notBeforeMs: number, begin: (goesOut: () => void) => Promise<Answer>): Promise<Answer> {
      const known = newest.get(key);
      if (known !== undefined && known.startedAtMs >= notBeforeMs) return known.answer;
      let startedAtMs = Number.POSITIVE_INFINITY;
      let own: Flight<Answer> | null = null;
      const answer = begin(() => {
        startedAtMs = clock.monotonicMs();
        if (own !== null) own.startedAtMs = startedAtMs;
      });
      own = { startedAtMs, answer };
      if (newest.size >= MAX_KEYS) newest.clear();
      newest.set(key, own);
      answer.catch(() => {
        if (newest.get(key)?.answer === answer) newest.delete(key);
      });
      return answer;
    },
  };
}

/** Runs at most `count` pieces of work at once, in the order of the calls. */
export function createSemaphore(count: number) {
  let free = count;
  const waiting: (() => void)[] = [];
  const release = (): void => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  return {
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
