// V8's settings for the daemon's heap.
import { performance } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock, Timer } from "../runtime/time/clock.ts";

/**
 * How much the heap may grow before the next collection, as a percentage of its size after the last one. V8's
 * default may be several times higher.
 */
const GROWING_PERCENT = 100;
/** Time after which most background work of a start is done, ms. */
const STARTED_MS = 2_000;
/** A heap that has grown by more bytes is collected once the thread was idle for `BETWEEN_CHECKS_MS`. */
const MOST_GROWTH = 24 * 1024 * 1024;
const BETWEEN_CHECKS_MS = 20_000;
const IDLE = 0.1;

/**
 * Calls `keepCompiledCode`, and applies the settings: V8 ignores all compiled code that was kept under other flags, also
 * that of Node's own modules. Then returns memory that only the start needed, 6 of 87 MB, to the system, and later that of
 * large messages. An idle daemon would keep it, since V8 collects only when the heap grows. Blocks the thread for 12 ms.
 */
export function limitHeapAfterStart(clock: Clock, keepCompiledCode: () => void): Timer {
  let next: Timer | null = null;
  const started = clock.setTimer(STARTED_MS, () => {
    keepCompiledCode();
    setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
    // Switches pretenuring off. With pretenuring, V8 may allocate objects of calls in the old space, where each keeps
    // everything it references alive until the next full collection: 1.4 KB per call.
    setFlagsFromString("--no-allocation-site-pretenuring");
    // Under calls, the young heap takes its whole size at once. With V8's 2, that takes some 26,000 calls, and until then
    // one call in a hundred waits for a collection.
    setFlagsFromString("--semi-space-growth-factor=8");
    setFlagsFromString("--expose-gc");
    const collect: NonNullable<typeof gc> = runInNewContext("gc");
    setFlagsFromString("--no-expose-gc");
    let [size, busy] = [0, performance.eventLoopUtilization()];
    const giveBack = (): void => {
      collect({ type: "major", execution: "sync", flavor: "last-resort" });
      size = getHeapStatistics().total_physical_size;
    };
    const check = (): void => {
      const { utilization } = performance.eventLoopUtilization(busy);
      busy = performance.eventLoopUtilization();
      if (utilization < IDLE && getHeapStatistics().total_physical_size > size + MOST_GROWTH) giveBack();
      next = clock.setTimer(BETWEEN_CHECKS_MS, check);
    };
    giveBack();
    next = clock.setTimer(BETWEEN_CHECKS_MS, check);
  });
  return {
    [Symbol.dispose]() {
      started[Symbol.dispose]();
      next?.[Symbol.dispose]();
    },
  };
}
