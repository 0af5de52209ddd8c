// The clock from which the daemon takes every delay, deadline and timestamp, so that tests can advance the time.
import { unlessAborted } from "../abort.ts";

/** A pending timer. Disposing it twice, or after it fired, does nothing. */
export interface Timer {
  [Symbol.dispose](): void;
}

export interface Clock {
  /** Milliseconds since an arbitrary start. Never goes back, and stops while the machine sleeps. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch. Jumps when the wall clock is set, and after sleep. */
  wallMs(): number;
  /** Calls `callback` once after `delayMs` (≥ 0) milliseconds of monotonic time, never synchronously. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/**
 * A timer that fires later than this was delayed by this process's own work, or by sleep. Nothing was read during that
 * time, so an answer may be there: the timer then waits for as long again, but at most its delay.
 */
const DELAYED_MS = 500;

/** The machine's own clock. Its timers keep the process alive. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    const dueMs = performance.now() + delayMs;
    let timeout = setTimeout(() => {
      const lateMs = performance.now() - dueMs;
      if (lateMs <= DELAYED_MS) callback();
      else timeout = setTimeout(callback, Math.min(lateMs, delayMs));
    }, delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timeout) };
  },
  async sleep(delayMs, signal) {
    const elapsed = Promise.withResolvers<void>();
    const timer = systemClock.setTimer(delayMs, elapsed.resolve);
    try {
      await (signal === undefined ? elapsed.promise : unlessAborted(elapsed.promise, signal));
    } finally {
      timer[Symbol.dispose]();
    }
  },
};

/** Waits for `work`, for `limitMs` at most. True if `work` resolved in that time; rejects if it rejected. */
export async function settlesWithin(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<boolean> {
  const limit = Promise.withResolvers<boolean>();
  const timer = clock.setTimer(limitMs, () => limit.resolve(false));
  try {
    return await Promise.race([work.then(() => true), limit.promise]);
  } finally {
    timer[Symbol.dispose]();
  }
}

/** The result of `work`; null if it does not settle within `limitMs`. Rejects as `work` does in that time. */
export async function resultWithin<T>(clock: Clock, limitMs: number, work: Promise<T>): Promise<T | null> {
  return (await settlesWithin(clock, limitMs, work)) ? work : null;
}

/** ISO 8601 UTC, the format of times in state, status and logs. */
export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

export function isoTimeOrNull(wallMs: number | null): string | null {
  return wallMs === null ? null : isoTime(wallMs);
}

/** `2026-11-20` */
export function localDay(at: Date): string {
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(twoDigits).join("-");
}

/** `14:32:05` */
export function localClock(at: Date): string {
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(twoDigits).join(":");
}

/** `14:32:05.123` */
export function exactLocalClock(at: Date): string {
  return `${localClock(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

function twoDigits(part: number): string {
  return String(part).padStart(2, "0");
}
