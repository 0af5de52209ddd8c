// Waiting for real things in tests: a condition with a deadline instead of a sleep.
import { setTimeout as pause } from "node:timers/promises";

const BETWEEN_LOOKS_MS = 5;
/** Deadlines are no claims of speed: a machine that is busy for seconds must fail nobody. */
export const ANSWERS_MS = 20_000;

/**
 * Asks `check` again and again until it gives something truthy, and resolves with that. A check that throws
 * (an assertion, say) counts as "not yet". Rejects when `deadlineMs` of real time have passed, with the last failure
 * as its cause. Give a deadline only to what may take longer than the usual 20 s, or must not take that long.
 * `betweenLooksMs`: longer where a look costs others something.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  deadlineMs = ANSWERS_MS,
  betweenLooksMs = BETWEEN_LOOKS_MS,
): Promise<Exclude<T, false | null | undefined | 0 | "">> {
  const startedAt = performance.now();
  let lastFailure: unknown = "it gave nothing truthy";
  for (;;) {
    try {
      const found = await check();
      if (isTruthy(found)) return found;
      lastFailure = `it gave ${String(found)}`;
    } catch (error) {
      lastFailure = error;
    }
    if (performance.now() - startedAt >= deadlineMs) {
      const text = lastFailure instanceof Error ? lastFailure.message : String(lastFailure);
      throw new Error(`not so within ${deadlineMs} ms: ${text}`, { cause: lastFailure });
    }
    await pause(betweenLooksMs);
  }
}

function isTruthy<T>(value: T): value is Exclude<T, false | null | undefined | 0 | ""> {
  return Boolean(value);
}
