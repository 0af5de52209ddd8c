import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { createReconcileLoop, type NextRun, type ReconcileLoop } from "../../src/reconcile/reconcile-loop.ts";
import type { Trigger, TriggerReason } from "../../src/reconcile/trigger.ts";
import { createManualClock, type ManualClock, settle } from "../support/manual-clock.ts";

interface Rig {
  readonly clock: ManualClock;
  readonly lane: ReconcileLoop;
  readonly runs: (readonly Trigger[])[];
  readonly failures: unknown[];
  /** Ends the running cycle. */
  finish(wake?: NextRun | null): Promise<void>;
  fail(error: unknown): Promise<void>;
  trigger(reason: TriggerReason, ...details: string[]): void;
  /** The same, and its cycle has begun if it may. */
  run(reason: TriggerReason, ...details: string[]): Promise<void>;
  reasons(): string[][];
  readonly signal: () => AbortSignal | null;
  readonly concurrent: () => number;
}

function createRig(onRun: (lane: ReconcileLoop) => void = () => {}): Rig {
  const clock = createManualClock();
  const runs: (readonly Trigger[])[] = [];
  const failures: unknown[] = [];
  let ends: PromiseWithResolvers<NextRun | null> | null = null;
  let now = 0;
  let most = 0;
  let lastSignal: AbortSignal | null = null;
  const lane = createReconcileLoop({
    clock,
    run: async (triggers, signal) => {
      most = Math.max(most, ++now);
      runs.push(triggers);
      lastSignal = signal;
      ends = Promise.withResolvers();
      onRun(lane);
      try {
        return await ends.promise;
      } finally {
        now--;
      }
    },
    onFailure: (error) => failures.push(error),
  });
  return {
    clock,
    lane,
    runs,
    failures,
    async finish(wake = null) {
      ends?.resolve(wake);
      await settle();
    },
    async fail(error) {
      ends?.reject(error);
      await settle();
    },
    trigger: (reason, ...details) => lane.trigger({ reason, atMs: clock.monotonicMs(), details }),
    async run(reason, ...details) {
      lane.trigger({ reason, atMs: clock.monotonicMs(), details });
      await settle();
    },
    reasons: () => runs.map((triggers) => triggers.map(({ reason }) => reason)),
    signal: () => lastSignal,
    concurrent: () => most,
  };
}

