// Time: every delay, deadline and timestamp in the daemon comes from a Clock, so that tests can advance it.

/** A pending timer. Disposing it twice, or after it fired, does nothing. */
export interface Timer {
  [Symbol.dispose](): void;
}

export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back, stands still while the machine sleeps. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch, UTC; jumps when the wall clock is set and after sleep. */
  wallMs(): number;
  /** Calls `callback` once after `delayMs` (≥ 0) milliseconds of monotonic time, never synchronously. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's own clock. Its timers keep the process alive. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timeout) };
  },
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(timeout);
        reject(signal?.reason);
      };
      const timeout = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, delayMs);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};

/** Waits for `work` to settle, for `limitMs` at most; true when it did. Rejects as `work` does in that time. */
export async function settledWithin(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<boolean> {
  const limit = Promise.withResolvers<boolean>();
  const timer = clock.setTimer(limitMs, () => limit.resolve(false));
  try {
    return await Promise.race([work.then(() => true), limit.promise]);
  } finally {
    timer[Symbol.dispose]();
  }
}

/** The same with what `work` resolves with; null: it did not settle in that time. */
export async function resultWithin<T>(clock: Clock, limitMs: number, work: Promise<T>): Promise<T | null> {
  return (await settledWithin(clock, limitMs, work)) ? work : null;
}

/** ISO 8601 UTC, the form in which times appear in state, status and logs. */
export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
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
