// Owns telling that no call is in flight any more: at once after a quiet time, else now and then.
import type { Clock, Timer } from "../../runtime/clock.ts";

/** Between two notices, ms: one call after the other must not become one notice after the other. */
const BETWEEN_NOTICES_MS = 100;

export interface IdleNotice extends Disposable {
  /** The last call has ended. */
  begins(): void;
}

export function createIdleNotice(clock: Clock, tell: () => void): IdleNotice {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  let timer: Timer | null = null;
  const now = (): void => {
    timer = null;
    toldAtMs = clock.monotonicMs();
    tell();
  };
  return {
    begins() {
      if (timer !== null) return;
      const waitMs = toldAtMs + BETWEEN_NOTICES_MS - clock.monotonicMs();
      if (waitMs > 0) timer = clock.setTimer(waitMs, now);
      else now();
    },
    [Symbol.dispose]() {
      timer?.[Symbol.dispose]();
      timer = null;
    },
  };
}
