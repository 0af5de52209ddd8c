// The SCDynamicStore thread and its life, on the double: two real threads, one library.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, describe, it } from "node:test";
import { scdynamicstoreSource } from "../../../../src/network/listen/darwin/scdynamicstore-listener.ts";
import { describeDelta } from "../../../../src/network/listen/events/network-delta.ts";
import { startNetworkListener } from "../../../../src/network/listen/network-listener.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { doublesUnavailable } from "../../../doubles/build-double.ts";
import { eventually } from "../../../support/eventually.ts";
import { addresses, createStoreDouble, link } from "../../store-double.ts";

const skip = (await doublesUnavailable()) ?? false;

describe("the SCDynamicStore thread", { skip }, async () => {
  if (skip !== false) return;
  const double = await createStoreDouble();
  const source = scdynamicstoreSource({ libraries: double.libraries });
  after(() => assert.deepEqual([double.faults(), double.stores()], [0, 0], double.lastFault()));

  /** Starts; resolves when events flow. */
  const started = async () => {
    const heard: string[] = [];
    const ends: string[] = [];
    const ready = Promise.withResolvers<void>();
    const running = source.start({
      onReady: ready.resolve,
      onChange: (deltas) => heard.push(...deltas.map(describeDelta)),
      onEnd: ({ kind, error }) => {
        ends.push(kind);
        ready.reject(error);
      },
    });
    await ready.promise;
    return { heard, ends, running, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
  };

  it("A3 each change rings, and what no list of interfaces shows is told by its key", async () => {
    await using listening = await started();
    const { heard, running } = listening;
    const hears = async (change: () => void, text: string): Promise<void> => {
      change();
      await eventually(() => heard.includes(`something changed (${text})`));
    };
    await hears(() => double.setLink(link("bridge0"), 0), "the link of bridge0");
    await hears(() => double.setAddresses(addresses("en0"), "10.0.0.5"), "the addresses of en0");
    await hears(() => double.remove(addresses("en0", "IPv6")), "the addresses of en0");
    const primary = "State:/Network/Global/IPv4";
    await hears(() => double.setText(primary, "PrimaryInterface", "en0"), "a default route");
    await hears(() => double.restartConfigd(), "configd restarted");
    await running[Symbol.asyncDispose]();
  });

  it("2,000 events are heard to the right end", async () => {
    await using listening = await started();
    const { heard, running } = listening;
    double.storm(link("tb0"), 2_001);
    const calledBack = double.callBacks();
    await eventually(() => double.callBacks() - calledBack >= 2_000);
    double.setLink(link("tb1"), 0);
    await eventually(() => heard.includes("something changed (the link of tb1)"));
    await running[Symbol.asyncDispose]();
  });

  it("stopped in the middle of a storm, it tells nothing more and ends by itself", async () => {
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

  it("started and stopped over and over, at once or when ready, it leaves no thread and no descriptor", async () => {
    const descriptors = (): number => readdirSync("/proc/self/fd").length;
    const threads = (): number => readdirSync("/proc/self/task").length;
    await (await started()).running[Symbol.asyncDispose]();
    const before = [descriptors(), threads()];
    const all = Array.from({ length: 4 }, async (_, index) => {
      if (index % 2 === 0) {
        await (await started()).running[Symbol.asyncDispose]();
        return;
      }
      const running = source.start({ onReady() {}, onChange() {}, onEnd: () => assert.fail("ended") });
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

  it("A3 where macOS's libraries are not there, it is unavailable, and said so once", async () => {
    const ended = Promise.withResolvers<string>();
    const running = scdynamicstoreSource().start({
      onReady: assert.fail,
      onChange: () => assert.fail("heard"),
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
