// A regular beat that does not drift, and skips the beats that were missed while the process was suspended.
import type { Clock, Timer } from "../runtime/time/clock.ts";

/**
 * A value for `sinceMs`: tickers with this start and the same interval beat together, so that the process
 * wakes once.
 */
export const IN_STEP = 0;

/**
 * Beats at `sinceMs` (default: now) plus each future multiple of the interval. `onTick` gets the time at which the beat was
 * due, monotonic ms.
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
    /** Takes effect at once: the next beat comes `intervalMs` after the last one. */
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
