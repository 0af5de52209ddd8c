// Backends that are added and removed, and the pool's end: what is published, what calls get, what is left.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { settle } from "../../../support/manual-clock.ts";
import { bench, CHANGED, ready, starting } from "./backend-pool-bench.ts";
import { backendConfig, errorText, fromInstance } from "./scripted-instance.ts";

describe("added", () => {
  it("B7 twenty that are added at once are started one by one, and calls continue in between", async () => {
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

  it("B6 settled waits only for first attempts: ready and failed ones are settled", async () => {
    const b = bench();
    let isSettled = false;
    b.apply(backendConfig("a"), backendConfig("b"));
    const { signal } = new AbortController();
    void b.pool.whenStarted(signal).then(() => {
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

  it("a listener that throws delays no step", async () => {
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
    const settled = b.pool.whenStarted(impatient.signal);
    impatient.abort();
    await settled;
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

  it("ending stops every address probe", async () => {
    const connection = { type: "streamable-http", url: "http://127.0.0.1:9/mcp", headers: {} } as const;
    const b = await starting(backendConfig("a", { connection }));
    b.script.last.failWith({ kind: "unreachable", message: "refused", hint: null, isUnreachable: true });
    await settle();
    await b.pool[Symbol.asyncDispose]();
    assert.equal(b.clock.pendingTimers, 0);
  });

  it("ending waits for a backend's own calls only", async () => {
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

  it("ending waits as long as the last call takes, and is bounded when a close hangs", async () => {
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
});
