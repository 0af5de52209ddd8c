import assert from "node:assert/strict";
import test from "node:test";
import { type InterfaceSnapshot, snapshotOf } from "../../../src/network/interfaces.ts";
import { compareInterfaces } from "../../../src/network/listen/events/compare-interfaces.ts";
import { describeDelta } from "../../../src/network/listen/events/network-delta.ts";
import { startInterfacePoll } from "../../../src/network/listen/polling-listener.ts";
import { createManualClock } from "../../support/manual-clock.ts";

function snapshot(interfaces: Record<string, readonly string[]>): InterfaceSnapshot {
  const entries = Object.entries(interfaces).map(([name, cidrs]) => [
    name,
    cidrs.map((cidr) => ({ address: cidr.split("/")[0] ?? "", netmask: "", cidr })),
  ]);
  return snapshotOf(Object.fromEntries(entries), 0);
}

const said = (before: InterfaceSnapshot, after: InterfaceSnapshot): string[] =>
  compareInterfaces(before, after).map(describeDelta);

test("A3 interfaces that came and went, and addresses of those that stayed, are deltas, losses first", () => {
  const before = snapshot({ lo: ["127.0.0.1/8"], tb0: ["10.0.0.1/24"], eth0: ["10.1.0.1/24", "fe80::1/64"] });
  const after = snapshot({ lo: ["127.0.0.1/8"], tb1: ["10.0.0.1/24"], eth0: ["10.1.0.2/24", "fe80::1/64"] });
  assert.deepEqual(said(before, after), [
    "tb0 went down",
    "eth0 lost address 10.1.0.1",
    "tb1 went up",
    "eth0 got address 10.1.0.2",
  ]);
  assert.deepEqual(said(before, before), []);
});

test("A3 the poller compares at each interval, rests when told, and compares at once when it goes on", async () => {
  const clock = createManualClock();
  let now = snapshot({ tb0: ["10.0.0.1/24"] });
  let reads = 0;
  const heard: string[][] = [];
  const poll = startInterfacePoll({
    clock,
    intervalMs: 2_000,
    onChange: (deltas) => heard.push(deltas.map(describeDelta)),
    read: () => {
      reads += 1;
      return now;
    },
  });
  await clock.advance(4_000);
  assert.deepEqual([reads, heard], [3, []]);
  now = snapshot({});
  await clock.advance(1_999);
  assert.deepEqual(heard, []);
  await clock.advance(1);
  assert.deepEqual(heard, [["tb0 went down"]]);
  now = snapshot({ tb0: ["10.0.0.1/24"] });
  poll.pause();
  assert.deepEqual(heard[1], ["tb0 went up"]);
  poll.pause();
  now = snapshot({});
  await clock.advance(10_000);
  assert.equal(heard.length, 2);
  poll.resume();
  poll.resume();
  assert.deepEqual(heard[2], ["tb0 went down"]);
  assert.equal(clock.pendingTimers, 1);
  poll[Symbol.dispose]();
  poll.resume();
  now = snapshot({ tb0: [] });
  await clock.advance(10_000);
  assert.equal(heard.length, 3);
  assert.equal(clock.pendingTimers, 0);
});
