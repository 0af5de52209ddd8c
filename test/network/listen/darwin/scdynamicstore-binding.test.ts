// The binding to SCDynamicStore, run on the double: marshalling, call-backs on this thread, the loop, and its end.
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import {
  loadStoreBinding,
  WATCHED_KEYS,
  WATCHED_PATTERNS,
} from "../../../../src/network/listen/darwin/scdynamicstore-binding.ts";
import { loadKoffi } from "../../../../src/network/native/core-foundation-darwin.ts";
import { doublesUnavailable } from "../../../doubles/build-double.ts";
import { addresses, createStoreDouble, link } from "../../store-double.ts";

const skip = (await doublesUnavailable()) ?? false;
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

  it("A3 keys that are watched call back on this thread while the loop runs, others do not", () => {
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

  it("A3 a restart of configd comes as an empty list", () => {
    const heard: (readonly string[])[] = [];
    using store = open((keys) => heard.push(keys));
    double.restartConfigd();
    store.run(SHORT_SECONDS);
    assert.deepEqual(heard, [[]]);
  });

  it("10,000 events from another thread are all heard, and leave nothing behind", () => {
    double.setLink(link("tb0"), 0);
    const before = settled();
    let heard = 0;
    {
      using store = open((keys) => {
        heard += keys.length;
      });
      double.storm(link("tb0"), 10_000);
      for (let turns = 0; heard < 10_000 && turns < 1_000; turns++) store.run(SHORT_SECONDS);
    }
    assert.equal(heard, 10_000);
    assert.equal(settled(), before);
    assert.equal(koffi.stats().callbacks, 0);
  });

  it("300 starts and stops leave no object, no call-back and no session, whenever they stop", () => {
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

  it("what a call-back throws is thrown by run, once, and passes through no frame of the system's", () => {
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
    it(`when ${refusing} refuses, it is told and nothing is left`, () => {
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

it("where the libraries are not there, loading rejects with which", { skip }, async () => {
  await assert.rejects(loadStoreBinding(), /CoreFoundation|cannot open|load/i);
});
