// The SCDynamicStore thread and its life, on the double: two real threads, one library.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, describe, it } from "node:test";
import {
  loadStoreBinding,
  WATCHED_KEYS,
  WATCHED_PATTERNS,
} from "../../../../src/network/listen/darwin/scdynamicstore-binding.ts";
import { scdynamicstoreSource } from "../../../../src/network/listen/darwin/scdynamicstore-listener.ts";
import { describeDelta } from "../../../../src/network/listen/events/network-delta.ts";
import { startNetworkListener } from "../../../../src/network/listen/network-listener.ts";
import { loadKoffi } from "../../../../src/network/native/core-foundation-darwin.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { doublesUnavailable } from "../../../doubles/build-double.ts";
import { eventually } from "../../../support/eventually.ts";
import { LINUX_ALONE, NOT_ON_A_MAC } from "../../../support/where.ts";
import { addresses, createStoreDouble, link } from "../../store-double.ts";

const skip = (await doublesUnavailable()) ?? false;

describe("the SCDynamicStore thread", { skip }, async () => {
  if (skip !== false) return;
  const double = await createStoreDouble();
  const source = scdynamicstoreSource(double.libraries);
  after(() => assert.deepEqual([double.faults(), double.stores()], [0, 0], double.lastFault()));

  /** Starts; resolves when events flow. */
  const started = async () => {
    const heard: string[] = [];
    const ends: string[] = [];
    const ready = Promise.withResolvers<void>();
    const running = source.start({
      onReady: ready.resolve,
      onBell: (details) => heard.push(...details),
      onEnd: ({ kind, error }) => {
        ends.push(kind);
        ready.reject(error);
      },
    });
    await ready.promise;
    return { heard, ends, running, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
  };

  it("A3 each change is signalled, and one that no list of interfaces shows is reported by its key", async () => {
    await using listening = await started();
    const { heard, running } = listening;
    const hears = async (change: () => void, text: string): Promise<void> => {
      change();
      await eventually(() => heard.includes(text));
    };
    await hears(() => double.setLink(link("bridge0"), 0), "the link of bridge0");
    await hears(() => double.setAddresses(addresses("en0"), "10.0.0.5"), "the addresses of en0");
    await hears(() => double.remove(addresses("en0", "IPv6")), "the addresses of en0");
    const primary = "State:/Network/Global/IPv4";
    await hears(() => double.setText(primary, "PrimaryInterface", "en0"), "a default route");
    await hears(() => double.restartConfigd(), "configd restarted");
    await running[Symbol.asyncDispose]();
  });

  it("2,000 events are received up to the correct end", async () => {
    await using listening = await started();
    const { heard, running } = listening;
    double.storm(link("tb0"), 2_001);
    const calledBack = double.callBacks();
    await eventually(() => double.callBacks() - calledBack >= 2_000);
    double.setLink(link("tb1"), 0);
    await eventually(() => heard.includes("the link of tb1"));
    await running[Symbol.asyncDispose]();
  });

  it("stopped in the middle of a storm, it reports nothing further and ends", async () => {
    await using listening = await started();
    const { heard, ends, running } = listening;
    double.storm(link("tb0"), 10_000);
    await eventually(() => heard.length > 0);
    const stopping = running[Symbol.asyncDispose]();
    const told = heard.length;
    await stopping;
    assert.equal(heard.length, told);
    assert.deepEqual(ends, []);
    // A thread that is ended from outside leaves its store behind.
    await eventually(() => double.stores() === 0);
  });

  it("started and stopped repeatedly, at once or when ready, it leaves no thread and no descriptor", {
    skip: LINUX_ALONE,
  }, async () => {
    const descriptors = (): number => readdirSync("/proc/self/fd").length;
    const threads = (): number => readdirSync("/proc/self/task").length;
    await (await started()).running[Symbol.asyncDispose]();
    const before = [descriptors(), threads()];
    const all = Array.from({ length: 4 }, async (_, index) => {
      if (index % 2 === 0) {
        await (await started()).running[Symbol.asyncDispose]();
        return;
      }
      const running = source.start({ onReady() {}, onBell() {}, onEnd: () => assert.fail("ended") });
      await running[Symbol.asyncDispose]();
    });
    await Promise.all(all);
    await eventually(() => descriptors() <= (before[0] ?? 0) && threads() <= (before[1] ?? 0));
    assert.equal(double.stores(), 0);
  });

  it("A3 a system that refuses is unavailable, and a loop that ends is a crash", async () => {
    double.fail("SCDynamicStoreCreate");
    await assert.rejects(started(), /refused a session/);
    double.fail("CFRunLoopRunInMode");
    await using listening = await started();
    const { ends } = listening;
    await eventually(() => ends.length === 1);
    assert.deepEqual(ends, ["crashed"]);
    double.fail("");
  });

  it("A3 where macOS's libraries are missing, it is unavailable, and this is reported once", {
    skip: NOT_ON_A_MAC,
  }, async () => {
    const ended = Promise.withResolvers<string>();
    const running = scdynamicstoreSource().start({
      onReady: assert.fail,
      onBell: () => assert.fail("heard"),
      onEnd: ({ kind }) => ended.resolve(kind),
    });
    assert.equal(await ended.promise, "unavailable");
    await running[Symbol.asyncDispose]();
  });

  it("A3 as the listener's source it names itself and polling rests", async () => {
    const heard: string[] = [];
    const quiet = { debug() {}, info() {}, warn() {}, error() {} };
    await using listener = startNetworkListener({
      clock: systemClock,
      logger: quiet,
      eventSource: source,
      onChange: (deltas) => heard.push(...deltas.map(describeDelta)),
    });
    await eventually(() => listener.source === "scdynamicstore");
    double.setLink(link("tb0"), 1);
    double.setLink(link("tb0"), 0);
    await eventually(() => heard.some((text) => /the link of tb0/.test(text)));
  });
});

// The binding to SCDynamicStore, run on the double: marshalling, call-backs on this thread, the loop, and its end.
const SHORT_SECONDS = 0.02;
const GLOBAL = "State:/Network/Global/IPv4";

describe("SCDynamicStore over the double", { skip }, async () => {
  if (skip !== false) return;
  const koffi = await loadKoffi();
  const double = await createStoreDouble();
  const binding = await loadStoreBinding(double.libraries);
  const open = (onKeys: (keys: readonly string[]) => void) =>
    binding.open({ keys: WATCHED_KEYS, patterns: WATCHED_PATTERNS, onKeys });
  /** Objects that the double itself keeps: the entries that were set. */
  const settled = (): number => double.alive();
  after(() => assert.equal(double.faults(), 0, double.lastFault()));

  it("A3 watched keys call back on this thread while the loop runs, others do not", () => {
    const heard: string[] = [];
    using store = open((keys) => heard.push(...keys));
    double.setLink(link("bridge0"), 1);
    double.setAddresses(addresses("en0"), "10.0.0.5");
    double.setText("State:/Network/Global/DNS", "ServerAddresses", "x");
    double.setText("State:/Network/Interface/en0/AirPort", "x", "x");
    double.setText(GLOBAL, "PrimaryInterface", "en0");
    assert.deepEqual(heard, [], "nothing before the loop runs");
    // A busy machine may end the loop's short time before all are called back.
    for (let turns = 0; turns < 100 && heard.length < 3; turns++) store.run(SHORT_SECONDS);
    assert.deepEqual(heard, [link("bridge0"), addresses("en0"), GLOBAL]);
  });

  it("A3 a restart of configd arrives as an empty list", () => {
    const heard: (readonly string[])[] = [];
    using store = open((keys) => heard.push(keys));
    double.restartConfigd();
    store.run(SHORT_SECONDS);
    assert.deepEqual(heard, [[]]);
  });

  it("300 starts and stops leave no object, no call-back and no session, whenever they stop", () => {
    double.setLink(link("tb0"), 0);
    const before = settled();
    let heard = 0;
    const once = (index: number): void => {
      using store = open(() => {
        heard++;
      });
      if (index % 2 === 0) double.setLink(link("tb0"), index % 4 === 0 ? 1 : 0);
      // Every third ends with a notice still waiting.
      if (index % 3 !== 0) store.run(0);
    };
    for (let index = 0; index < 100; index++) once(index);
    const memory = process.memoryUsage.rss();
    for (let index = 100; index < 300; index++) once(index);
    const grown = (process.memoryUsage.rss() - memory) / 1_048_576;
    assert.ok(heard > 0);
    assert.equal(settled(), before);
    assert.equal(double.stores(), 0);
    assert.equal(koffi.stats().callbacks, 0);
    assert.ok(grown < 30, `${grown.toFixed(1)} MB grown`);
  });

  it("after the stop nothing calls back, whatever changes", () => {
    let heard = 0;
    const store = open(() => {
      heard++;
    });
    double.setLink(link("tb0"), 1);
    store.run(SHORT_SECONDS);
    const [heardBefore, calledBefore] = [heard, double.callBacks()];
    double.setLink(link("tb0"), 0);
    store[Symbol.dispose]();
    store[Symbol.dispose]();
    double.setLink(link("tb0"), 1);
    double.restartConfigd();
    assert.deepEqual([heard, double.callBacks()], [heardBefore, calledBefore]);
  });

  it("an exception of a call-back is thrown by run, once, and passes through no frame of the system's", () => {
    let heard = 0;
    using store = open(() => {
      heard++;
      throw new Error(`on purpose ${heard}`);
    });
    double.setLink(link("tb0"), 1);
    double.setLink(link("tb0"), 0);
    assert.throws(() => store.run(SHORT_SECONDS), /on purpose 1/);
    assert.equal(heard, 2);
    store.run(SHORT_SECONDS);
  });

  for (const [refusing, says] of [
    ["SCDynamicStoreCreate", /a session: error 1002/],
    ["SCDynamicStoreSetNotificationKeys", /the keys to watch: error 1002/],
    ["SCDynamicStoreCreateRunLoopSource", /a run loop source: error 1002/],
  ] as const) {
    it(`when ${refusing} refuses, it is reported and nothing is left`, () => {
      const before = settled();
      double.fail(refusing);
      try {
        assert.throws(() => open(() => {}), says);
      } finally {
        double.fail("");
      }
      assert.deepEqual([settled(), double.stores(), koffi.stats().callbacks], [before, 0, 0]);
    });
  }

  it("a loop that has nothing to wait for is an error, not a busy loop", () => {
    using store = open(() => {});
    double.fail("CFRunLoopRunInMode");
    assert.throws(() => store.run(SHORT_SECONDS), /nothing to wait for/);
    double.fail("");
  });
});

it("where the libraries are missing, loading rejects with their names", { skip }, async () => {
  await assert.rejects(loadStoreBinding(), /CoreFoundation|cannot open|load/i);
});
