// The machine's clock, the clock of the tests, and waiting with a limit: one contract for both clocks.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { stat } from "node:fs/promises";
import { describe, it, test } from "node:test";
import {
  type Clock,
  exactLocalClock,
  isoTime,
  localClock,
  localDay,
  settlesWithin,
  systemClock,
} from "../../../src/runtime/time/clock.ts";
import { createManualClock } from "../../support/manual-clock.ts";

interface ClockUnderTest {
  readonly clock: Clock;
  pass(ms: number): Promise<void>;
}

const clocks: Record<string, () => ClockUnderTest> = {
  "the machine's": () => ({
    clock: systemClock,
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms + 5)),
  }),
  "the tests'": () => {
    const clock = createManualClock();
    return { clock, pass: (ms) => clock.advance(ms) };
  },
};

for (const [name, createClock] of Object.entries(clocks)) {
  describe(`clock: ${name}`, () => {
    it("fires a timer once, not before its time, never at once", async () => {
      const { clock, pass } = createClock();
      const startedAtMs = clock.monotonicMs();
      const firedAtMs: number[] = [];
      clock.setTimer(20, () => firedAtMs.push(clock.monotonicMs() - startedAtMs));
      clock.setTimer(0, () => firedAtMs.push(-1));
      assert.deepEqual(firedAtMs, []);
      await pass(60);
      assert.equal(firedAtMs.length, 2);
      assert.equal(firedAtMs[0], -1);
      assert.ok((firedAtMs[1] ?? 0) >= 19, `${firedAtMs[1]}`);
    });

    it("does not fire a timer that was disposed; disposing again does nothing", async () => {
      const { clock, pass } = createClock();
      let fired = 0;
      const early = clock.setTimer(5, () => fired++);
      const late = clock.setTimer(5, () => fired++);
      early[Symbol.dispose]();
      early[Symbol.dispose]();
      await pass(20);
      late[Symbol.dispose]();
      assert.equal(fired, 1);
    });

    it("sleeps, and leaves no listener on the signal", async () => {
      const { clock, pass } = createClock();
      const { signal } = new AbortController();
      let awake = false;
      const sleeping = clock.sleep(20, signal).then(() => {
        awake = true;
      });
      assert.equal(awake, false);
      await pass(30);
      await sleeping;
      assert.equal(getEventListeners(signal, "abort").length, 0);
    });

    it("wakes by a signal with its reason, before or after it began", async () => {
      const { clock } = createClock();
      const aborting = new AbortController();
      const reason = new Error("enough");
      const sleeping = clock.sleep(60_000, aborting.signal);
      aborting.abort(reason);
      await assert.rejects(sleeping, reason);
      await assert.rejects(clock.sleep(60_000, aborting.signal), reason);
    });

    it("never goes back", async () => {
      const { clock, pass } = createClock();
      const before = [clock.monotonicMs(), clock.wallMs()];
      await pass(10);
      assert.ok(clock.monotonicMs() >= (before[0] ?? 0) + 10);
      assert.ok(clock.wallMs() >= (before[1] ?? 0) + 9);
    });

    it("reports whether something settled within a limit", async () => {
      const { clock, pass } = createClock();
      assert.equal(await settlesWithin(clock, 1_000, Promise.resolve()), true);
      await assert.rejects(settlesWithin(clock, 1_000, Promise.reject(new Error("no"))), { message: "no" });
      const late = settlesWithin(clock, 10, new Promise(() => {}));
      await pass(20);
      assert.equal(await late, false);
    });
  });
}

test("the tests' clock lets promise callbacks run between timers", async () => {
  const clock = createManualClock();
  const rounds: number[] = [];
  void (async () => {
    for (let round = 0; round < 5; round++) {
      await clock.sleep(10);
      rounds.push(clock.monotonicMs());
    }
  })();
  await clock.advance(50);
  assert.deepEqual(rounds, [1_010, 1_020, 1_030, 1_040, 1_050]);
});

describe("time as text", () => {
  it("is ISO 8601 UTC with milliseconds", () => {
    assert.equal(isoTime(Date.UTC(2026, 10, 20, 8, 0, 0, 7)), "2026-11-20T08:00:00.007Z");
  });
});

test("a time is shown in this machine's zone, each part with its zeros", () => {
  const at = new Date(2026, 0, 2, 3, 4, 5, 6);
  assert.equal(localDay(at), "2026-01-02");
  assert.equal(localClock(at), "03:04:05");
  assert.equal(exactLocalClock(at), "03:04:05.006");
});

test("E4 data that this process did not read while it was busy is not mistaken for silence", async () => {
  const answer = stat(import.meta.filename);
  const isThere = settlesWithin(systemClock, 50, answer);
  const untilMs = performance.now() + 700;
  while (performance.now() < untilMs);
  assert.equal(await isThere, true);
  assert.equal(await settlesWithin(systemClock, 5, new Promise(() => {})), false);
});
