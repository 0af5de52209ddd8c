// A throttle for something that happens often: at once after a quiet time, otherwise now and then.
import type { Clock, Timer } from "./clock.ts";

/** `gatherMs`: how long the first emission waits as well, so that changes that come together are emitted once. */
export function createThrottle(clock: Clock, betweenMs: number, emit: () => void, gatherMs = 0) {
  let emittedAtMs = Number.NEGATIVE_INFINITY;
  let timer: Timer | null = null;
  const now = (): void => {
    timer = null;
    emittedAtMs = clock.monotonicMs();
    emit();
  };
  return {
    /** Emits now, or when `gatherMs` from now and `betweenMs` since the last emission have passed. */
    due(): void {
      if (timer !== null) return;
      const waitMs = Math.max(gatherMs, emittedAtMs + betweenMs - clock.monotonicMs());
      if (waitMs > 0) timer = clock.setTimer(waitMs, now);
      else now();
    },
    [Symbol.dispose]() {
      timer?.[Symbol.dispose]();
      timer = null;
    },
  };
}
