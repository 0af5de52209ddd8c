import assert from "node:assert/strict";
import test from "node:test";
import { createClockWatch } from "../../../src/network/listen/clock-jump.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createManualClock } from "../../support/manual-clock.ts";

test("A3 a wall clock that is set, either way, is a jump once", async () => {
  const clock = createManualClock();
  const watch = createClockWatch({ clock, uptimeMs: () => clock.monotonicMs() });
  await clock.advance(2_000);
  assert.equal(watch.observe(2_000), null);
  clock.jumpWall(3_600_000);
  await clock.advance(2_000);
  assert.deepEqual(watch.observe(2_000), { kind: "clock_set", byMs: 3_600_000, text: "clock jumped by 1 h" });
  await clock.advance(2_000);
  assert.equal(watch.observe(2_000), null);
  clock.jumpWall(-3_500);
  assert.equal(watch.observe()?.text, "clock jumped by -3.5 s");
  assert.equal(watch.observe(), null);
});

test("A3 sleep where the monotonic clock stands still is told apart by the time since boot", async () => {
  const clock = createManualClock();
  let asleep = 0;
  const watch = createClockWatch({ clock, uptimeMs: () => clock.monotonicMs() + asleep });
  await clock.advance(1_000);
  asleep += 7_800_000;
  clock.jumpWall(7_800_000);
  await clock.advance(1_000);
  assert.deepEqual(watch.observe(2_000), {
    kind: "woke",
    byMs: 7_800_000,
    text: "woke from sleep after 2 h 10 min",
  });
  clock.jumpWall(60_000);
  assert.equal(watch.observe()?.kind, "clock_set");
});

test("A3 sleep where every clock runs on shows as a beat that came far too late", async () => {
  const clock = createManualClock();
  const watch = createClockWatch({ clock, uptimeMs: () => clock.monotonicMs() });
  await clock.advance(600_000);
  assert.deepEqual(watch.observe(2_000), {
    kind: "woke",
    byMs: 600_000,
    text: "woke from sleep after 10 min",
  });
  await clock.advance(3_900);
  assert.equal(watch.observe(2_000), null, "a busy machine is late, too");
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
