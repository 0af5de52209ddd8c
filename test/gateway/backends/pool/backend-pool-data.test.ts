// Backends that require a share: what is published, what calls get and what runs while the share is away.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import type { DataSource } from "../../../../src/gateway/backends/policy/required-data.ts";
import { settle } from "../../../support/manual-clock.ts";
import { bench, CORE, dataBench, readyOn } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient, errorText, fromInstance } from "./scripted-instance.ts";

describe("a backend that requires a share", () => {
  it("C1 a short absence makes no noise: the lists stay, calls wait and are served after it", async () => {
    const b = await readyOn();
    let published = 0;
    b.pool.onPublished(() => published++);
    await b.leave();
    const call = b.call();
    await b.clock.advance(4_900);
    b.is({ names: ["one"], phase: "Ready" });
    assert.equal(b.script.last.calls.length, 0, "it was not sent while the share was away");
    await b.come();
    assert.equal(await b.answered(call), 1);
    assert.deepEqual([published, b.starts()], [0, 1]);
  });

  it("C1 hide: after unavailable_after_secs the names leave at once and return at once, and calls name the share", async () => {
    const b = await readyOn();
    const changes: string[][] = [];
    b.pool.onPublished(() => changes.push(b.names()));
    await b.leave("no route leads to it");
    const waiting = b.call();
    await b.clock.advance(5_000);
    assert.match(
      errorText(await waiting),
      /^backend a cannot work: share CORE is away: no route leads to it$/,
    );
    assert.match(errorText(await b.call()), /share CORE is away/);
    b.is({ phase: "Degraded", codes: ["share_away"] });
    await b.come();
    b.is({ phase: "Ready", codes: [] });
    assert.deepEqual(changes, [[], ["one"]]);
    assert.equal(b.starts(), 1, "the process went on");
  });

  it("C1 error: the names stay, and calls get an error that names the share", async () => {
    const b = await readyOn({ whenUnavailable: "error" });
    await b.leave();
    await b.clock.advance(5_000);
    assert.deepEqual([b.names(), b.pool.readiness("a")], [["one"], "refuses"]);
    assert.match(errorText(await b.call()), /share CORE is away: it is not mounted/);
    await b.come();
    const call = b.call();
    assert.equal(await b.answered(call), 1);
  });

  it("C1 stop: the process ends when its calls have ended, and is started anew when the share is back", async () => {
    const b = await readyOn({ whenUnavailable: "stop" });
    const call = b.call();
    await b.leave();
    await b.clock.advance(5_000);
    assert.deepEqual(b.names(), []);
    assert.equal(b.script.last.isClosed, false, "a call is in flight");
    assert.equal(await b.answered(call), 1);
    await settle();
    assert.equal(b.script.last.isClosed, true);
    await b.clock.advance(600_000);
    b.is({ starts: 1, phase: "Pending" });
    await b.come();
    assert.equal(b.starts(), 2);
    await b.comesUp("one");
    assert.deepEqual(b.names(), ["one"]);
  });

  it("C4 one whose share is not there at the start waits, is not Failed, and starts when the share comes", async () => {
    const b = dataBench({}, "away");
    await settle();
    await b.clock.advance(60_000);
    assert.equal(b.starts(), 0);
    const { phase, reason, restarts } = b.view();
    assert.deepEqual([phase, restarts], ["Pending", 0]);
    assert.equal(reason, "it waits for its data: share CORE is away: it is not mounted");
    assert.deepEqual(b.codes(), ["share_away"]);
    await b.pool.settled(AbortSignal.timeout(10_000));
    await b.come();
    assert.equal(b.starts(), 1);
  });

  it("C4 one that crashes while its share is away is not started before the share is back", async () => {
    const b = await readyOn();
    await b.leave();
    b.script.last.endWith("ENOENT");
    await b.clock.advance(120_000);
    b.is({ starts: 1, phase: "Pending" });
    await b.come();
    await b.clock.advance(1_000);
    assert.equal(b.starts(), 2);
  });

  it("C1 one that was started on another mount is replaced: the new one is ready before the old one drains", async () => {
    const b = await readyOn();
    await b.come("2");
    b.is({ starts: 2, names: ["one"] });
    const call = b.call();
    assert.equal(b.script.started[0]?.calls.length, 1, "the old one serves until the new one is ready");
    await b.comesUp("one");
    b.script.started[0]?.answer();
    assert.equal(fromInstance(await call), 1);
    await settle();
    assert.equal(b.script.started[0]?.isClosed, true);
    await b.come("2");
    assert.equal(b.starts(), 2, "the same mount again is no other one");
  });

  it("C1 a change of what is required, on the same mounts, starts nothing anew", async () => {
    const b = await readyOn();
    await b.applied(backendConfig("a", { requires: [CORE, { share: "CORE", folder: "dev" }] }));
    assert.equal(b.starts(), 1);
    b.apply(backendConfig("a"));
    await b.leave();
    await b.clock.advance(60_000);
    assert.deepEqual(b.names(), ["one"], "it requires nothing any more");
  });

  it("C1 a call that runs out of time while the share is away says so", async () => {
    const b = await readyOn();
    const sent = b.call();
    await b.leave("no route leads to it");
    b.script.last.answer({ error: { code: -32001, message: "no answer within 60 s" } });
    assert.match(errorText(await sent), /no answer within 60 s; share CORE is away: no route leads to it$/);
  });

  it("C1 an absence that was over before a call was made is not mentioned in its error", async () => {
    const b = await readyOn();
    await b.leave();
    await b.come();
    const sent = b.call();
    await b.come();
    b.script.last.answer({ error: { code: -32001, message: "no answer within 60 s" } });
    assert.equal(errorText(await sent), "no answer within 60 s");
  });

  it("C1 other mounts after an edit start nothing anew, and an answer that looks cut off has the share looked at", async () => {
    let looks = 0;
    const data: DataSource = {
      look: ({ length }) => ({ kind: "there", mounts: String(length) }),
      onChange() {},
      lookNow: async () => void looks++,
    };
    const b = bench({}, { data });
    await b.replaced(backendConfig("a", { requires: [CORE] }), "one");
    await b.applied(backendConfig("a", { requires: [CORE, { share: "CORE", folder: "dev" }] }));
    assert.equal(b.starts(), 1);
    for (const [text, expected] of [
      ["no such file", 0],
      ["EIO: i/o error", 1],
    ] as const) {
      const call = b.call();
      b.script.last.answer({ result: { isError: true, content: [{ type: "text", text }] } });
      await call;
      assert.equal(looks, expected, text);
    }
  });

  it("C1 per client: calls of every client wait, and with stop every instance ends", async () => {
    const b = await readyOn({ instances: "per-client", whenUnavailable: "stop" });
    const client = createClient("s1");
    const call = b.pool.call("a", callOf(client));
    await settle();
    await b.comesUp("one");
    b.script.last.answer();
    await call;
    await b.leave();
    const waiting = b.pool.call("a", callOf(client));
    await b.clock.advance(5_000);
    assert.match(errorText(await waiting), /share CORE is away/);
    await settle();
    assert.deepEqual(b.script.alive, []);
  });

  it("C1 a share that comes and goes each second makes no noise: nothing leaves the lists, nothing is started anew", async () => {
    const b = await readyOn();
    let published = 0;
    b.pool.onPublished(() => published++);
    for (let turn = 1; turn <= 120; turn++) {
      await b.leave();
      const call = b.call();
      await b.clock.advance(1_000);
      await b.come();
      assert.equal(await b.answered(call), 1);
      await b.clock.advance(1_000);
    }
    assert.deepEqual([published, b.starts(), b.view().restarts], [0, 1, 0]);
  });

  it("C1 of the calls that wait for a share the thousand-and-first is refused at once, and the others are served in order", async () => {
    const b = await readyOn();
    await b.leave();
    const timers = b.clock.pendingTimers;
    const { signal } = new AbortController();
    const waiting = Array.from({ length: 1_000 }, () => b.pool.call("a", callOf(null, signal)));
    assert.match(errorText(await b.call()), /1000 calls wait for it already/);
    const cancelled = await b.pool.call("a", callOf(null, AbortSignal.abort()));
    assert.match(errorText(cancelled), /cancelled before it was begun/);
    await b.come();
    assert.deepEqual([b.clock.pendingTimers, getEventListeners(signal, "abort").length], [timers, 0]);
    assert.equal(b.script.last.calls.length, 1_000);
    for (let count = 0; count < 1_000; count++) b.script.last.answer();
    for (const reply of await Promise.all(waiting)) assert.equal(fromInstance(reply), 1);
  });

  for (const replace of ["overlap", "stop-first"] as const) {
    it(`C1 ${replace}: disabled, enabled and restarted while its share is away, it is started once, when the share is back`, async () => {
      const b = await readyOn({ replace });
      await b.leave();
      const waiting = b.call();
      b.apply(backendConfig("a", { requires: [CORE], replace, enabled: false }));
      assert.match(errorText(await waiting), /disabled/);
      await b.clock.advance(60_000);
      assert.deepEqual(b.script.alive, []);
      b.apply(backendConfig("a", { requires: [CORE], replace }));
      b.pool.restart("a");
      await b.clock.advance(60_000);
      assert.equal(b.starts(), 1, "its share is away");
      await b.come();
      assert.equal(b.starts(), 2);
      b.script.last.becomeReady("one");
      await b.clock.advance(1_000);
      assert.deepEqual([b.names(), b.view().phase, b.starts()], [["one"], "Ready", 2]);
    });
  }

  it("C1 per client: a call whose instance becomes ready while the share is away is not sent before it is back", async () => {
    const b = await readyOn({ instances: "per-client" });
    const call = b.pool.call("a", callOf(createClient("s1")));
    await settle();
    assert.equal(b.starts(), 2);
    await b.leave();
    await b.comesUp("one");
    assert.equal(b.script.last.calls.length, 0);
    await b.come();
    assert.equal(b.script.last.calls.length, 1);
    b.script.last.answer();
    await call;
  });

  it("C3 a pool that knows nothing of shares serves it all the same", async () => {
    const b = bench();
    await b.replaced(backendConfig("a", { requires: [CORE] }), "one");
    assert.deepEqual(b.names(), ["one"]);
  });
});
