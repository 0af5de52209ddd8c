// Whether process groups have ended that this process did not start.
import { systemErrorCode } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";

const LOOK_MS = 50;
/** One that the system cannot end, or that got another's number, must not keep a backend from starting for ever. */
const GONE_MS = 30_000;

/** Resolves when nothing is left of them, or after 30 s. */
export async function groupsGone(groups: readonly number[], clock: Clock): Promise<void> {
  const untilMs = clock.monotonicMs() + GONE_MS;
  while (groups.some(isThere) && clock.monotonicMs() < untilMs) await clock.sleep(LOOK_MS);
}

function isThere(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    // EPERM: it is another user's by now.
    return false;
  }
}
