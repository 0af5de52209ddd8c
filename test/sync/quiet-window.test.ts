import assert from "node:assert/strict";
import test from "node:test";
import { createQuietWindow } from "../../src/sync/quiet-window.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { fc } from "../support/properties.ts";

function openable(beforeEnd: () => Promise<void> = async () => {}, quietMs = 100, maxWaitMs = 1_000) {
  const clock = createManualClock();
  const ends: number[] = [];
  const window = createQuietWindow({
    clock,
    quietMs,
    maxWaitMs,
    beforeEnd: () => beforeEnd(),
    onEnd: () => ends.push(clock.monotonicMs() - 1_000),
  });
  return { clock, ends, window };
}

test("B1 a change that is told late counts from when it was, and never shortens the window", async () => {
  const { clock, ends, window } = openable();
  window.trigger(clock.monotonicMs() - 12);
  await clock.advance(50);
  window.trigger(clock.monotonicMs() - 10);
  window.trigger(clock.monotonicMs() - 30);
  await clock.advance(89);
  assert.deepEqual(ends, []);
  await clock.advance(1);
  assert.deepEqual(ends, [140]);
});

test("B1 a last look that fails ends the window, and one that takes its time holds it open", async () => {
  const failing = openable(() => Promise.reject(new Error("on purpose")));
  failing.window.trigger();
  await failing.clock.advance(100);
  assert.deepEqual(failing.ends, [100]);

  let answer = (): void => {};
  const slow = openable(() => new Promise((resolve) => (answer = resolve)));
  slow.window.trigger();
  await slow.clock.advance(500);
  assert.equal(slow.window.isOpen, true);
  answer();
  await slow.clock.advance(0);
  assert.deepEqual(slow.ends, [500]);
});

test("B5 new lengths hold for the open window", async () => {
  const { clock, ends, window } = openable();
  window.trigger();
  await clock.advance(50);
  window.setLengths(60, 600);
  await clock.advance(10);
  assert.deepEqual(ends, [60]);
  window.trigger();
  window.setLengths(200, 2_000);
  await clock.advance(199);
  assert.equal(ends.length, 1);
  await clock.advance(1);
  assert.deepEqual(ends, [60, 260]);
});

test("after disposal nothing opens it", async () => {
  const { clock, ends, window } = openable();
  window.trigger();
  window[Symbol.dispose]();
  window.trigger();
  await clock.advance(5_000);
  assert.deepEqual(ends, []);
  assert.equal(clock.pendingTimers, 0);
});

test("B1 whatever comes when: each change is followed by an end within the bound, ends come after quiet or the bound", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(150), { minLength: 1, maxLength: 60 }), async (gaps) => {
      const { clock, ends, window } = openable();
      const changes: number[] = [];
      for (const gap of gaps) {
        await clock.advance(gap);
        changes.push(clock.monotonicMs() - 1_000);
        window.trigger();
      }
      await clock.advance(2_000);
      for (const change of changes) {
        assert.ok(
          ends.some((end) => end >= change && end <= change + 1_000),
          `change at ${change}`,
        );
      }
      let from = 0;
      for (const end of ends) {
        const inWindow = changes.filter((change) => change >= from && change < end);
        const quietMs = end - (inWindow.at(-1) ?? 0);
        const openMs = end - (inWindow[0] ?? 0);
        assert.ok(quietMs === 100 || openMs === 1_000, `${quietMs} ms quiet, ${openMs} ms open`);
        from = end;
      }
    }),
    { numRuns: 60 },
  );
});
