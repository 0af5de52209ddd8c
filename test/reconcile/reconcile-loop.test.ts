import assert from "node:assert/strict";
import test from "node:test";
import { createReconcileLoop, type NextRun, type ReconcileLoop } from "../../src/reconcile/reconcile-loop.ts";
import type { Trigger, TriggerReason } from "../../src/reconcile/trigger.ts";
import { createManualClock, type ManualClock, settle } from "../support/manual-clock.ts";
import { tellStories } from "../support/stories.ts";

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

tellStories<Rig & { hasEnded?: boolean }>(
  {
    starts: { "a loop": () => createRig() },
    acts: [
      [/^(start|tick|network|user)$/, (rig, reason) => rig.run(reason as TriggerReason)],
      [
        /^at once (.*)$/,
        ({ trigger }, reasons = "") => {
          for (const reason of reasons.split(" ")) trigger(reason as TriggerReason);
          return settle();
        },
      ],
      [/^ends$/, ({ finish }) => finish()],
      [
        /^ends until (\d+) for (\w+)$/,
        ({ finish }, at, why) => finish({ atMs: Number(at), reason: why as TriggerReason }),
      ],
      [/^fails$/, ({ fail }) => fail(new Error("broken"))],
      [/^(\d+) ms$/, ({ clock }, ms) => clock.advance(Number(ms))],
      [
        /^disposal$/,
        (rig) => {
          void Promise.resolve(rig.lane[Symbol.asyncDispose]()).then(() => {
            rig.hasEnded = true;
          });
          return settle();
        },
      ],
      [
        /^tick before a disposal$/,
        ({ trigger, lane }) => {
          trigger("tick");
          return lane[Symbol.asyncDispose]();
        },
      ],
    ],
    facts: [
      [
        /^ran "(.*)"$/,
        ({ reasons }, wanted) => [
          reasons()
            .map((all) => all.join("+"))
            .join(" "),
          wanted,
        ],
      ],
      [/^as of (\d+)$/, ({ runs }, at) => [runs.at(-1)?.map(({ atMs }) => atMs), [Number(at)]]],
      [/^next (\w+) at (\d+)$/, ({ lane }, reason, at) => [lane.nextRun, { atMs: Number(at), reason }]],
      [/^no next$/, ({ lane }) => [lane.nextRun, null]],
      [/^(\d+) timers?$/, ({ clock }, count) => [clock.pendingTimers, Number(count)]],
      [/^(\d+) failures?$/, ({ failures }, count) => [failures.length, Number(count)]],
      [/^never two$/, ({ concurrent }) => [concurrent(), 1]],
      [/^(not )?aborted$/, ({ signal }, not) => [signal()?.aborted, not === undefined]],
      [/^(not )?ended$/, ({ hasEnded = false }, not) => [hasEnded, not === undefined]],
    ],
  },
  `
A1 cycles never overlap: triggers during a cycle cause one run after it
  a loop, start, tick, network, tick, network: ran "start"; ends: ran "start tick+network"
  ends: ran "start tick+network", never two
A1 a person's trigger has priority
  a loop, at once tick network user: ran "user+tick+network"
A1 a scheduled run happens at its time, as of that time
  a loop, tick, ends until 1250 for confirm: next confirm at 1250; 249 ms: ran "tick"
  1 ms: ran "tick confirm", as of 1250, no next
A1 a run scheduled in the past happens at once, and as of that time, so that others' observations are shared
  a loop, tick, 500 ms, ends until 1100 for confirm, 0 ms: ran "tick confirm", as of 1100
A1 each cycle replaces the previous one's next run, as does a trigger during it
  a loop, tick, ends until 31000 for window_end, 2000 ms, tick: 0 timers; ends until 4000 for retry: 1 timer
  1000 ms, ends: ran "tick tick retry"; 60000 ms: ran "tick tick retry"
A1 a next run requested by a cycle is dropped for the cycle that follows at once
  a loop, tick, network, ends until 1050 for confirm: 0 timers; ends, 1000 ms: ran "tick network"
A1 a failed cycle is reported, and retried at growing intervals, which a success makes short again; ticks do not hurry it
  a loop, tick, fails: 1 failure, next retry at 2000; tick: ran "tick"; 1000 ms: ran "tick retry"
  fails, 1999 ms: ran "tick retry"; 1 ms: ran "tick retry retry"
  ends, tick: ran "tick retry retry tick"; fails, 1000 ms: ran "tick retry retry tick retry"
A1 a tick that arrived while a cycle failed waits for the retry
  a loop, start, tick, fails: ran "start"
A1 a person and the network are not kept waiting by a failure
  a loop, tick, fails, user: ran "tick user"; fails, network: ran "tick user network", 0 timers
A1 disposal aborts the running cycle, waits for it, starts no other and leaves no timer
  a loop, tick, network: not aborted; disposal: aborted, not ended; user, ends until 1100 for confirm: ended
  user, 5000 ms: ran "tick", 0 timers; disposal: ended
A1 disposal of a loop whose cycle fails resolves, and leaves no timer
  a loop, tick, disposal, fails: ended, 1 failure, 0 timers
A1 disposal of an idle loop leaves no scheduled run
  a loop, tick, ends until 2000 for confirm, disposal: ended, 0 timers, no next
A1 a tick that arrives while a failed cycle is retried runs after it
  a loop, start, fails, 1000 ms, tick, ends: ran "start retry tick"
A1 a trigger whose cycle has not begun when the loop is disposed runs no cycle
  a loop, tick before a disposal: ran ""
`,
);

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

test("A1 a timer that fires a fraction early waits for its time", async () => {
  const clock = createManualClock();
  const early = {
    ...clock,
    setTimer: (delayMs: number, callback: () => void) => clock.setTimer(Math.max(1, delayMs - 0.4), callback),
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