describe("reconcile loop", () => {
  test("A1 cycles never overlap: triggers during a cycle cause one run after it", async () => {
    const rig = createRig();
    await rig.run("start");
    for (let count = 0; count < 100; count++)
      await rig.run(count % 2 === 0 ? "tick" : "network", `event ${count}`);
    assert.equal(rig.runs.length, 1);
    await rig.finish();
    assert.equal(rig.runs.length, 2);
    await rig.finish();
    assert.equal(rig.runs.length, 2);
    assert.equal(rig.concurrent(), 1);
    assert.deepEqual(rig.reasons(), [["start"], ["tick", "network"]]);
  });

  test("A1 a cycle that triggers its own loop before it first waits does not overlap itself", async () => {
    let rounds = 0;
    const rig = createRig((lane) => {
      if (rounds++ === 0) lane.trigger({ reason: "retry", atMs: 0, details: [] });
    });
    await rig.run("start");
    assert.equal(rig.runs.length, 1);
    await rig.finish();
    await rig.finish();
    assert.deepEqual(rig.reasons(), [["start"], ["retry"]]);
    assert.equal(rig.concurrent(), 1);
  });

  test("A1 a person's trigger has priority", async () => {
    const rig = createRig();
    rig.trigger("tick");
    rig.trigger("network");
    await rig.run("user");
    assert.deepEqual(rig.reasons(), [["user", "tick", "network"]]);
  });

  test("A4 details of triggers of one reason are kept together, at the newest time, and are bounded", async () => {
    const rig = createRig();
    await rig.run("start");
    rig.trigger("network", "tb0 lost carrier");
    await rig.clock.advance(20);
    rig.trigger("network", "tb0 gained carrier");
    await rig.finish();
    assert.deepEqual(rig.runs[1], [
      { reason: "network", atMs: 1020, details: ["tb0 lost carrier", "tb0 gained carrier"] },
    ]);
    for (let count = 0; count < 1000; count++) rig.trigger("network", `event ${count}`);
    await rig.finish();
    assert.equal(rig.runs[2]?.[0]?.details.length, 50);
  });

  test("A1 a scheduled run happens at its time, as of that time", async () => {
    const rig = createRig();
    await rig.run("tick");
    await rig.finish({ atMs: 1250, reason: "confirm" });
    assert.deepEqual(rig.lane.nextRun, { atMs: 1250, reason: "confirm" });
    await rig.clock.advance(249);
    assert.equal(rig.runs.length, 1);
    await rig.clock.advance(1);
    assert.deepEqual(rig.runs[1], [{ reason: "confirm", atMs: 1250, details: [] }]);
    assert.equal(rig.lane.nextRun, null);
  });

  test("A1 a run scheduled in the past happens at once, and as of that time, so that others' observations are shared", async () => {
    const rig = createRig();
    await rig.run("tick");
    await rig.clock.advance(500);
    await rig.finish({ atMs: 1100, reason: "confirm" });
    await rig.clock.advance(0);
    assert.deepEqual(rig.runs[1], [{ reason: "confirm", atMs: 1100, details: [] }]);
  });

  test("A1 a timer that fires a fraction early waits for its time", async () => {
    const clock = createManualClock();
    const early = {
      ...clock,
      setTimer: (delayMs: number, callback: () => void) =>
        clock.setTimer(Math.max(1, delayMs - 0.4), callback),
    };
    const seenAt: number[] = [];
    const lane = createReconcileLoop({
      clock: early,
      run: async () => {
        seenAt.push(clock.monotonicMs());
        return seenAt.length === 1 ? { atMs: 1250, reason: "confirm" } : null;
      },
      onFailure: (error) => assert.fail(String(error)),
    });
    lane.trigger({ reason: "tick", atMs: 1000, details: [] });
    await clock.advance(300);
    assert.equal(seenAt.length, 2);
    assert.ok((seenAt[1] ?? 0) >= 1250, String(seenAt[1]));
    await lane[Symbol.asyncDispose]();
  });

  test("A1 each cycle replaces the previous one's next run, as does a trigger during it", async () => {
    const rig = createRig();
    await rig.run("tick");
    await rig.finish({ atMs: 31_000, reason: "window_end" });
    await rig.clock.advance(2000);
    await rig.run("tick");
    assert.equal(rig.clock.pendingTimers, 0);
    await rig.finish({ atMs: 4000, reason: "retry" });
    assert.equal(rig.clock.pendingTimers, 1);
    await rig.clock.advance(1000);
    await rig.finish();
    assert.deepEqual(rig.reasons(), [["tick"], ["tick"], ["retry"]]);
    await rig.clock.advance(60_000);
    assert.equal(rig.runs.length, 3);
  });

  test("A1 a next run requested by a cycle is dropped for the cycle that follows at once", async () => {
    const rig = createRig();
    await rig.run("tick");
    rig.trigger("network");
    await rig.finish({ atMs: 1050, reason: "confirm" });
    assert.equal(rig.clock.pendingTimers, 0);
    await rig.finish();
    await rig.clock.advance(1000);
    assert.equal(rig.runs.length, 2);
  });

  test("A1 a failed cycle is reported, and retried at growing intervals; ticks do not hurry it", async () => {
    const rig = createRig();
    await rig.run("tick");
    await rig.fail(new Error("first"));
    assert.equal(rig.failures.length, 1);
    assert.equal(rig.lane.nextRun?.reason, "retry");
    await rig.run("tick");
    assert.equal(rig.runs.length, 1);
    await rig.clock.advance(1000);
    assert.equal(rig.runs.length, 2);
    await rig.fail(new Error("second"));
    await rig.clock.advance(1999);
    assert.equal(rig.runs.length, 2);
    await rig.clock.advance(1);
    assert.equal(rig.runs.length, 3);
    await rig.finish();
    await rig.run("tick");
    assert.deepEqual(rig.reasons(), [["tick"], ["retry"], ["retry"], ["tick"]]);
    await rig.fail(new Error("third"));
    await rig.clock.advance(1000);
    assert.equal(rig.runs.length, 5, "a success makes the pauses short again");
  });

  test("A1 a tick that arrived while a cycle failed waits for the retry", async () => {
    const rig = createRig();
    await rig.run("start");
    rig.trigger("tick");
    await rig.fail(new Error("broken"));
    assert.equal(rig.runs.length, 1);
  });

  test("A1 a person and the network are not kept waiting by a failure", async () => {
    const rig = createRig();
    await rig.run("tick");
    await rig.fail(new Error("broken"));
    await rig.run("user");
    assert.equal(rig.runs.length, 2);
    await rig.fail(new Error("broken"));
    await rig.run("network");
    assert.equal(rig.runs.length, 3);
    assert.equal(rig.clock.pendingTimers, 0);
  });

  test("A1 the listener of a failure may also fail, and a cycle may throw before it waits", async () => {
    const clock = createManualClock();
    let runs = 0;
    const lane = createReconcileLoop({
      clock,
      run: () => {
        runs++;
        throw new Error("at once");
      },
      onFailure: () => {
        throw new Error("the log is gone");
      },
    });
    lane.trigger({ reason: "start", atMs: 0, details: [] });
    await lane.idle();
    await clock.advance(1000);
    await lane.idle();
    assert.equal(runs, 2);
    lane.trigger({ reason: "user", atMs: 0, details: [] });
    await lane.idle();
    assert.equal(runs, 3);
    await lane[Symbol.asyncDispose]();
  });

  test("A1 one loop's failure or slowness affects no other", async () => {
    const slow = createRig();
    const failing = createRig();
    const well = createRig();
    for (const rig of [slow, failing, well]) rig.trigger("tick");
    await settle();
    await failing.fail(new Error("broken"));
    for (let tick = 0; tick < 5; tick++) {
      await well.finish();
      for (const rig of [slow, failing, well]) rig.trigger("tick");
      await settle();
    }
    assert.equal(slow.runs.length, 1);
    assert.equal(failing.runs.length, 1);
    assert.equal(well.runs.length, 6);
  });

  test("A1 idle waits for the cycle that runs and the one due at once", async () => {
    const rig = createRig();
    await rig.run("tick");
    rig.trigger("network");
    let idle = false;
    const waiting = rig.lane.idle().then(() => {
      idle = true;
    });
    await rig.finish();
    assert.equal(idle, false);
    await rig.finish();
    await waiting;
    assert.equal(idle, true);
  });

  test("A1 disposal aborts the running cycle, waits for it, starts no other and leaves no timer", async () => {
    const rig = createRig();
    await rig.run("tick");
    rig.trigger("network");
    let ended = false;
    const ending = Promise.resolve(rig.lane[Symbol.asyncDispose]()).then(() => {
      ended = true;
    });
    await settle();
    assert.equal(rig.signal()?.aborted, true);
    assert.equal(ended, false);
    rig.trigger("user");
    await rig.finish({ atMs: 1100, reason: "confirm" });
    await ending;
    rig.trigger("user");
    await rig.clock.advance(5000);
    assert.equal(rig.runs.length, 1);
    assert.equal(rig.clock.pendingTimers, 0);
    await rig.lane[Symbol.asyncDispose]();
  });

  test("A1 disposal of a loop whose cycle fails resolves, and leaves no timer", async () => {
    const rig = createRig();
    await rig.run("tick");
    const ending = rig.lane[Symbol.asyncDispose]();
    await rig.fail(new Error("broken"));
    await ending;
    assert.equal(rig.failures.length, 1);
    assert.equal(rig.clock.pendingTimers, 0);
  });

  test("A1 disposal of an idle loop leaves no scheduled run", async () => {
    const rig = createRig();
    await rig.run("tick");
    await rig.finish({ atMs: 2000, reason: "confirm" });
    await rig.lane[Symbol.asyncDispose]();
    assert.deepEqual([rig.clock.pendingTimers, rig.lane.nextRun], [0, null]);
  });

  test("A1 a tick that arrives while a failed cycle is retried runs after it", async () => {
    const rig = createRig();
    await rig.run("start");
    await rig.fail(new Error("broken"));
    await rig.clock.advance(1000);
    await rig.run("tick");
    await rig.finish();
    assert.deepEqual(rig.reasons(), [["start"], ["retry"], ["tick"]]);
  });

  test("A1 a trigger whose cycle has not begun when the loop is disposed runs no cycle", async () => {
    const rig = createRig();
    rig.trigger("tick");
    await rig.lane[Symbol.asyncDispose]();
    assert.equal(rig.runs.length, 0);
  });
});
