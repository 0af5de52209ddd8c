import assert from "node:assert/strict";
import test, { describe } from "node:test";
import {
  BACKOFF_LIMIT_MS,
  backOff,
  NO_BACKOFF,
  type RouteHealth,
  restoredHealth,
  type Since,
  stableFrom,
  suspect,
  UNKNOWN_HEALTH,
  updateHealth,
} from "../../src/reconcile/route-health.ts";
import { fc } from "../support/properties.ts";

const GAP_MS = 6000;
const WALL = 1_700_000_000_000;

function at(monotonicMs: number, wallMs = WALL + monotonicMs): Since {
  return { monotonicMs, wallMs };
}

function fold(before: RouteHealth, when: Since, answer: "answers" | "tcp" | "nothing") {
  return updateHealth(
    before,
    { at: when, reachable: answer !== "nothing", healthy: answer === "answers" },
    GAP_MS,
  );
}

describe("route health", () => {
  test("Recovery: the window counts from the first NEGOTIATE without a gap", () => {
    const { health: first } = fold(UNKNOWN_HEALTH, at(1000), "tcp");
    assert.deepEqual([first.reachableSince, first.healthySince], [at(1000), null]);
    assert.equal(stableFrom(first, 30_000), null);
    const { health: second, dropped } = fold(first, at(3000), "answers");
    assert.equal(dropped, false);
    assert.deepEqual([second.reachableSince, second.healthySince], [at(1000), at(3000)]);
    const { health: third } = fold(second, at(5000), "answers");
    assert.equal(stableFrom(third, 30_000), 33_000);
  });

  test("Recovery: a host that connects and stays silent drops the window, not its reachability", () => {
    const { health: well } = fold(UNKNOWN_HEALTH, at(1000), "answers");
    const { health, dropped } = fold(well, at(3000), "tcp");
    assert.equal(dropped, true);
    assert.deepEqual([health.reachableSince, health.healthySince], [at(1000), null]);
    assert.equal(fold(health, at(5000), "nothing").dropped, false);
  });

  test("Recovery: exactly the allowed stretch is not a gap; a moment longer is, by either clock", () => {
    const { health } = fold(UNKNOWN_HEALTH, at(0), "answers");
    assert.equal(fold(health, at(GAP_MS), "answers").dropped, false);
    for (const late of [at(GAP_MS + 1), at(1000, WALL + GAP_MS + 1), at(GAP_MS + 1, WALL)]) {
      const { health: after, dropped } = fold(health, late, "answers");
      assert.equal(dropped, true);
      assert.deepEqual(after.healthySince, late);
      assert.deepEqual(after.reachableSince, late);
    }
  });

  test("Recovery: a wall clock set back is not a gap, and the window continues by the monotonic clock", () => {
    const { health } = fold(UNKNOWN_HEALTH, at(0), "answers");
    const { health: after, dropped } = fold(health, at(2000, WALL - 3_600_000), "answers");
    assert.equal(dropped, false);
    assert.equal(stableFrom(after, 30_000), 30_000);
  });

  test("Recovery: a gap while the host was down is not a drop", () => {
    const { health } = fold(UNKNOWN_HEALTH, at(0), "nothing");
    assert.equal(fold(health, at(60_000), "answers").dropped, false);
  });

  test("Recovery: a prompt restart continues the window, a later one starts it over", () => {
    const recalled = restoredHealth(
      { reachableSince: WALL - 20_000, healthySince: WALL - 18_000, observedAt: WALL - 2000 },
      at(500, WALL),
    );
    const { health, dropped } = fold(recalled, at(600, WALL + 100), "answers");
    assert.equal(dropped, false);
    assert.equal(stableFrom(health, 30_000), 500 - 18_000 + 30_000);
    assert.equal(fold(recalled, at(5000, WALL + 4500), "answers").dropped, true);
  });

  test("Recovery: times from the future, or no time of the last check, restore nothing", () => {
    const times = { reachableSince: WALL - 2, healthySince: WALL - 1 };
    assert.deepEqual(restoredHealth({ ...times, observedAt: null }, at(0, WALL)), UNKNOWN_HEALTH);
    assert.deepEqual(restoredHealth({ ...times, observedAt: WALL + 1 }, at(0, WALL)), UNKNOWN_HEALTH);
    const partly = restoredHealth(
      { reachableSince: WALL - 2, healthySince: WALL + 9, observedAt: WALL },
      at(0, WALL),
    );
    assert.deepEqual([partly.reachableSince?.wallMs, partly.healthySince], [WALL - 2, null]);
  });

  test("Recovery: health never lasts longer than the unbroken run of good readings behind it", () => {
    const readings = fc.array(
      fc.record({
        afterMs: fc.integer({ min: 1, max: 9000 }),
        sleptMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20_000 })),
        answer: fc.constantFrom("answers" as const, "tcp" as const, "nothing" as const),
      }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(readings, (list) => {
        let health = UNKNOWN_HEALTH;
        let monotonicMs = 0;
        let wallMs = WALL;
        let runStart: number | null = null;
        for (const { afterMs, sleptMs, answer } of list) {
          monotonicMs += afterMs;
          wallMs += afterMs + sleptMs;
          const gap = health.observedAt !== null && afterMs + sleptMs > GAP_MS;
          if (answer !== "answers") runStart = null;
          else if (runStart === null || gap) runStart = monotonicMs;
          health = fold(health, { monotonicMs, wallMs }, answer).health;
          assert.equal(health.healthySince?.monotonicMs ?? null, runStart);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("suspicion", () => {
  test("What to mount: another mount's loss starts the suspicion over", () => {
    const { suspectedLoss } = suspect(null, "tb 1", 1000, true);
    assert.equal(suspect(suspectedLoss, "tb 2", 2000, true).state, "waiting");
  });

  test("What to mount: it takes two certain readings; an uncertain one makes the loss uncertain", () => {
    const silent = suspect(null, "tb", 1000, false);
    const refused = suspect(silent.suspectedLoss, "tb", 1250, true);
    assert.equal(refused.state, "waiting");
    const confirmed = suspect(refused.suspectedLoss, "tb", 1500, true);
    assert.deepEqual([confirmed.state, confirmed.suspectedLoss.certain], ["confirmed", true]);
    const unsure = suspect(confirmed.suspectedLoss, "tb", 3500, false);
    assert.deepEqual([unsure.state, unsure.suspectedLoss.certain], ["confirmed", false]);
  });
});

describe("backoff", () => {
  test("What to mount: pauses double from a second to a minute and stay finite", () => {
    let backoff = NO_BACKOFF;
    const pauses: number[] = [];
    for (let failures = 0; failures < 2000; failures++) {
      backoff = backOff(backoff, 0);
      pauses.push(backoff.notBeforeMs);
    }
    assert.deepEqual(pauses.slice(0, 8), [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    assert.equal(Math.max(...pauses), BACKOFF_LIMIT_MS);
  });
});
