// Debounces changes of the file: the window restarts with each change, and ends after `maxWaitMs` at the latest.
import type { Clock, Timer } from "../runtime/time/clock.ts";

interface QuietWindowOptions {
  readonly clock: Clock;
  readonly quietMs: number;
  /** The longest time from the first change to the window's end. */
  readonly maxWaitMs: number;
  /**
   * Checks again before the window ends: a change that a slow detector has not seen yet then calls `trigger`. Must
   * settle in bounded time. A failure is treated as no change.
   */
  readonly beforeEnd: () => Promise<void>;
  readonly onEnd: () => void;
}

interface Open {
  readonly sinceMs: number;
  changedMs: number;
}

/** After disposal, `trigger` does nothing. */
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
        // The file is read at the window's end; that read meets the same problem, and reports it.
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
    /** Notes a change at `atMs` (monotonic; default: now): opens the window, or restarts the open one. */
    trigger(atMs: number = clock.monotonicMs()): void {
      if (disposed) return;
      if (open === null) open = { sinceMs: atMs, changedMs: atMs };
      else open.changedMs = Math.max(open.changedMs, atMs);
      arm(open);
    },
    /** Closes the window without calling `onEnd`. */
    cancel(): void {
      disarm();
      open = null;
    },
    /** Takes effect at once, also for an open window. */
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
