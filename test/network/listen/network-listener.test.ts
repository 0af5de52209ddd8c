// Where changes of the network are heard from: events while they flow, else polls.
import assert from "node:assert/strict";
import test from "node:test";
import { type InterfaceSnapshot, snapshotOf } from "../../../src/network/interfaces.ts";
import { compareInterfaces, describeDelta } from "../../../src/network/listen/events/network-delta.ts";
import type {
  NetworkEventListener,
  NetworkEventSource,
} from "../../../src/network/listen/events/network-event-source.ts";
import { startNetworkListener } from "../../../src/network/listen/network-listener.ts";
import type { Logger } from "../../../src/runtime/log/log.ts";
import { createManualClock } from "../../support/manual-clock.ts";

/** A source whose life the test leads. */
function ledSource() {
  const hearers: NetworkEventListener[] = [];
  let disposed = 0;
  const source: NetworkEventSource = {
    name: "rtnetlink",
    start(listener) {
      hearers.push(listener);
      return {
        async [Symbol.asyncDispose]() {
          disposed += 1;
        },
      };
    },
  };
  return { source, hearers, disposals: () => disposed };
}

function setUp(source: NetworkEventSource | null, read?: () => InterfaceSnapshot) {
  const clock = createManualClock();
  const logged: string[] = [];
  const log = (level: string) => (message: string) => void logged.push(`${level}: ${message}`);
  const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  const heard: string[] = [];
  const listener = startNetworkListener({
    clock,
    logger,
    onChange: (deltas) => heard.push(...deltas.map(describeDelta)),
    eventSource: source,
    ...(read === undefined ? {} : { read }),
  });
  return { clock, logged, heard, listener };
}

const WITH_LO = { lo: [{ address: "127.0.0.1", netmask: "255.0.0.0", cidr: "127.0.0.1/8" }] };
const crash = { kind: "crashed", error: new Error("on purpose") } as const;

test("A3 it polls until events arrive, and again when they end, and reports this", async () => {
  const { source, hearers } = ledSource();
  const { clock, heard, listener, logged } = setUp(source);
  assert.equal(listener.source, "polling");
  assert.equal(clock.pendingTimers, 1);
  hearers[0]?.onReady();
  assert.equal(listener.source, "rtnetlink");
  assert.equal(clock.pendingTimers, 0, "no polling beside events");
  hearers[0]?.onBell(["the link of tb0"]);
  hearers[0]?.onBell([]);
  assert.deepEqual(heard, ["something changed (the link of tb0)"]);
  hearers[0]?.onEnd(crash);
  assert.equal(listener.source, "polling");
  await clock.advance(100);
  assert.equal(hearers.length, 2, "started again");
  hearers[1]?.onReady();
  assert.equal(listener.source, "rtnetlink");
  assert.deepEqual(
    logged.filter((line) => line.startsWith("warn")),
    ["warn: network events ended; polling until they are back"],
  );
  await listener[Symbol.asyncDispose]();
});

test("A3 a link that no list shows, such as a bridge's port, is reported next to other changes", async () => {
  const { source, hearers } = ledSource();
  let now = snapshot({ br0: ["10.0.0.1/24"] });
  const { heard, listener } = setUp(source, () => now);
  hearers[0]?.onReady();
  now = snapshot({ br0: ["10.0.0.1/24", "10.0.0.2/24"] });
  hearers[0]?.onBell(["the link of tb0", "the link of br0", "an address or a route"]);
  assert.deepEqual(heard, ["br0 got address 10.0.0.2", "something changed (the link of tb0)"]);
  await listener[Symbol.asyncDispose]();
});

test("A3 a list of interfaces that the system refused is requested again, though no event follows", async () => {
  const { source, hearers } = ledSource();
  const lists = [WITH_LO, {}, {}, WITH_LO];
  const { clock, heard, listener } = setUp(source, () => snapshotOf(lists.shift() ?? WITH_LO, 0));
  hearers[0]?.onReady();
  assert.deepEqual(heard, ["lo went down"]);
  await clock.advance(4_000);
  assert.deepEqual(heard, ["lo went down", "lo went up"]);
  assert.equal(clock.pendingTimers, 0);
  await listener[Symbol.asyncDispose]();
});

