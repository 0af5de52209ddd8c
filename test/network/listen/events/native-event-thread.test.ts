// The life of a thread that waits for network events, with small programs in its place, and what it tells.
import assert from "node:assert/strict";
import test from "node:test";
import {
  type NativeEventThread,
  startNativeEventThread,
} from "../../../../src/network/listen/events/native-event-thread.ts";
import {
  deltaMayTouch,
  describeDelta,
  type NetworkDelta,
} from "../../../../src/network/listen/events/network-delta.ts";
import type { NetworkEventEnd } from "../../../../src/network/listen/events/network-event-source.ts";
import { eventually } from "../../../support/eventually.ts";

const TELL = 'import { parentPort as port } from "node:worker_threads";';
/** Waits, as the real ones do, until its flag is set. */
const UNTIL_STOPPED = `import { workerData } from "node:worker_threads";
  ${TELL} port.postMessage({ kind: "ready" });
  Atomics.wait(new Int32Array(workerData), 0, 0);
  port.postMessage({ kind: "bell", details: ["told while it is stopped"] });`;

/** Starts a thread of that program and notes what is told of it, in order. */
function start(program: string, thread: Partial<NativeEventThread> = {}) {
  const told: string[] = [];
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const onEnd = ({ kind, error }: NetworkEventEnd) =>
    told.push(`${kind}: ${error instanceof Error ? error.message : error}`);
  const running = startNativeEventThread(
    {
      name: "rtnetlink",
      url: new URL(`data:text/javascript,${encodeURIComponent(program)}`),
      workerData: flag.buffer,
      stop() {
        Atomics.store(flag, 0, 1);
        Atomics.notify(flag, 0);
      },
      stopDeadlineMs: 20_000,
      onGone: () => told.push("gone"),
      ...thread,
    },
    { onReady: () => told.push("ready"), onBell: (details) => told.push(details.join(" > ")), onEnd },
  );
  return { told, running };
}

test("A3 the thread's messages are received in order, and its end once, when it is gone", async () => {
  const { told, running } = start(
    `${TELL} port.postMessage({ kind: "ready" }); port.postMessage({ kind: "bell", details: ["one", "two"] });`,
  );
  await eventually(() => told.length === 4);
  await running[Symbol.asyncDispose]();
  assert.deepEqual(told, ["ready", "one > two", "gone", "crashed: the thread ended with code 0"]);
});

test("A3 a thread that reports it is unavailable; one that throws or is missing is a crash, with its error", async () => {
  const lacking = start(`${TELL} port.postMessage({ kind: "unavailable", text: "no koffi" });`);
  await eventually(() => lacking.told.length === 2);
  assert.deepEqual(lacking.told, ["gone", "unavailable: no koffi"]);
  const throwing = start('throw new Error("on purpose");');
  await eventually(() => throwing.told.length === 2);
  assert.deepEqual(throwing.told, ["gone", "crashed: on purpose"]);
  const missing = start("", { url: new URL("./nowhere.mjs", import.meta.url) });
  await eventually(() => missing.told.length === 2);
  assert.match(missing.told[1] ?? "", /^crashed: .*nowhere/);
});

test("disposal asks the thread to end and waits for it; nothing is reported from then on", async () => {
  const { told, running } = start(UNTIL_STOPPED);
  await eventually(() => told.length === 1);
  await running[Symbol.asyncDispose]();
  assert.deepEqual(told, ["ready", "gone"]);
});

test("a thread that does not end in time is abandoned, and its resources are released when it is gone; it keeps no process alive", async () => {
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const { told, running } = start(UNTIL_STOPPED, { workerData: flag.buffer, stop() {}, stopDeadlineMs: 50 });
  await eventually(() => told.length === 1);
  await running[Symbol.asyncDispose]();
  assert.deepEqual(told, ["ready"]);
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
  await eventually(() => told.includes("gone"));
  assert.deepEqual(told, ["ready", "gone"]);
  // Nobody wakes this one: if it counted, this process would not end.
  const forever = start(UNTIL_STOPPED, { stop() {}, stopDeadlineMs: 1 });
  await eventually(() => forever.told.length === 1);
  await forever.running[Symbol.asyncDispose]();
});

test("the end of the process asks a thread to end only while it runs", async () => {
  const before = process.listenerCount("exit");
  const { told, running } = start(UNTIL_STOPPED);
  assert.equal(process.listenerCount("exit"), before + 1);
  await eventually(() => told.length === 1);
  await running[Symbol.asyncDispose]();
  assert.equal(process.listenerCount("exit"), before);
});

test("A3 a thread that cannot be started is a crash that is reported later, and not after disposal", async () => {
  const url = new URL("ftp://nowhere/thread.mjs");
  const { told, running } = start("", { url });
  assert.deepEqual(told, []);
  await eventually(() => told.length === 1);
  assert.match(told[0] ?? "", /^crashed: /);
  await running[Symbol.asyncDispose]();
  const disposed = start("", { url });
  await disposed.running[Symbol.asyncDispose]();
  await new Promise(setImmediate);
  assert.deepEqual(disposed.told, []);
});

const link = (interfaceName: string, change: "up" | "down"): NetworkDelta => ({
  kind: "link",
  interfaceName,
  change,
});

test("A9 every delta prints its reason", () => {
  const cases: [NetworkDelta, string][] = [
    [link("tb0", "up"), "tb0 went up"],
    [link("tb0", "down"), "tb0 went down"],
    [
      { kind: "address", interfaceName: "eth0", change: "added", address: "10.0.0.5" },
      "eth0 got address 10.0.0.5",
    ],
    [
      { kind: "address", interfaceName: "eth0", change: "removed", address: "fd00::5" },
      "eth0 lost address fd00::5",
    ],
    [{ kind: "unknown", detail: "configd restarted" }, "something changed (configd restarted)"],
  ];
  for (const [delta, text] of cases) assert.equal(describeDelta(delta), text);
});

test("A3 a delta may touch the hosts of its interface, and those it cannot rule out", () => {
  assert.ok(deltaMayTouch(link("tb0", "down"), "tb0"));
  assert.ok(!deltaMayTouch(link("eth0", "down"), "tb0"));
  assert.ok(deltaMayTouch(link("eth0", "down"), null));
  assert.ok(deltaMayTouch({ kind: "unknown", detail: "" }, "tb0"));
  const address = { kind: "address", change: "added", address: "10.99.1.2" } as const;
  assert.ok(!deltaMayTouch({ ...address, interfaceName: "eth0" }, "tb0"));
  assert.ok(deltaMayTouch({ ...address, interfaceName: "tb0" }, "tb0"));
});
