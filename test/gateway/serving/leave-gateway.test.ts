// Who goes over to the next gateway, and when.
import assert from "node:assert/strict";
import { test } from "node:test";
import { leaveGateway } from "../../../src/gateway/serving/leave-gateway.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

function leaving(clients: number, { runsOnce = false, graceMs = 30_000 } = {}) {
  const clock = createManualClock();
  const moved: number[] = [];
  /** How many clients had been told when streams that listen ended, and what the listener was asked. */
  const listenedUntil: number[] = [];
  const left: boolean[] = [];
  const lines = new Set<{ closed: Promise<void>; moveOn(): void }>();
  const gone: (() => void)[] = [];
  for (let index = 0; index < clients; index++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const client = { closed: promise, moveOn: () => void moved.push(index) };
    lines.add(client);
    gone.push(() => {
      lines.delete(client);
      resolve();
    });
  }
  const parts = {
    clock,
    http: { leave() {}, forwardedAnswered: async () => {} },
    lines,
    modern: { endListening: () => void listenedUntil.push(moved.length) },
    holds: { none: async () => {} },
    keeper: {
      async leave(_graceMs: number, _pass: unknown, allAtOnce: boolean) {
        left.push(allAtOnce);
      },
      closeIdle() {},
    },
    pool: { runsOnce, endWhatRunsOnce: async () => {} },
  };
  let ended = false;
  const onEnded = async (): Promise<void> => {
    ended = true;
  };
  const over = leaveGateway(parts, graceMs, onEnded, null);
  return { clock, moved, listenedUntil, left, gone, over, hasEnded: () => ended };
}

test("B11 clients over lines go on one after the other, so that none waits for the others' change-over", async () => {
  const { clock, moved, listenedUntil, left, gone, over, hasEnded } = leaving(3);
  await settle();
  assert.deepEqual(moved, [0]);
  await clock.advance(100);
  assert.deepEqual(moved, [0, 1]);
  await clock.advance(100);
  assert.deepEqual(moved, [0, 1, 2]);
  for (const go of gone) go();
  await clock.advance(100);
  await over;
  // Whoever is told first goes on listening without its client's noticing.
  assert.deepEqual([listenedUntil, left], [[3], [false]]);
  assert.ok(hasEnded());
});

test("B11 however many they are, all are told within a second, and whoever has gone is told nothing", async () => {
  const { clock, moved, gone } = leaving(200);
  await settle();
  gone[199]?.();
  for (let step = 0; step < 200; step++) await clock.advance(5);
  assert.equal(moved.length, 199);
  assert.ok(!moved.includes(199));
});

test("B11 where a server cannot run twice, all go at once: its calls wait for them", async () => {
  const { moved, listenedUntil, left } = leaving(5, { runsOnce: true });
  await settle();
  assert.deepEqual([moved, listenedUntil, left], [[0, 1, 2, 3, 4], [5], [true]]);
});

test("B11 without a grace all go at once, and 2,000 within a second: a timer takes a millisecond at least", async () => {
  const hurried = leaving(5, { graceMs: 0 });
  await settle();
  assert.deepEqual([hurried.moved.length, hurried.listenedUntil, hurried.left], [5, [5], [true]]);
  const { clock, moved, listenedUntil } = leaving(2_000);
  await settle();
  for (let step = 0; step < 100; step++) await clock.advance(10);
  assert.deepEqual([moved.length, listenedUntil], [2_000, [2_000]]);
});
