// How V8 is to use the daemon's heap.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock, Timer } from "../runtime/time/clock.ts";

/** Of what is in use after a collection; V8's own choice may be several times that. */
const GROWING_PERCENT = 100;
/** What a start leaves to do in the background is mostly done by then, ms. */
const STARTED_MS = 2_000;

/** Holds for the process, from now on; children inherit nothing of it. */
export function settleHeap(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
  // V8 may decide that the objects of one place in the code are born in the old heap, as those of the first calls lived
  // long. Each of them then takes all that it points to with it, dead or not, until the next full collection: 1.4 KB of
  // each call.
  setFlagsFromString("--no-allocation-site-pretenuring");
}

/**
 * Gives what only the start needed back to the system, once: 6 MB of 87. V8 itself collects when a heap grows, and that of
 * a daemon at rest does not. Takes 12 ms of the thread.
 */
export function trimHeapAfterStart(clock: Clock): Timer {
  return clock.setTimer(STARTED_MS, () => {
    setFlagsFromString("--expose-gc");
    const collect: NonNullable<typeof gc> = runInNewContext("gc");
    setFlagsFromString("--no-expose-gc");
    collect({ type: "major", execution: "sync", flavor: "last-resort" });
  });
}
