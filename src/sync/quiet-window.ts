// The debounce of saves: a window that restarts on each further change, yet ends within a bound.
import type { Clock, Timer } from "../runtime/time/clock.ts";

interface QuietWindowOptions {
  readonly clock: Clock;
  readonly quietMs: number;
  /** From the opening to the end at the latest. */
  readonly maxWaitMs: number;
  /**
   * A last look before a quiet window ends, so that a change a slow detector has not seen yet restarts it (by
   * `trigger`). It must settle in bounded time; its failure ends the window as if it had seen nothing.
   */
  readonly beforeEnd: () => Promise<void>;
  readonly onEnd: () => void;
}

interface Open {
  readonly sinceMs: number;
  changedMs: number;
}

/** Closed at first. After disposal nothing opens it. */
export function createQuietWindow(options: QuietWindowOptions) {
  const { clock, beforeEnd, onEnd } = options;
  let { quietMs, maxWaitMs } = options;
  let open: Open | null = null;
  let timer: Timer | null = null;
  let disposed = false;

  const disarm = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };
  const arm = (window: Open): void => {
    disarm();
    const endsMs = Math.min(window.changedMs + quietMs, window.sinceMs + maxWaitMs);
    timer = clock.setTimer(Math.max(0, endsMs - clock.monotonicMs()), () => {
      timer = null;
      void elapsed(window);
    });
  };
  const elapsed = async (window: Open): Promise<void> => {
    const atBound = (): boolean => clock.monotonicMs() >= window.sinceMs + maxWaitMs;
    if (!atBound()) {
      const { changedMs } = window;
      try {
        await beforeEnd();
      } catch {
        // What keeps it from looking shows again, and is reported, where the file is read.
      }
      if (open !== window) return;
      if (window.changedMs !== changedMs || timer !== null) {
        arm(window);
        return;
      }
    }
    open = null;
    onEnd();
  };

  return {
    get isOpen() {
      return open !== null;
    },
    /** A change, at `atMs` (monotonic; default: now): opens the window, or restarts the open one. */
    trigger(atMs: number = clock.monotonicMs()): void {
      if (disposed) return;
      if (open === null) open = { sinceMs: atMs, changedMs: atMs };
      else open.changedMs = Math.max(open.changedMs, atMs);
      arm(open);
    },
    /** Closes it without an end. */
    cancel(): void {
      disarm();
      open = null;
    },
    /** Holds from now on, also for a window that is open. */
    setLengths(newQuietMs: number, newMaxWaitMs: number): void {
      quietMs = newQuietMs;
      maxWaitMs = newMaxWaitMs;
      if (open !== null && timer !== null) arm(open);
    },
    [Symbol.dispose]() {
      disposed = true;
      this.cancel();
    },
  };
}
