// Time in tests: a Clock that moves only when the test says so.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock, Timer } from "../../src/runtime/time/clock.ts";

interface PendingTimer {
  readonly dueMs: number;
  readonly callback: () => void;
}

export interface ManualClock extends Clock {
  /**
   * Moves both clocks on by `ms`, firing due timers in order, each at its own time; promise callbacks and a few
   * turns of the event loop run before, between and after. Real I/O may need longer: wait for it by `eventually`.
   */
  advance(ms: number): Promise<void>;
  /** Moves the wall clock alone, back or forth, as setting it does. No timer fires. */
  jumpWall(ms: number): void;
  /** How many timers wait to fire. */
  readonly pendingTimers: number;
  /** How many timers were set, those that are over included. */
  readonly timersSet: number;
}

/** Starts at monotonic 1,000 ms; the wall clock stands at `startWallMs`. */
export function createManualClock(startWallMs = Date.UTC(2026, 0, 1)): ManualClock {
  const timers = new Set<PendingTimer>();
  let monotonic = 1_000;
  let wall = startWallMs;
  let timersSet = 0;

  const setTimer = (delayMs: number, callback: () => void): Timer => {
    timersSet += 1;
    const timer: PendingTimer = { dueMs: monotonic + Math.max(0, delayMs), callback };
    timers.add(timer);
    return { [Symbol.dispose]: () => void timers.delete(timer) };
  };
  const moveTo = (monotonicMs: number): void => {
    wall += monotonicMs - monotonic;
    monotonic = monotonicMs;
  };
  // A Set keeps the order of insertion, so of timers due at once the one set first fires first.
  const nextDue = (untilMs: number): PendingTimer | null => {
    let next: PendingTimer | null = null;
    for (const timer of timers) {
      if (timer.dueMs <= untilMs && (next === null || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  };

  return {
    monotonicMs: () => monotonic,
    wallMs: () => wall,
    setTimer,
    sleep(delayMs, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        const onAbort = (): void => {
          timer[Symbol.dispose]();
          reject(signal?.reason);
        };
        const timer = setTimer(delayMs, () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        });
        signal?.addEventListener("abort", onAbort, { once: true });
      });
    },
    async advance(ms) {
      const untilMs = monotonic + ms;
      await settle();
      for (let timer = nextDue(untilMs); timer !== null; timer = nextDue(untilMs)) {
        timers.delete(timer);
        moveTo(Math.max(monotonic, timer.dueMs));
        timer.callback();
        await settle();
      }
      moveTo(untilMs);
      await settle();
    },
    jumpWall(ms) {
      wall += ms;
    },
    get pendingTimers() {
      return timers.size;
    },
    get timersSet() {
      return timersSet;
    },
  };
}

/** Lets promise callbacks and immediates that are ready run, several layers deep. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await nextTurn();
}
