// A throttle for something that happens often: at once after a quiet time, otherwise now and then.
import type { Clock, Timer } from "./clock.ts";

export function createThrottle(clock: Clock, betweenMs: number, emit: () => void) {
  let emittedAtMs = Number.NEGATIVE_INFINITY;
  let timer: Timer | null = null;
  const now = (): void => {
    timer = null;
    emittedAtMs = clock.monotonicMs();
    emit();
  };
  return {
    /** It has happened: emitted now, or `betweenMs` after the last time. */
    due(): void {
      if (timer !== null) return;
      const waitMs = emittedAtMs + betweenMs - clock.monotonicMs();
      if (waitMs > 0) timer = clock.setTimer(waitMs, now);
      else now();
    },
    [Symbol.dispose]() {
      timer?.[Symbol.dispose]();
      timer = null;
    },
  };
}
