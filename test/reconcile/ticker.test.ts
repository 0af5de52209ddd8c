import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { IN_STEP, startTicker } from "../../src/reconcile/ticker.ts";
import type { Clock } from "../../src/runtime/time/clock.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { pluck } from "../support/pluck.ts";

/** Timers fire this much late, as those of a busy process do. */
function lateClock(lateMs: number): { clock: Clock; advance: (ms: number) => Promise<void> } {
  const manual = createManualClock();
  return {
    clock: { ...manual, setTimer: (delayMs, callback) => manual.setTimer(delayMs + lateMs, callback) },
    advance: (ms) => manual.advance(ms),
  };
}

describe("ticker", () => {
  test("A1 tickers of one interval beat at the same instant, whenever they were started", async () => {
    const clock = createManualClock();
    const beats: string[] = [];
    const beat = (name: string) => (dueMs: number) => beats.push(`${name} ${dueMs}`);
    using _first = startTicker(clock, 2000, beat("first"), IN_STEP);
    await clock.advance(80);
    using _second = startTicker(clock, 2000, beat("second"), IN_STEP);
    await clock.advance(3000);
    assert.deepEqual(beats, ["first 2000", "second 2000", "first 4000", "second 4000"]);
  });

  test("A1 late beats do not delay the ones after them", async () => {
    const { clock, advance } = lateClock(7);
    const beats: number[] = [];
    const heard: number[] = [];
    using _ticker = startTicker(clock, 100, (dueMs) => {
      beats.push(dueMs);
      heard.push(clock.monotonicMs());
    });
    await advance(100_007);
    assert.equal(beats.length, 1000);
    assert.equal(beats.at(-1), 101_000);
    assert.equal(heard.at(-1), 101_007);
  });

  test("A1 beats missed while the process was paused are skipped, and the beat keeps its grid", async () => {
    let nowMs = 0;
    const timers: { atMs: number; callback: () => void }[] = [];
    const clock: Clock = {
      ...createManualClock(),
      monotonicMs: () => nowMs,
      setTimer(delayMs, callback) {
        timers.push({ atMs: nowMs + delayMs, callback });
        return { [Symbol.dispose]() {} };
      },
    };
    const beats: number[] = [];
    using _ticker = startTicker(clock, 1000, (dueMs) => beats.push(dueMs));
    nowMs = 60_300;
    timers.shift()?.callback();
    assert.deepEqual(beats, [60_000]);
    assert.deepEqual(pluck(timers, "atMs"), [61_000]);
  });

  test("A6 a changed interval takes effect at once, counted from the last beat", async () => {
    const clock = createManualClock();
    const beats: number[] = [];
    using ticker = startTicker(clock, 30_000, (dueMs) => beats.push(dueMs));
    await clock.advance(31_500);
    ticker.setInterval(2000);
    await clock.advance(500);
    ticker.setInterval(10_000);
    ticker.setInterval(10_000);
    await clock.advance(10_000);
    assert.deepEqual(beats, [31_000, 33_000, 43_000]);
    assert.equal(clock.pendingTimers, 1);
  });

  test("A6 a shorter interval whose beat is past already beats once, at once", async () => {
    const clock = createManualClock();
    const beats: number[] = [];
    using ticker = startTicker(clock, 60_000, (dueMs) => beats.push(dueMs));
    await clock.advance(15_500);
    ticker.setInterval(2000);
    await clock.advance(0);
    assert.deepEqual(beats, [15_000]);
    await clock.advance(500);
    assert.deepEqual(beats, [15_000, 17_000]);
  });

  test("A1 ended, it never beats again, whatever is requested of it then or during a beat", async () => {
    const clock = createManualClock();
    let beats = 0;
    const ticker = startTicker(clock, 1000, () => {
      beats++;
      ticker[Symbol.dispose]();
    });
    await clock.advance(1000);
    ticker.setInterval(10);
    await clock.advance(10_000);
    assert.equal(beats, 1);
    assert.equal(clock.pendingTimers, 0);
  });
});
