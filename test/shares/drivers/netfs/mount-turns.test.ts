// Turns at a server, by a clock that stands still.
import assert from "node:assert/strict";
import { it } from "node:test";
import { createMountTurns } from "../../../../src/shares/drivers/netfs/mount-turns.ts";
import { createManualClock } from "../../../support/manual-clock.ts";

const NEVER = new AbortController().signal;

function setUp() {
  const clock = createManualClock();
  const turns = createMountTurns(clock);
  const told: string[] = [];
  const begin = (key: string, name: string, waitMs = 20_000, signal = NEVER) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const given = turns.take(key, { waitMs, signal }, () => {
      told.push(name);
      return promise;
    });
    return { given, end: () => resolve(name), fail: () => reject(new Error(name)) };
  };
  return { clock, told, begin };
}

it("A2 mounts of one server come one after another, in order, those of others beside them", async () => {
  const { clock, told, begin } = setUp();
  const [first, second, third] = [begin("nas", "1"), begin("nas", "2"), begin("nas", "3")];
  const other = begin("other", "o");
  await clock.advance(1);
  assert.deepEqual(told, ["1", "o"]);
  first.end();
  assert.equal(await first.given, "1");
  await clock.advance(1);
  assert.deepEqual(told, ["1", "o", "2"]);
  second.fail();
  await assert.rejects(second.given, /2/);
  await clock.advance(1);
  assert.deepEqual(told, ["1", "o", "2", "3"], "one that fails ends its turn");
  third.end();
  other.end();
  assert.deepEqual([await third.given, await other.given], ["3", "o"]);
  const again = begin("nas", "4");
  again.end();
  assert.equal(await again.given, "4");
});

it("A2 a turn that does not come in time, or is cancelled, is not taken later", async () => {
  const { clock, told, begin } = setUp();
  const first = begin("nas", "1");
  const controller = new AbortController();
  const [late, cancelled, patient] = [
    begin("nas", "late", 5_000),
    begin("nas", "cancelled", 20_000, controller.signal),
    begin("nas", "patient"),
  ];
  await clock.advance(5_000);
  assert.equal(await late.given, null);
  controller.abort();
  assert.equal(await cancelled.given, null);
  assert.equal(await begin("nas", "too late", 20_000, controller.signal).given, null);
  first.end();
  await clock.advance(1);
  assert.deepEqual(told, ["1", "patient"]);
  patient.end();
  assert.equal(await patient.given, "patient");
  assert.equal(clock.pendingTimers, 0);
});
