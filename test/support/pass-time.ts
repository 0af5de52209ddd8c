// Owns letting a manual clock run on beside real work, only while that work waits for the clock.
import { eventually } from "./eventually.ts";
import type { ManualClock } from "./manual-clock.ts";

/**
 * Moves the clock on by `stepMs` again and again, each time `work` has set a timer, until `work` has settled, and
 * settles as it does. Real work between the timers takes no time of this clock.
 */
export async function passTimeUntilSettled<T>(clock: ManualClock, work: Promise<T>, stepMs = 10): Promise<T> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  work.then(note, note);
  await eventually(async () => {
    if (!settled && clock.pendingTimers > 0) await clock.advance(stepMs);
    return settled;
  }, 60_000);
  return work;
}
