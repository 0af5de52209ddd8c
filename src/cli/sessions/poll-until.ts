// Polling, for commands that wait for the outcome of an operation.
import { type Clock, systemClock } from "../../runtime/time/clock.ts";

const BETWEEN_POLLS_MS = 100;

interface Patience {
  readonly withinMs: number;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** Calls `read` until `isOver` or until the time is up, and resolves with the last value. Rejects as `read` does, or when aborted. */
export async function pollUntil<T>(
  { withinMs, signal, clock = systemClock }: Patience,
  read: () => Promise<T>,
  isOver: (value: T) => boolean,
): Promise<T> {
  const untilMs = clock.monotonicMs() + withinMs;
  for (;;) {
    const value = await read();
    if (isOver(value) || clock.monotonicMs() >= untilMs) return value;
    await clock.sleep(BETWEEN_POLLS_MS, signal);
  }
}
