// A backend whose connection changes, or that is restarted: which instance serves, and when the old one goes.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorReply, isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { settle } from "../../../support/manual-clock.ts";
import { bench, CHANGED, ready } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient, errorText, fromInstance } from "./scripted-instance.ts";

describe("a changed connection", () => {
  it("B7 the new instance is ready before one swap; calls in flight finish on the old one", async () => {
    const b = await ready();
    const old = b.script.last;
    const call = b.call();
    await b.applied(CHANGED);
    b.is({ names: ["one"], phase: "Ready" });
    const seenLists: string[][] = [];
    b.pool.onPublished(() => seenLists.push(b.names()));
    await b.comesUp("two");
    assert.deepEqual(seenLists, [["two"]]);
    const later = b.call();
    assert.equal(await b.answered(later), 2);
    assert.equal(old.isClosed, false);
    old.answer();
    assert.equal(fromInstance(await call), 1);
    await settle();
    assert.equal(old.isClosed, true);
    assert.deepEqual(b.events(), ["backend.ready", "backend.ready", "backend.replaced", "backend.drained"]);
  });

  it("B11 what may run only once does not start beside the daemon before, and starts at once when that has ended", async () => {
    let isElsewhere = true;
    const b = bench({}, { runsElsewhere: () => isElsewhere });
    await b.applied(backendConfig("a", { replace: "stop-first" }));
    let isListed = false;
    void b.pool.firstList("a").then(() => {
      isListed = true;
    });
    await b.clock.advance(59_000);
    assert.deepEqual([b.starts(), isListed], [0, false]);
    isElsewhere = false;
    b.pool.lookAllAgain();
    await settle();
    assert.equal(b.starts(), 1);
    await b.comesUp("one");
    assert.deepEqual([isListed, b.pool.runOnce.length], [true, 1]);
    await b.pool.endWhatRunsOnce(0);
    assert.deepEqual(b.pool.runOnce, []);
  });

  it("B7 a call that outlives drain_timeout on the old one gets the documented error", async () => {
    const b = await ready();
    const call = b.call();
    await b.applied(CHANGED);
    b.script.last.becomeReady("two");
    await b.clock.advance(30_000);
    assert.equal(
      errorText(await call),
      "backend a was replaced by a change of the configuration; the call was ended after drain_timeout (30 s)",
    );
  });

  it("B7 what the old one lists while it drains is not published", async () => {
    const b = await ready();
    void b.call();
    await b.replaced(CHANGED, "two");
    b.script.started[0]?.list("old");
    assert.deepEqual(b.names(), ["two"]);
  });

  it("B7 filters edited with it change with the swap, edited alone at once", async () => {
    const b = await ready();
    const filters = { ...CHANGED.filters, tools: { allow: ["x"], deny: [] } };
    await b.applied({ ...CHANGED, filters });
    assert.equal(b.pool.published[0]?.filters.tools.allow, null);
    await b.comesUp("one");
    assert.deepEqual(b.pool.published[0]?.filters.tools.allow, ["x"]);
    b.apply(CHANGED);
    assert.equal(b.pool.published[0]?.filters.tools.allow, null);
    b.apply({ ...CHANGED, toolOverrides: { one: { name: "uno", description: null } } });
    assert.equal(b.pool.published[0]?.toolOverrides["one"]?.name, "uno");
    await settle();
    assert.equal(b.starts(), 2);
  });

  it("B7 group and timeouts alone change nothing that is published and connect nothing", async () => {
    const b = await ready();
    const before = b.pool.published;
    await b.applied(backendConfig("a", { group: "g", timeouts: { initMs: 1, listMs: 1, callMs: 7_000 } }));
    assert.equal(b.pool.published, before);
    assert.equal(b.view().group, "g");
    void b.call();
    assert.deepEqual([b.script.last.calls[0]?.timeoutMs, b.starts()], [7_000, 1]);
  });

  it("D3 one that cannot read a list which the old one could takes no names away, and is tried again", async () => {
    const b = await ready();
    await b.applied(CHANGED);
    b.script.last.see({ listsStaleBecause: "tools/list was answered with an error" });
    await b.comesUp();
    b.is({ names: ["one"], codes: ["change_failed"] });
    assert.match(
      b.view().conditions[0]?.title ?? "",
      /its change does not come up: tools\/list was answered/,
    );
    assert.deepEqual([b.script.started[0]?.isClosed, b.script.started[1]?.isClosed], [false, true]);
    await b.clock.advance(1_000);
    await b.comesUp("two");
    b.is({ names: ["two"], codes: [] });
  });

  it("D3 one that cannot read a list replaces one that could not either", async () => {
    const b = await ready();
    b.script.last.see({ listsStaleBecause: "prompts/list was answered with an error" });
    await b.applied(CHANGED);
    b.script.last.see({ listsStaleBecause: "prompts/list was answered with an error" });
    await b.comesUp("two");
    b.is({ names: ["two"], codes: ["lists_stale"] });
  });

  it("B7 one that does not come up leaves the old one serving, with a condition, and is tried again", async () => {
    const b = await ready();
    await b.applied(CHANGED);
    await b.dies("it exited with code 1");
    b.is({ names: ["one"], phase: "Degraded", codes: ["change_failed"] });
    assert.match(
      b.view().conditions[0]?.title ?? "",
      /goes on as it was: its change does not come up: it exited/,
    );
    const again = b.call();
    b.script.started[0]?.answer();
    assert.equal(fromInstance(await again), 1);
    assert.deepEqual(b.pool.logLines("a"), [
      "line of 1",
      "--- the instance that did not come up:",
      "line of 2",
    ]);
    await b.clock.advance(1_000);
    assert.equal(b.starts(), 3);
    b.script.last.endWith("it exited with code 1");
    await b.clock.advance(2_000);
    assert.equal(b.starts(), 4);
    assert.equal(b.events().filter((name) => name === "backend.change_failed").length, 1);
    b.script.last.endWith("its program is not there");
    await b.clock.advance(4_000);
    assert.equal(b.events().filter((name) => name === "backend.change_failed").length, 2);
    await b.comesUp("two");
    b.is({ names: ["two"], phase: "Ready", codes: [] });
  });

  it("B6 changed back while the new one starts, that one is abandoned and nothing is left of it", async () => {
    const b = await ready();
    await b.applied(CHANGED);
    const half = b.script.last;
    await b.applied(backendConfig("a"));
    assert.equal(half.isClosed, true);
    b.is({ starts: 2, instances: 1, phase: "Ready" });
  });

  it("B6 changed again, only the newest is wanted", async () => {
    const b = await ready();
    await b.applied(CHANGED);
    const half = b.script.last;
    await b.applied(backendConfig("a", { command: "third" }));
    assert.deepEqual([half.isClosed, b.starts()], [true, 3]);
    await b.comesUp("three");
    assert.deepEqual(b.names(), ["three"]);
  });

  it("the old one ends while the new one starts: calls wait for the new one", async () => {
    const b = await ready();
    await b.applied(CHANGED);
    b.script.started[0]?.endWith("it was killed");
    await settle();
    assert.deepEqual(b.names(), ["one"]);
    const call = b.call();
    await b.comesUp("two");
    assert.equal(await b.answered(call), 2);
    b.is({ names: ["two"], starts: 2 });
  });

  it("subscriptions move to the new instance, and the old one tells nobody", async () => {
    const b = await ready();
    const client = createClient("s");
    for (const uri of ["file:///x", "file:///y"]) await b.pool.subscribe("a", uri, client);
    await b.pool.unsubscribe("a", "file:///y", client);
    await b.replaced(CHANGED);
    assert.equal(b.script.last.subscribed.has("file:///y"), false);
    assert.deepEqual([...(b.script.last.subscribed.get("file:///x") ?? [])], [client]);
    assert.equal(b.script.started[0]?.subscribed.get("file:///x")?.size, 0);
    await b.pool.unsubscribe("a", "file:///x", client);
    assert.equal(b.script.last.subscribed.get("file:///x")?.size, 0);
  });

  it("subscriptions of a backend that is switched off end, also for when it is switched on again", async () => {
    const b = await ready();
    await b.pool.subscribe("a", "file:///x", createClient("s"));
    await b.applied(backendConfig("a", { enabled: false }));
    await b.replaced(backendConfig("a"), "one");
    assert.deepEqual([b.starts(), b.script.last.subscribed.size], [2, 0]);
  });

  it("a client that is forgotten is subscribed nowhere, and a subscription during a change follows it", async () => {
    const b = await ready();
    const [gone, left] = [createClient("gone"), createClient("left")];
    await b.pool.subscribe("a", "file:///x", gone);
    b.pool.forget(gone);
    assert.equal(b.script.last.subscribed.get("file:///x")?.size, 0);
    const confirmed = Promise.withResolvers<Reply>();
    b.script.last.subscribe = () => confirmed.promise;
    const subscribing = b.pool.subscribe("a", "file:///y", left);
    await b.replaced(CHANGED);
    confirmed.resolve({ result: {} });
    await subscribing;
    assert.deepEqual(
      [...b.script.last.subscribed].map(([uri, clients]) => [uri, [...clients]]),
      [["file:///y", [left]]],
    );
  });

  it("a client that ended while it subscribed is not subscribed at the new instance", async () => {
    const b = await ready();
    const client = createClient("s");
    const subscribing = b.pool.subscribe("a", "file:///x", client);
    client.end();
    await subscribing;
    await b.replaced(CHANGED);
    assert.deepEqual([b.starts(), b.script.last.subscribed.size], [2, 0]);
  });
});

