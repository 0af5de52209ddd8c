// A manual clock that goes on beside real work, only while that work waits for the clock.
import { performance } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { ANSWERS_MS, BETWEEN_LOOKS_MS, SLOWNESS } from "./eventually.ts";
import type { ManualClock } from "./manual-clock.ts";

/** What Node asks of the system or of its own threads, and has no answer to: files, names, connections, writes. */
const REQUEST = /Req|^(TCP|Pipe)ConnectWrap$|^(Write|Shutdown)Wrap$/;

/** How often something has come from outside of this process's JavaScript, or a timer has come or gone. */
function happenings(clock: ManualClock): string {
  return `${performance.nodeTiming.uvMetricsInfo.events} ${clock.pendingTimers}`;
}

function isAsking(): boolean {
  return process.getActiveResourcesInfo().some((kind) => REQUEST.test(kind));
}

/**
 * Moves the clock on by `stepMs` again and again until `holds` gives something truthy, and resolves with that. A step
 * comes when a timer waits and this process has nothing else to do: nothing came in a whole look at all that it listens
 * to, and nothing is on its way to it from the system. However slow the machine is, nothing that both ends of this process
 * do overtakes its clock; what another process does may. `holds` that throws counts as "not yet".
 */
export async function passTimeUntil<T>(
  clock: ManualClock,
  holds: () => T | Promise<T>,
  stepMs: number,
  deadlineMs = ANSWERS_MS,
): Promise<Exclude<T, false | null | undefined | 0 | "">> {
  const untilMs = performance.now() + SLOWNESS * deadlineMs;
  for (;;) {
    let found: T | null = null;
    let failure: unknown;
    try {
      found = await holds();
    } catch (error) {
      failure = error;
    }
    if (isTruthy(found)) return found;
    if (performance.now() >= untilMs) {
      throw new Error(`not so within ${deadlineMs} ms of steps of ${stepMs} ms`, { cause: failure ?? found });
    }
    const before = happenings(clock);
    await pause(BETWEEN_LOOKS_MS);
    if (clock.pendingTimers > 0 && before === happenings(clock) && !isAsking()) await clock.advance(stepMs);
  }
}

function isTruthy<T>(value: T | null): value is Exclude<T, false | null | undefined | 0 | ""> {
  return Boolean(value);
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
  await passTimeUntil(clock, () => settled, stepMs, 60_000);
  return work;
}
