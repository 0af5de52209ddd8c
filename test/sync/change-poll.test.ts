import assert from "node:assert/strict";
import test from "node:test";
import { startChangePoll } from "../../src/sync/change-poll.ts";
import { createManualClock, settle } from "../support/manual-clock.ts";

function polled(first: string | null) {
  const clock = createManualClock();
  const state = { value: first as string | null | Error, looks: 0, changes: 0, presence: [] as boolean[] };
  const gate: { wait: Promise<void> | null } = { wait: null };
  const poll = startChangePoll({
    clock,
    intervalMs: 100,
    async fingerprint() {
      state.looks += 1;
      if (gate.wait !== null) await gate.wait;
      if (state.value instanceof Error) throw state.value;
      return state.value;
    },
    onChange: () => (state.changes += 1),
    onPresence: (present) => state.presence.push(present),
  });
  return { clock, state, poll, gate };
}

test("the first look only learns, each later difference is one report", async () => {
  const { clock, state, poll } = polled("a");
  await poll.look();
  assert.equal(state.changes, 0);
  await clock.advance(1_000);
  assert.equal(state.changes, 0);
  state.value = "b";
  await clock.advance(1_000);
  assert.equal(state.changes, 1);
  state.value = "a";
  await clock.advance(100);
  assert.equal(state.changes, 2);
});

test("B3 missing is no change and forgets nothing", async () => {
  const { clock, state, poll } = polled("a");
  await poll.look();
  for (const value of [null, "a", null]) {
    state.value = value;
    await clock.advance(200);
  }
  assert.equal(state.changes, 0);
  state.value = "b";
  await clock.advance(200);
  assert.equal(state.changes, 1);
  assert.deepEqual(state.presence, [true, false, true, false, true]);
});

test("B4 to stop being readable, and to begin again, is one report each", async () => {
  const { clock, state, poll } = polled("a");
  await poll.look();
  state.value = new Error("EIO");
  await clock.advance(1_000);
  assert.equal(state.changes, 1);
  state.value = "a";
  await clock.advance(1_000);
  assert.equal(state.changes, 2);
  assert.deepEqual(state.presence, [true]);
});

test("looks never overlap; one that is asked for during another follows it, ticks do not", async () => {
  const { clock, state, poll, gate } = polled("a");
  await poll.look();
  let open = (): void => {};
  gate.wait = new Promise((resolve) => (open = resolve));
  const before = state.looks;
  const first = poll.look();
  await clock.advance(1_000);
  assert.equal(state.looks - before, 1);
  state.value = "b";
  const second = poll.look();
  gate.wait = null;
  open();
  await Promise.all([first, second]);
  assert.equal(state.looks - before, 2);
  assert.equal(state.changes, 1);
});

test("after disposal nothing is looked at, nor reported", async () => {
  const { clock, state, poll, gate } = polled("a");
  await poll.look();
  let open = (): void => {};
  gate.wait = new Promise((resolve) => (open = resolve));
  const { looks } = state;
  void poll.look();
  state.value = "b";
  poll[Symbol.dispose]();
  open();
  await settle();
  await poll.look();
  poll.setInterval(1);
  await clock.advance(1_000);
  assert.equal(state.looks, looks + 1);
  assert.equal(state.changes, 0);
  assert.equal(clock.pendingTimers, 0);
});

test("what somebody else saw counts as seen", async () => {
  const { clock, state, poll } = polled("a");
  await poll.look();
  state.value = "b";
  poll.noteSeen("b");
  await clock.advance(1_000);
  assert.equal(state.changes, 0);
  state.value = "a";
  await clock.advance(1_000);
  assert.equal(state.changes, 1);
});
