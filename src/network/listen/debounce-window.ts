// Limits the cycles that network events cause: the first event causes one at once, and all others in a window
// of time together cause one more.
import type { Clock, Timer } from "../../runtime/time/clock.ts";

interface TriggerWindowOptions {
  clock: Clock;
  /** Length of a window, ms; with 0 every event runs a cycle at once. */
  windowMs: number;
  /**
   * Runs a cycle; called synchronously, after its window was opened, so that events which the cycle causes
   * fall into that window.
   */
  onCycle: (reasons: readonly string[]) => void;
}

/** Further reasons are only counted, because a flapping link must not make log lines endless. */
const MAX_REASONS = 50;

/**
 * Allows at most one triggered cycle per window. An event outside a window causes a cycle at once and opens a
 * window; events inside it cause one cycle at its end, which opens the next window. Every event is followed
 * by a cycle.
 */
export function createTriggerWindow({ clock, windowMs, onCycle }: TriggerWindowOptions) {
  let lengthMs = windowMs;
  let openedAtMs = Number.NEGATIVE_INFINITY;
  let timer: Timer | null = null;
  let reasons: string[] = [];
  let uncounted = 0;
  let disposed = false;

  const remainingMs = (): number => openedAtMs + lengthMs - clock.monotonicMs();

  const run = (): void => {
    const collected = uncounted > 0 ? [...reasons, `+${uncounted} more`] : reasons;
    reasons = [];
    uncounted = 0;
    openedAtMs = clock.monotonicMs();
    onCycle(collected);
  };

  const arm = (): void => {
    timer?.[Symbol.dispose]();
    timer = clock.setTimer(Math.max(0, Math.ceil(remainingMs())), () => {
      timer = null;
      run();
    });
  };

  return {
    trigger(reason: string): void {
      if (disposed) return;
      if (reasons.length < MAX_REASONS) reasons.push(reason);
      else uncounted += 1;
      if (timer !== null) return;
      if (remainingMs() > 0) arm();
      else run();
    },
    /** Changes the window's length at once, also for a window that is open now. */
    setWindowMs(newLengthMs: number): void {
      lengthMs = newLengthMs;
      if (timer !== null) arm();
    },
    [Symbol.dispose]() {
      disposed = true;
      timer?.[Symbol.dispose]();
      timer = null;
    },
  };
}
