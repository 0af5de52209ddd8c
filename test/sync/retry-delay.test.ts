import assert from "node:assert/strict";
import test from "node:test";
import { retryDelayMs } from "../../src/sync/retry-delay.ts";

test("B4 backoff doubles the poll interval each time, 60 s at most; fixed stays at it", () => {
  const delays = (onFailure: "backoff" | "fixed", pollIntervalMs: number): number[] =>
    [1, 2, 3, 6, 10, 5_000].map((failures) => retryDelayMs({ onFailure, pollIntervalMs }, failures));
  assert.deepEqual(delays("backoff", 2_000), [2_000, 4_000, 8_000, 60_000, 60_000, 60_000]);
  assert.deepEqual(delays("backoff", 50), [50, 100, 200, 1_600, 25_600, 60_000]);
  assert.deepEqual(delays("backoff", 90_000), [60_000, 60_000, 60_000, 60_000, 60_000, 60_000]);
  assert.deepEqual(delays("fixed", 50), [50, 50, 50, 50, 50, 50]);
});
