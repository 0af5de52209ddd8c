// Waiting for real things in tests: a condition with a deadline instead of a sleep.
import { availableParallelism, loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { MOST_SLOWNESS } from "../../scripts/machine-slowness.ts";

/** At first, and always where each look moves a manual clock on. */
export const BETWEEN_LOOKS_MS = 5;
/** A look may cost whoever is waited for as much as the asker: the longer a wait, the fewer of them. */
const MOST_BETWEEN_LOOKS_MS = 25;
const PART_OF_THE_WAIT = 0.05;
/** Deadlines are no claims of speed: a machine that is busy for seconds must fail nobody. */
export const ANSWERS_MS = 20_000;
/** The same where a program that this process started is running: it has to start, load and answer. */
const PROGRAMS_MS = 60_000;
/** How much slower this machine was than a quiet one when the run began (`scripts/machine-slowness.ts`). */
export const SLOWNESS = Number(process.env["MOUNTAINEER_TEST_SLOWNESS"] ?? "1");

/** The same now: other programs may have begun since. */
function slownessNow(): number {
  const [load = 0] = loadavg();
  return Math.max(SLOWNESS, Math.min(MOST_SLOWNESS, load / availableParallelism()));
}

/**
 * Asks `check` again and again until it gives something truthy, and resolves with that. A check that throws
 * (an assertion, say) counts as "not yet". Rejects when `deadlineMs` of real time have passed, with the last failure
 * as its cause. Left out, the deadline is 20 s, or 60 s while a program that this process started is running; a busy
 * machine gets as many times as long as it is slower.
 * `betweenLooksMs`: always the same; left out, 5 ms at first and up to 25 ms in a long wait.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  deadlineMs?: number,
  betweenLooksMs?: number,
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
    const waitedMs = performance.now() - startedAt;
    if (waitedMs >= slownessNow() * (deadlineMs ?? (isProgramRunning() ? PROGRAMS_MS : ANSWERS_MS))) {
      const text = lastFailure instanceof Error ? lastFailure.message : String(lastFailure);
      throw new Error(`not so within ${Math.round(waitedMs)} ms: ${text}`, { cause: lastFailure });
    }
    const growingMs = Math.min(
      Math.max(waitedMs * PART_OF_THE_WAIT, BETWEEN_LOOKS_MS),
      MOST_BETWEEN_LOOKS_MS,
    );
    await pause(betweenLooksMs ?? growingMs);
  }
}

function isProgramRunning(): boolean {
  return process.getActiveResourcesInfo().includes("ProcessWrap");
}

function isTruthy<T>(value: T): value is Exclude<T, false | null | undefined | 0 | ""> {
  return Boolean(value);
}
