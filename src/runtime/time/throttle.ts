// A throttle: limits how often `emit` is called.
import type { Clock, Timer } from "./clock.ts";

/**
 * `betweenMs`: the minimum time between two emissions. `gatherMs`: a delay of each emission, so that simultaneous changes
 * are emitted once.
 */
export function createThrottle(clock: Clock, betweenMs: number, emit: () => void, gatherMs = 0) {
  let emittedAtMs = Number.NEGATIVE_INFINITY;
  let timer: Timer | null = null;
  const emitNow = (): void => {
    timer = null;
    emittedAtMs = clock.monotonicMs();
    emit();
  };
  return {
    /** Emits after `gatherMs`, or later if `betweenMs` have not passed since the last emission by then. */
    due(): void {
      if (timer !== null) return;
      const waitMs = Math.max(gatherMs, emittedAtMs + betweenMs - clock.monotonicMs());
      if (waitMs > 0) timer = clock.setTimer(waitMs, emitNow);
      else emitNow();
    },
    [Symbol.dispose]() {
      timer?.[Symbol.dispose]();
      timer = null;
    },
  };
}
