// The regular beat: it does not drift, and skips the beats that were missed while the process was suspended.
import type { Clock, Timer } from "../runtime/time/clock.ts";

export type Ticker = ReturnType<typeof startTicker>;

/** For `sinceMs`: tickers with this start and one interval beat together, so the process is woken once for them. */
export const IN_STEP = 0;

/**
 * Beats at `sinceMs` (default: the start) plus each multiple of the interval that is still to come. `onTick` gets the
 * monotonic time at which the beat was due, ms.
 */
export function startTicker(
  clock: Clock,
  intervalMs: number,
  onTick: (dueMs: number) => void,
  sinceMs: number = clock.monotonicMs(),
) {
  let interval = intervalMs;
  let last = sinceMs + Math.floor((clock.monotonicMs() - sinceMs) / interval) * interval;
  let timer: Timer;
  let ended = false;
  const schedule = (): void => {
    const due = last + interval;
    timer = clock.setTimer(Math.max(0, due - clock.monotonicMs()), () => {
      const missed = Math.floor((clock.monotonicMs() - due) / interval);
      last = due + Math.max(0, missed) * interval;
      schedule();
      onTick(last);
    });
  };
  schedule();
  return {
    /** Takes effect at once: the next beat is one new interval after the last. */
    setInterval(intervalMs: number): void {
      if (intervalMs === interval || ended) return;
      interval = intervalMs;
      timer[Symbol.dispose]();
      schedule();
    },
    [Symbol.dispose]() {
      ended = true;
      timer[Symbol.dispose]();
    },
  };
}