describe("stop-first", () => {
  const first = backendConfig("a", { replace: "stop-first" });
  const changed = backendConfig("a", { replace: "stop-first", command: "other" });

  it("B7 the old one drains and is gone before the new one starts; calls wait meanwhile", async () => {
    const b = await ready(first);
    const old = b.script.last;
    const running = b.call();
    await b.applied(changed);
    const queued = b.call();
    b.is({ names: ["one"], starts: 1 });
    const gate = Promise.withResolvers<void>();
    b.script.closeGate = gate.promise;
    old.answer();
    assert.equal(fromInstance(await running), 1);
    await settle();
    assert.deepEqual([old.isClosed, b.starts()], [true, 1]);
    gate.resolve();
    await settle();
    assert.equal(b.starts(), 2);
    await b.comesUp("two");
    assert.deepEqual(b.names(), ["two"]);
    assert.equal(await b.answered(queued), 2);
  });

  it("B7 when the new one fails, its names leave and the queued calls fail", async () => {
    const b = await ready(first);
    await b.applied(changed);
    const queued = b.call();
    await b.dies("no such program");
    assert.deepEqual(b.names(), []);
    assert.match(
      errorText(await queued),
      /backend a is unavailable: no such program; it is tried again in 1 s/,
    );
  });

  it("B7 a queued call keeps its own deadline", async () => {
    const b = await ready({ ...first, timeouts: { initMs: 1, listMs: 1, callMs: 5_000 } });
    await b.applied({ ...changed, timeouts: { initMs: 1, listMs: 1, callMs: 5_000 } });
    const late = b.call();
    await b.clock.advance(2_000);
    const inTime = b.call();
    await b.clock.advance(3_000);
    assert.match(errorText(await late), /not ready within the call's 5 s/);
    await b.comesUp();
    assert.equal(b.script.last.calls[0]?.timeoutMs, 2_000);
    b.script.last.answer();
    await inTime;
  });

  it("changed back while the old one drains, it goes on", async () => {
    const b = await ready(first);
    const running = b.call();
    await b.applied(changed);
    const queued = b.call();
    await b.applied(first);
    assert.equal(b.starts(), 1);
    assert.equal(await b.answered(running), 1);
    assert.equal(fromInstance(await queued), 1);
    assert.equal(b.view().phase, "Ready");
  });

  for (const answers of [true, false]) {
    it(`B11 before another daemon serves it ends, ${answers ? "after its last call" : "at the latest after the grace"}; others serve on`, async () => {
      const b = await ready(first);
      const once = b.script.last;
      await b.applied(first, backendConfig("other"));
      await b.comesUp("two");
      const call = b.call();
      let isOver = false;
      const ending = b.pool.endWhatRunsOnce(5_000).then(() => {
        isOver = true;
      });
      await b.clock.advance(4_900);
      assert.deepEqual([once.isClosed, isOver], [false, false], "a call is in flight");
      if (answers) once.answer();
      await b.clock.advance(answers ? 0 : 100);
      assert.equal(isError(await call), !answers);
      await ending;
      assert.deepEqual([once.isClosed, b.script.last.isClosed], [true, false]);
    });
  }

  it("a cancelled call leaves the queue, and the queue is bounded", async () => {
    const b = await ready(first);
    void b.call();
    await b.applied(changed);
    const cancel = new AbortController();
    const cancelled = b.pool.call("a", callOf(null, cancel.signal));
    cancel.abort();
    assert.match(errorText(await cancelled), /cancelled/);
    const queued = Array.from({ length: 1_001 }, () => b.call());
    const last = await queued.at(-1);
    assert.match(last === undefined ? "" : errorText(last), /1000 calls wait for it already/);
    b.apply();
    assert.match(errorText((await queued[0]) ?? errorReply(0, "")), /was removed/);
  });
});

describe("restart", () => {
  it("B7 the old instance serves until the new one is ready", async () => {
    const b = await ready();
    b.pool.restart("a");
    await settle();
    assert.deepEqual(b.names(), ["one"]);
    const [old] = b.script.started;
    await b.comesUp("one");
    assert.deepEqual([old?.isClosed, b.view().restarts], [true, 0]);
  });
});
