// How much memory a piece of work leaves behind, each time that it is done.
import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const ROUNDS = 4;

/**
 * Bytes that `work` leaves, the least of several times. What leaks leaks each time; what the runtime compiles or keeps for
 * a file that ran before grows in one round or another.
 */
export async function leastGrowth(work: () => Promise<void>): Promise<number> {
  await work();
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = heapUsed();
    await work();
    least = Math.min(least, heapUsed() - before);
  }
  return least;
}

function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  assert.ok(typeof collect === "function");
  collect();
  return process.memoryUsage().heapUsed;
}
