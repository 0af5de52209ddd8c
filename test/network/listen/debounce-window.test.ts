// When changes are told: after a burst of them, and after a jump of the clock.
import assert from "node:assert/strict";
import test from "node:test";
import { createClockWatch } from "../../../src/network/listen/clock-jump.ts";
import { createTriggerWindow } from "../../../src/network/listen/debounce-window.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { fc } from "../../support/properties.ts";

/** A window whose cycles are noted, with their times since the start. */
function openWindow(windowMs = 500) {
  const clock = createManualClock();
  const start = clock.monotonicMs();
  const cycles: { at: number; reasons: readonly string[] }[] = [];
  const onCycle = (reasons: readonly string[]) => cycles.push({ at: clock.monotonicMs() - start, reasons });
  return { clock, start, cycles, window: createTriggerWindow({ clock, windowMs, onCycle }) };
}

test("A4 the first event runs at once, the rest collapse into one cycle at the window's end, which opens the next", async () => {
  const { clock, cycles, window } = openWindow();
  window.trigger("a");
  assert.deepEqual(cycles, [{ at: 0, reasons: ["a"] }]);
  await clock.advance(100);
  window.trigger("b");
  await clock.advance(300);
  window.trigger("c");
  await clock.advance(200);
  assert.deepEqual(cycles.slice(1), [{ at: 500, reasons: ["b", "c"] }]);
  // 600: still in the window that the second cycle opened.
  window.trigger("d");
  await clock.advance(399);
  assert.equal(cycles.length, 2);
  await clock.advance(1);
  assert.deepEqual(cycles[2], { at: 1000, reasons: ["d"] });
  await clock.advance(1000);
  window.trigger("e");
  assert.deepEqual(cycles[3], { at: 2000, reasons: ["e"] });
  assert.equal(clock.pendingTimers, 0);
});

