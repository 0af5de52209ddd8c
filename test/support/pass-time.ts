// A manual clock that goes on beside real work, only while that work waits for the clock.
import { ANSWERS_MS, BETWEEN_LOOKS_MS, eventually } from "./eventually.ts";
import type { ManualClock } from "./manual-clock.ts";

interface Pace {
  readonly deadlineMs?: number;
  /** So long no timer may have come or gone before the clock goes on, ms of real time: real work may be under way. */
  readonly quietMs?: number;
}

/**
 * Moves the clock on by `stepMs` again and again until `holds` gives something truthy, and resolves with that. Between
 * two steps real work has some time to go on: a step comes when a timer waits, and none was set or ended for a while.
 * `holds` that throws counts as "not yet".
 */
export async function passTimeUntil<T>(
  clock: ManualClock,
  holds: () => T | Promise<T>,
  stepMs: number,
  { deadlineMs = ANSWERS_MS, quietMs = 20 }: Pace = {},
): Promise<Exclude<T, false | null | undefined | 0 | "">> {
  let timers = -1;
  let quietSince = performance.now();
  const step = async (): Promise<void> => {
    if (clock.pendingTimers !== timers) quietSince = performance.now();
    timers = clock.pendingTimers;
    if (timers === 0 || performance.now() - quietSince < quietMs) return;
    await clock.advance(stepMs);
    quietSince = performance.now();
  };
  return eventually(
    async () => {
      let found: T | null = null;
      try {
        found = await holds();
        return found;
      } finally {
        if (!found) await step();
      }
    },
    deadlineMs,
    BETWEEN_LOOKS_MS,
  );
}

/** The same until `work` has settled; settles as it does. */
export async function passTimeUntilSettled<T>(
  clock: ManualClock,
  work: PromiseLike<T>,
  stepMs = 10,
): Promise<T> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  work.then(note, note);
  await passTimeUntil(clock, () => settled, stepMs, { deadlineMs: 60_000, quietMs: 0 });
  return work;
}