test("A3 a source that keeps crashing is given up after a few times; polling stays", async () => {
  const { source, hearers } = ledSource();
  const { clock, listener, logged } = setUp(source);
  hearers[0]?.onReady();
  await clock.advance(61_000);
  for (let count = 0; count < 20; count += 1) {
    if (hearers.length > count) hearers[count]?.onEnd(crash);
    await clock.advance(60_000);
  }
  assert.equal(hearers.length, 6);
  assert.equal(listener.source, "polling");
  assert.equal(logged.at(-1), "error: network events ended for good; polling instead");
  await listener[Symbol.asyncDispose]();
  assert.equal(clock.pendingTimers, 0);
});

test("A3 a source that ran for a minute resets its count of crashes", async () => {
  const { source, hearers } = ledSource();
  const { clock, listener } = setUp(source);
  for (let count = 0; count < 12; count += 1) {
    hearers[count]?.onReady();
    await clock.advance(61_000);
    hearers[count]?.onEnd(crash);
    await clock.advance(100);
  }
  assert.equal(hearers.length, 13);
  await listener[Symbol.asyncDispose]();
});

test("A3 a source that this system lacks is reported once and not tried again", async () => {
  const { source, hearers } = ledSource();
  const { clock, listener, logged } = setUp(source);
  hearers[0]?.onEnd({ kind: "unavailable", error: new Error("koffi cannot be loaded") });
  await clock.advance(600_000);
  assert.equal(hearers.length, 1);
  assert.equal(listener.source, "polling");
  assert.deepEqual(logged, ["warn: network events are not available; polling instead"]);
  await listener[Symbol.asyncDispose]();
});

test("nothing is received and nothing starts after disposal", async () => {
  const { source, hearers, disposals } = ledSource();
  const { clock, heard, listener } = setUp(source);
  hearers[0]?.onReady();
  await Promise.all([listener[Symbol.asyncDispose](), listener[Symbol.asyncDispose]()]);
  assert.equal(disposals(), 1);
  hearers[0]?.onBell(["late"]);
  hearers[0]?.onEnd(crash);
  await clock.advance(600_000);
  assert.deepEqual([heard, hearers.length, clock.pendingTimers], [[], 1, 0]);
  const crashed = ledSource();
  const other = setUp(crashed.source);
  crashed.hearers[0]?.onEnd(crash);
  await other.listener[Symbol.asyncDispose]();
  await other.clock.advance(600_000);
  assert.deepEqual(
    [crashed.hearers.length, other.clock.pendingTimers],
    [1, 0],
    "it was about to start again",
  );
});

test("without any events there is only polling", async () => {
  const { listener, clock } = setUp(null);
  assert.equal(listener.source, "polling");
  await listener[Symbol.asyncDispose]();
  assert.equal(clock.pendingTimers, 0);
});

function snapshot(interfaces: Record<string, readonly string[]>): InterfaceSnapshot {
  const entries = Object.entries(interfaces).map(([name, cidrs]) => [
    name,
    cidrs.map((cidr) => ({ address: cidr.split("/")[0] ?? "", netmask: "", cidr })),
  ]);
  return snapshotOf(Object.fromEntries(entries), 0);
}

const said = (before: InterfaceSnapshot, after: InterfaceSnapshot): string[] =>
  compareInterfaces(before, after).map(describeDelta);

test("A3 added and removed interfaces, and addresses of those that stayed, are deltas, losses first", () => {
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

test("A3 it compares at each interval until events arrive, at each signal, and at once when they end", async () => {
  const { source, hearers } = ledSource();
  let now = snapshot({ tb0: ["10.0.0.1/24"] });
  let reads = 0;
  const { clock, heard, listener } = setUp(source, () => {
    reads += 1;
    return now;
  });
  await clock.advance(4_000);
  assert.deepEqual([reads, heard], [3, []]);
  now = snapshot({});
  await clock.advance(1_999);
  assert.deepEqual(heard, []);
  await clock.advance(1);
  assert.deepEqual(heard, ["tb0 went down"]);
  now = snapshot({ tb0: ["10.0.0.1/24"] });
  hearers[0]?.onReady();
  assert.equal(heard[1], "tb0 went up");
  now = snapshot({});
  await clock.advance(10_000);
  assert.equal(heard.length, 2);
  hearers[0]?.onBell(["the link of tb0"]);
  assert.equal(heard[2], "tb0 went down", "the difference says more than the event");
  now = snapshot({ tb0: [] });
  hearers[0]?.onEnd(crash);
  assert.deepEqual([heard[3], clock.pendingTimers], ["tb0 went up", 2]);
  await listener[Symbol.asyncDispose]();
  now = snapshot({});
  await clock.advance(10_000);
  assert.deepEqual([heard.length, clock.pendingTimers], [4, 0]);
});