test("A4 for any events: never two cycles within a window, a bounded number, and none is forgotten", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(700), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 800 }),
      async (gaps, windowMs) => {
        const { clock, start, cycles, window } = openWindow(windowMs);
        const events: number[] = [];
        for (const gap of gaps) {
          await clock.advance(gap);
          events.push(clock.monotonicMs() - start);
          window.trigger(`event ${events.length}`);
        }
        await clock.advance(windowMs);
        const span = (events.at(-1) ?? 0) - (events[0] ?? 0);
        assert.ok(cycles.length <= 2 + Math.floor(span / windowMs), `${cycles.length} cycles`);
        for (let index = 1; index < cycles.length; index += 1) {
          assert.ok((cycles[index]?.at ?? 0) - (cycles[index - 1]?.at ?? 0) >= windowMs);
        }
        for (const [index, at] of events.entries()) {
          const cycle = cycles.find(({ reasons }) => reasons.includes(`event ${index + 1}`));
          assert.ok(cycle !== undefined && cycle.at >= at && cycle.at <= at + windowMs);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("reasons beyond fifty are counted", async () => {
  const { clock, cycles, window } = openWindow();
  for (let event = 0; event < 100; event += 1) window.trigger(`${event}`);
  await clock.advance(500);
  assert.equal(cycles[1]?.reasons.length, 51);
  assert.equal(cycles[1]?.reasons.at(-1), "+49 more");
  window.trigger("later");
  await clock.advance(500);
  assert.deepEqual(cycles[2]?.reasons, ["later"]);
});

test("a new length applies at once: shorter ends the open window, longer keeps it", async () => {
  const { clock, cycles, window } = openWindow();
  const times = () => cycles.map(({ at }) => at);
  window.trigger("a");
  window.trigger("b");
  await clock.advance(200);
  window.setWindowMs(100);
  await clock.advance(0);
  assert.deepEqual(times(), [0, 200]);
  window.trigger("c");
  window.setWindowMs(1_000);
  await clock.advance(999);
  assert.equal(cycles.length, 2);
  await clock.advance(1);
  assert.deepEqual(times(), [0, 200, 1_200]);
});

test("a length of zero lets each event run at once", () => {
  const { cycles, window } = openWindow(0);
  window.trigger("a");
  window.trigger("b");
  assert.equal(cycles.length, 2);
});

test("an event that the cycle itself causes waits for the window's end, and a cycle that throws loses none", async () => {
  const clock = createManualClock();
  const cycles: (readonly string[])[] = [];
  const window = createTriggerWindow({
    clock,
    windowMs: 500,
    onCycle(reasons) {
      cycles.push(reasons);
      if (cycles.length === 1) {
        window.trigger("inner");
        throw new Error("on purpose");
      }
    },
  });
  assert.throws(() => window.trigger("outer"), /on purpose/);
  await clock.advance(500);
  assert.deepEqual(cycles, [["outer"], ["inner"]]);
});

test("nothing runs after disposal", async () => {
  const { clock, cycles, window } = openWindow();
  window.trigger("a");
  window.trigger("b");
  window[Symbol.dispose]();
  window.trigger("c");
  await clock.advance(1_000);
  assert.equal(cycles.length, 1);
});

test("A3 a wall clock that is set, either way, is a jump once", async () => {
  const clock = createManualClock();
  const watch = createClockWatch({ clock, uptimeMs: () => clock.monotonicMs() });
  await clock.advance(2_000);
  assert.equal(watch.observe(2_000), null);
  clock.jumpWall(3_600_000);
  await clock.advance(2_000);
  assert.deepEqual(watch.observe(2_000), { kind: "clock_set", text: "clock jumped by 1 h" });
  await clock.advance(2_000);
  assert.equal(watch.observe(2_000), null);
  clock.jumpWall(-3_500);
  assert.equal(watch.observe()?.text, "clock jumped by -3.5 s");
  assert.equal(watch.observe(), null);
});

test("A3 sleep where the monotonic clock pauses is recognized by the time since boot", async () => {
  const clock = createManualClock();
  let asleep = 0;
  const watch = createClockWatch({ clock, uptimeMs: () => clock.monotonicMs() + asleep });
  await clock.advance(1_000);
  asleep += 7_800_000;
  clock.jumpWall(7_800_000);
  await clock.advance(1_000);
  assert.deepEqual(watch.observe(2_000), {
    kind: "woke",
    text: "woke from sleep after 2 h 10 min",
  });
  clock.jumpWall(60_000);
  assert.equal(watch.observe()?.kind, "clock_set");
});

test("A3 sleep where every clock keeps running shows as a beat that arrived far too late", async () => {
  const clock = createManualClock();
  const watch = createClockWatch({ clock, uptimeMs: () => clock.monotonicMs() });
  await clock.advance(600_000);
  assert.deepEqual(watch.observe(2_000), {
    kind: "woke",
    text: "woke from sleep after 10 min",
  });
  await clock.advance(3_900);
  assert.equal(watch.observe(2_000), null, "a busy machine is late, too");
});

test("A3 a beat that is late because this process was busy is not a sleep, and an even later one is", async () => {
  const clock = createManualClock();
  let busy = 0;
  const watch = createClockWatch({ clock, uptimeMs: () => clock.monotonicMs(), busyMs: () => busy });
  busy += 51_000;
  await clock.advance(52_000);
  assert.equal(watch.observe(2_000), null);
  busy += 51_000;
  await clock.advance(600_000);
  assert.equal(watch.observe(2_000)?.kind, "woke");
});

test("drift below the threshold never adds up to a jump", async () => {
  const clock = createManualClock();
  const watch = createClockWatch({ clock, uptimeMs: () => clock.monotonicMs() });
  for (let beat = 0; beat < 50; beat += 1) {
    clock.jumpWall(500);
    await clock.advance(100);
    assert.equal(watch.observe(), null);
  }
});

test("the machine's own clocks agree with one another", () => {
  assert.equal(createClockWatch({ clock: systemClock }).observe(0), null);
});
