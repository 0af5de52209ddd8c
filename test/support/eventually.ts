// Owns waiting for real things in tests: a condition with a deadline instead of a sleep.
import { setTimeout as pause } from "node:timers/promises";

const BETWEEN_LOOKS_MS = 5;
/** Deadlines are no claims of speed: a machine that is busy for seconds must fail nobody. */
const LEAST_DEADLINE_MS = 20_000;
/** For one answer of a process that runs already. */
export const ANSWERS_MS = 20_000;

/**
 * Asks `check` again and again until it gives something truthy, and resolves with that. A check that throws
 * (an assertion, say) counts as "not yet". Rejects when `expectedMs` of real time have passed, and twenty seconds at
 * least, with the last failure as its cause. `betweenLooksMs`: longer where a look costs others something.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  expectedMs: number,
  betweenLooksMs = BETWEEN_LOOKS_MS,
): Promise<Exclude<T, false | null | undefined | 0 | "">> {
  const deadlineMs = Math.max(expectedMs, LEAST_DEADLINE_MS);
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
