// Backends that are added and removed, and the pool's end: what is published, what calls get, what is left.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { leastGrowth } from "../../../support/heap-growth.ts";
import { settle } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { bench, CHANGED, ready, starting } from "./backend-pool-bench.ts";
import { backendConfig, errorText, fromInstance } from "./scripted-instance.ts";

describe("added", () => {
  it("B7 a backend is published when it is ready, and one that hangs delays nobody", async () => {
    const b = bench();
    await b.applied(backendConfig("slow"), backendConfig("a"));
    assert.deepEqual(pluck(b.pool.view(), "phase"), ["Initializing", "Initializing"]);
    let published = 0;
    b.pool.onPublished(() => published++);
    await b.comesUp("one", "two");
    assert.deepEqual(b.names(), ["one", "two"]);
    assert.deepEqual([published, b.view("a").phase, b.view("slow").phase], [1, "Ready", "Initializing"]);
    assert.equal(b.view("a").retryAtMs, null);
    assert.deepEqual(b.events(), ["backend.ready"]);
  });

  it("B7 twenty that are added at once are started one by one, and calls go on between", async () => {
    const b = await ready();
    b.apply(backendConfig("a"), ...Array.from({ length: 20 }, (_, at) => backendConfig(`b${at}`)));
    const before: number[] = [];
    for (let at = 0; b.starts() < 21 && at < 100; at++) {
      before.push(b.starts());
      await new Promise(setImmediate);
      assert.ok(b.starts() - (before.at(-1) ?? 0) <= 1, "each has a turn of its own");
      const call = b.call();
      b.script.started[0]?.answer();
      assert.equal(fromInstance(await call), 1);
    }
    assert.equal(b.starts(), 21);
  });

  it("B6 settled waits for first attempts alone: ready and failed ones are settled", async () => {
    const b = bench();
    let isSettled = false;
    b.apply(backendConfig("a"), backendConfig("b"));
    const { signal } = new AbortController();
    void b.pool.settled(signal).then(() => {
      isSettled = true;
    });
    await settle();
    b.script.started[0]?.becomeReady();
    await settle();
    assert.equal(isSettled, false);
    b.script.started[1]?.endWith("no such program");
    await settle();
    assert.equal(isSettled, true);
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  it("a listener that throws holds back no step", async () => {
    const b = await ready();
    b.pool.onPublished(() => assert.fail("a mistake"));
    await b.replaced(CHANGED, "two");
    assert.equal(b.script.started[0]?.isClosed, true);
    assert.deepEqual(b.names(), ["two"]);
  });

  it("settled ends when its signal aborts", async () => {
    const b = bench();
    b.apply(backendConfig("a"));
    const impatient = new AbortController();
    const settled = b.pool.settled(impatient.signal);
    impatient.abort();
    await settled;
  });

  it("a call to what is not ready yet fails at once, and one to an unknown name says so", async () => {
    const b = await starting();
    assert.match(errorText(await b.call()), /^backend a is unavailable: it is being started$/);
    assert.match(errorText(await b.call("nobody")), /no backend of the name nobody/);
  });

  it("B7 published keeps the file's order and its identity until it changes", async () => {
    const b = bench();
    await b.applied(backendConfig("x"), backendConfig("y"));
    b.script.started[1]?.becomeReady("of y");
    await settle();
    b.script.started[0]?.becomeReady("of x");
    await settle();
    assert.deepEqual(b.names(), ["of x", "of y"]);
    const before = b.pool.published;
    await b.applied(backendConfig("x"), backendConfig("y"));
    assert.equal(b.pool.published, before);
    b.apply(backendConfig("y"), backendConfig("x"));
    b.is({ names: ["of y", "of x"], starts: 2 });
  });
});

describe("removed", () => {
  it("B7 it leaves what is published within apply, its calls finish, then it is closed and gone", async () => {
    const b = await ready();
    const call = b.call();
    b.apply();
    assert.deepEqual(b.names(), []);
    assert.match(errorText(await b.call()), /there is no|was removed/);
    await settle();
    b.is({ phase: "ShuttingDown", draining: 1 });
    assert.equal(b.pool.restart("a"), false);
    await b.clock.advance(10_000);
    assert.equal(b.script.last.isClosed, false);
    assert.equal(await b.answered(call), 1);
    await settle();
    assert.equal(b.script.last.isClosed, true);
    assert.deepEqual(b.pool.view(), []);
    assert.ok(
      b.told.some((one) => one.name === "backend.drained" && one.cut === 0 && one.took_ms === 10_000),
    );
    assert.equal(b.clock.pendingTimers, 0);
  });

  it("a shorter drain_timeout holds for what drains already", async () => {
    const b = await ready();
    const call = b.call();
    b.apply();
    await b.clock.advance(5_000);
    b.pool.apply([], { drainTimeoutMs: 4_000 });
    assert.match(errorText(await call), /drain_timeout \(4 s\)/);
  });

  it("B7 past drain_timeout what is left gets the documented error", async () => {
    const b = await ready();
    const call = b.call();
    b.apply();
    await b.clock.advance(30_000);
    assert.equal(
      errorText(await call),
      "backend a was removed from the configuration; the call was ended after drain_timeout (30 s)",
    );
    assert.ok(b.told.some((one) => one.name === "backend.drained" && one.cut === 1));
    assert.deepEqual(b.pool.view(), []);
  });

  it("B7 added again while it drains, a fresh one is started beside it", async () => {
    const b = await ready();
    const call = b.call();
    await b.applied();
    await b.applied(backendConfig("a"));
    assert.equal(b.starts(), 2);
    await b.comesUp("one");
    assert.deepEqual(b.names(), ["one"]);
    const [first, second] = b.script.started;
    const later = b.call();
    second?.answer();
    assert.equal(fromInstance(await later), 2);
    first?.answer();
    assert.equal(fromInstance(await call), 1);
    await settle();
    assert.deepEqual([first?.isClosed, second?.isClosed], [true, false]);
  });

  it("removed and added again in one turn, nothing happens to it", async () => {
    const b = await ready();
    b.apply();
    b.apply(backendConfig("a"));
    assert.deepEqual(b.names(), ["one"]);
    await settle();
    assert.deepEqual([b.starts(), b.script.last.isClosed], [1, false]);
  });

  it("disabled, it stays in the view, and ends as a removed one does", async () => {
    const b = await ready();
    b.apply(backendConfig("a", { enabled: false }));
    assert.deepEqual(b.names(), []);
    assert.match(errorText(await b.call()), /is disabled/);
    await settle();
    assert.deepEqual([b.view().phase, b.view().enabled, b.script.last.isClosed], ["Pending", false, true]);
    await b.applied(backendConfig("a"));
    assert.equal(b.starts(), 2);
  });

  it("one that hangs while starting is closed at once", async () => {
    const b = await starting();
    await b.applied();
    assert.equal(b.script.last.isClosed, true);
    assert.deepEqual(b.pool.view(), []);
  });
});

/** What is used after this is held by somebody. */
describe("all together", () => {
  it("the log level reaches every instance, and every new one", async () => {
    const b = await ready();
    b.pool.setLogLevel("debug");
    assert.equal(b.script.last.level, "debug");
    await b.applied(backendConfig("a"), backendConfig("b"));
    assert.equal(b.script.last.level, "debug");
  });

  it("log lines are kept after the end", async () => {
    const b = await starting();
    await b.dies("no such program");
    assert.deepEqual(b.pool.logLines("a"), ["line of 1"]);
    assert.equal(b.pool.logLines("nobody"), null);
  });

  it("what a server wrote before it ended is kept beside the lines of the next one", async () => {
    const b = await ready();
    await b.dies("it exited with code 1");
    assert.deepEqual(b.pool.logLines("a"), ["line of 1"]);
    await b.clock.advance(1_000);
    const after = ["line of 1", "--- the instance that was started when that had ended:", "line of 2"];
    assert.deepEqual(b.pool.logLines("a"), after);
    await b.comesUp("one");
    assert.deepEqual(b.pool.logLines("a"), after);
  });

  it("ending gives calls in flight 3 s, then the error, and leaves nothing", async () => {
    const b = await ready();
    const call = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    assert.match(errorText(await b.call()), /the gateway is stopping/);
    await b.clock.advance(2_999);
    assert.equal(b.script.last.isClosed, false);
    await b.clock.advance(1);
    assert.equal(errorText(await call), "the gateway is stopping");
    await disposed;
    assert.deepEqual([b.script.alive.length, b.clock.pendingTimers], [0, 0]);
    await b.applied(backendConfig("a"));
    assert.equal(b.starts(), 1, "nothing is started after the end");
  });

  it("ending refuses the calls that wait for an instance", async () => {
    const b = await ready();
    await b.dies("broken");
    const waits = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    assert.equal(errorText(await waits), "the gateway is stopping");
    await disposed;
  });

  it("ending probes no address any more", async () => {
    const connection = { type: "streamable-http", url: "http://127.0.0.1:9/mcp", headers: {} } as const;
    const b = await starting(backendConfig("a", { connection }));
    b.script.last.failWith({ kind: "unreachable", message: "refused", hint: null, isAway: true });
    await settle();
    await b.pool[Symbol.asyncDispose]();
    assert.equal(b.clock.pendingTimers, 0);
  });

  it("ending waits with a backend for its own calls alone", async () => {
    const b = bench();
    await b.applied(backendConfig("a"), backendConfig("b"));
    const [one, other] = b.script.started;
    one?.becomeReady("one");
    other?.becomeReady("other");
    await settle();
    const call = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([one?.isClosed, other?.isClosed], [false, true]);
    await b.clock.advance(3_000);
    assert.equal(errorText(await call), "the gateway is stopping");
    await disposed;
    assert.equal(b.clock.pendingTimers, 0);
  });

  it("ending waits no longer than the last call takes, and is bounded when a close hangs", async () => {
    const b = await ready();
    const call = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    b.script.last.answer();
    await call;
    await settle();
    assert.equal(b.script.last.isClosed, true);
    await disposed;

    const hanging = await ready();
    hanging.script.closeGate = new Promise(() => {});
    const ended = hanging.pool[Symbol.asyncDispose]();
    await hanging.clock.advance(5_000);
    await ended;
  });

  it("an instance that never ends is given up after a while, told, and holds back nothing", async () => {
    const b = await ready(backendConfig("a", { replace: "stop-first" }));
    b.script.closeGate = new Promise(() => {});
    b.apply(backendConfig("a", { replace: "stop-first", command: "other" }));
    await b.clock.advance(10_000);
    assert.equal(b.starts(), 2);
  });

  it("B7 1,000 restarts leave nothing: no instance, no timer, flat memory", async () => {
    const b = await ready();
    const grown = await leastGrowth(async () => {
      for (let restart = 0; restart < 200; restart++) {
        b.pool.restart("a");
        await settle();
        await b.comesUp("one");
        assert.equal(b.script.alive.length, 1);
        b.told.length = 0;
      }
      b.script.clear();
    });
    assert.deepEqual([b.view().instances, b.clock.pendingTimers], [1, 1]);
    assert.ok(grown < 200 * 1024, `${grown} bytes more for 200 restarts`);
  });
});
