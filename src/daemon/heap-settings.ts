// V8's settings for the daemon's heap.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock, Timer } from "../runtime/time/clock.ts";

/**
 * Growth of the heap before the next collection, as a percentage of the heap after the last one. V8's default
 * may be several times that.
 */
const GROWING_PERCENT = 100;
/** Time after which most background work of a start is done, ms. */
const STARTED_MS = 2_000;

/** Affects this process from now on, not its children. */
export function settleHeap(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
  // If the first objects of an allocation site live long, V8 allocates later ones in the old space. There,
  // each object keeps all that it references alive until the next full collection: 1.4 KB for each call.
  setFlagsFromString("--no-allocation-site-pretenuring");
}

/**
 * Returns memory that only the start needed to the system, once: 6 MB of 87. V8 collects when the heap grows, and the heap
 * of an idle daemon does not. Blocks the thread for 12 ms.
 */
export function trimHeapAfterStart(clock: Clock): Timer {
  return clock.setTimer(STARTED_MS, () => {
    setFlagsFromString("--expose-gc");
    const collect: NonNullable<typeof gc> = runInNewContext("gc");
    setFlagsFromString("--no-expose-gc");
    collect({ type: "major", execution: "sync", flavor: "last-resort" });
  });
}
