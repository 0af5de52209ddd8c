// A backend whose connection changes, or that is restarted: which instance serves, and when the old one goes.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorReply, isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { bench, CHANGED, ready } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient, errorText } from "./scripted-instance.ts";

describe("a changed connection", () => {
  it("B11 a backend that may run only once does not start alongside the previous daemon's, and starts at once when that has ended", async () => {
    let isElsewhere = true;
    const b = bench({}, { runsInPrevious: () => isElsewhere });
    await b.applied(backendConfig("a", { replace: "stop-first" }));
    let isListed = false;
    void b.pool.firstList("a").then(() => {
      isListed = true;
    });
    await b.clock.advance(59_000);
    assert.deepEqual([b.starts(), isListed], [0, false]);
    isElsewhere = false;
    b.pool.recheckAll();
    await settle();
    assert.equal(b.starts(), 1);
    await b.comesUp("one");
    assert.deepEqual([isListed, b.pool.runOncePids.length], [true, 1]);
    await b.pool.endRunOnce(0);
    assert.deepEqual(b.pool.runOncePids, []);
  });

  it("B7 filters edited with it change with the swap, filters edited without it at once", async () => {
    const b = await ready();
    const filters = { ...CHANGED.filters, tools: { allow: ["x"], deny: [] } };
    await b.applied({ ...CHANGED, filters });
    assert.equal(b.pool.published[0]?.filters.tools.allow, null);
    await b.comesUp("one");
    assert.deepEqual(b.pool.published[0]?.filters.tools.allow, ["x"]);
    b.apply(CHANGED);
    assert.equal(b.pool.published[0]?.filters.tools.allow, null);
    b.apply({ ...CHANGED, toolOverrides: { one: { name: "uno", description: null, arguments: null } } });
    assert.equal(b.pool.published[0]?.toolOverrides["one"]?.name, "uno");
    await settle();
    assert.equal(b.starts(), 2);
  });

  it("B7 a change of only group and timeouts changes nothing that is published and connects nothing", async () => {
    const b = await ready();
    const before = b.pool.published;
    await b.applied(backendConfig("a", { group: "g", timeouts: { initMs: 1, listMs: 1, callMs: 7_000 } }));
    assert.equal(b.pool.published, before);
    assert.equal(b.view().group, "g");
    void b.call();
    assert.deepEqual([b.script.last.calls[0]?.timeoutMs, b.starts()], [7_000, 1]);
  });

  it("D5 a tool call gets the time-out of its key, and other requests the shorter one", async () => {
    const b = await ready();
    await b.applied(
      backendConfig("a", { timeouts: { initMs: 1, listMs: 1, callMs: 300_000, otherMs: 60_000 } }),
    );
    void b.call();
    void b.pool.call("a", { ...callOf(createClient("c")), method: "resources/read" });
    assert.deepEqual(pluck(b.script.last.calls, "timeoutMs"), [300_000, 60_000]);
  });

  it("subscriptions move to the new instance, and the old one notifies no client", async () => {
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

  it("subscriptions of a backend that is switched off end, even if it is switched on again", async () => {
    const b = await ready();
    await b.pool.subscribe("a", "file:///x", createClient("s"));
    await b.applied(backendConfig("a", { enabled: false }));
    await b.replaced(backendConfig("a"), "one");
    assert.deepEqual([b.starts(), b.script.last.subscribed.size], [2, 0]);
  });

  it("a client that is forgotten is subscribed nowhere, and a subscription during a change moves with it", async () => {
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
    assertEach(b.script.last.subscribed, ([uri, clients]) => [uri, [...clients]], [["file:///y", [left]]]);
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

  for (const answers of [true, false]) {
    it(`B11 before another daemon serves it ends, ${answers ? "after its last call" : "at the latest after the grace"}; others keep serving`, async () => {
      const b = await ready(first);
      const once = b.script.last;
      await b.applied(first, backendConfig("other"));
      await b.comesUp("two");
      const call = b.call();
      let isOver = false;
      const ending = b.pool.endRunOnce(5_000).then(() => {
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
