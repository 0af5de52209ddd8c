// Backends with one instance for each client: whose calls go where, and when it starts and ends.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorReply, isError, REQUEST_TIMEOUT } from "../../../../src/gateway/json-rpc.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { type Bench, CHANGED, ready } from "./backend-pool-bench.ts";
import {
  backendConfig,
  callOf,
  createClient,
  errorText,
  fromInstance,
  type Script,
  type ScriptedInstance,
} from "./scripted-instance.ts";

describe("one instance for each client", () => {
  const shared = backendConfig("a");
  const own = backendConfig("a", { instances: "per-client" });
  const { connection: other } = CHANGED;
  const owner = (b: Bench, client: unknown) =>
    b.script.started.filter(({ options }) => options.owner === client);
  /** A client's first call, and its own instance, which is ready for it. */
  const begin = async (b: Bench, client: ReturnType<typeof createClient>) => {
    const call = b.pool.call("a", callOf(client));
    await settle();
    const mine = b.script.last;
    mine.becomeReady();
    await settle();
    return { call, mine };
  };
  const perClient = async () => ({
    b: await ready(own),
    ...{ ann: createClient("ann"), bob: createClient("bob") },
  });
  /** Edits the connection; the shared instance of the new one is ready. */
  const moveShared = async (b: Bench): Promise<void> => {
    await b.applied({ ...own, connection: other });
    await b.comesUp("two");
  };

  it("B7 a client's calls go to its own, started at its first call, and never reach another's", async () => {
    const { b, ann, bob } = await perClient();
    const first = b.pool.call("a", callOf(ann));
    const second = b.pool.call("a", callOf(ann));
    const other = b.pool.call("a", callOf(bob));
    await settle();
    assert.equal(owner(b, ann).length, 1);
    for (const instance of b.script.started.slice(1)) instance.becomeReady("one");
    await settle();
    for (const instance of b.script.started) instance.answer();
    assert.equal(fromInstance(await first), fromInstance(await second));
    assert.notEqual(fromInstance(await first), fromInstance(await other));
    assert.equal(b.script.started[0]?.calls.length, 0);
    for (const isSeen of [true, false])
      b.pool.notifyOwn(ann, "notifications/roots/list_changed", undefined, () => isSeen);
    assertEach(b.script.started, ({ notified }) => notified.length, [0, 1, 0]);
  });

  it("C3 long-waiting calls are reported for all its instances together", async () => {
    const b = await ready(own);
    assert.equal(b.view().longWaits, null);
    const ann = createClient("ann");
    void b.pool.call("a", callOf(ann));
    await settle();
    await b.comesUp("one");
    const [shared, anns] = b.script.started;
    assert.ok(shared !== undefined && anns !== undefined);
    anns.longWaits = { calls: 1, longestMs: 45_000 };
    assert.deepEqual(b.view().longWaits, { calls: 1, longestMs: 45_000 });
    shared.longWaits = { calls: 2, longestMs: 12_000 };
    assert.deepEqual(b.view().longWaits, { calls: 3, longestMs: 45_000 });
    assert.equal(b.view().phase, "Ready");
  });

  it("while the shared one is retried after a crash, a client's own keeps running", async () => {
    const { b, ann } = await perClient();
    const { call: first, mine } = await begin(b, ann);
    b.script.started[0]?.endWith("it crashed");
    await settle();
    const second = b.pool.call("a", callOf(ann));
    mine.answer();
    assert.equal(fromInstance(await first), mine.id);
    assert.equal(fromInstance(await second), mine.id);
    const other = b.pool.call("a", callOf(createClient("bob")));
    await b.clock.advance(250);
    await b.comesUp("one");
    await b.comesUp("one");
    assert.equal(await b.answered(other), b.script.last.id);
    assert.equal(mine.isClosed, false);
  });

  it("B7 disabled, it lets clients' own instances finish their calls, including those that wait for a start", async () => {
    const { b, ann, bob } = await perClient();
    const { call: running, mine } = await begin(b, ann);
    const waiting = b.pool.call("a", callOf(bob));
    await settle();
    const theirs = b.script.last;
    await b.applied({ ...own, enabled: false });
    b.is({ draining: 2, phase: "ShuttingDown" });
    mine.answer();
    assert.equal(fromInstance(await running), mine.id);
    theirs.becomeReady();
    theirs.answer();
    assert.equal(fromInstance(await waiting), theirs.id);
    await settle();
    b.is({ instances: 0, phase: "Pending" });
  });

  it("it ends with its session, and its calls with it", async () => {
    const { b, ann } = await perClient();
    const call = b.pool.call("a", callOf(ann));
    await b.comesUp();
    b.pool.forget(ann);
    assert.ok(isError(await call));
    await settle();
    assert.deepEqual([owner(b, ann)[0]?.isClosed, b.view().instances], [true, 1]);
    ann.end();
    assert.match(errorText(await b.pool.call("a", callOf(ann))), /the session has ended/);
    assert.equal(owner(b, ann).length, 1);
  });

  it("its calls also end with its session at an instance that drains", async () => {
    const { b, ann } = await perClient();
    const { call, mine } = await begin(b, ann);
    await moveShared(b);
    b.pool.forget(ann);
    assert.ok(isError(await call));
    await settle();
    assert.equal(mine.isClosed, true);
  });

  it("B7 a changed connection drains it; the next call starts one with the new configuration", async () => {
    const { b, ann } = await perClient();
    const { call: running, mine } = await begin(b, ann);
    await moveShared(b);
    assert.equal(mine.isClosed, false);
    const next = b.pool.call("a", callOf(ann));
    assert.notEqual(b.script.last.options.key, mine.options.key);
    await b.comesUp("two");
    b.script.last.answer();
    mine.answer();
    assert.equal(fromInstance(await running), mine.id);
    assert.equal(fromInstance(await next), b.script.last.id);
    await settle();
    assert.equal(mine.isClosed, true);
    assert.equal(b.clock.pendingTimers, 2, "the next checks of the shared one and of its own");
  });

  it("a call that waits for its own instance while the connection changes waits for the new one", async () => {
    const { b, ann } = await perClient();
    const waiting = b.pool.call("a", callOf(ann));
    await settle();
    const half = b.script.last;
    await moveShared(b);
    assert.equal(half.isClosed, true);
    await b.comesUp("two");
    assert.equal(await b.answered(waiting), b.script.last.id);
  });

  it("B7 shared again, a call that waits for its own instance goes to the shared one, and nothing further is started", async () => {
    const { b, ann } = await perClient();
    const waiting = b.pool.call("a", callOf(ann));
    await settle();
    const half = b.script.last;
    await b.applied(shared);
    assert.deepEqual([owner(b, ann).length, half.isClosed, b.view().instances], [1, true, 1]);
    b.script.started[0]?.answer();
    assert.equal(fromInstance(await waiting), b.script.started[0]?.id);
  });

  it("B7 no call reaches an instance of an older connection, though one waited when the backend was shared again", async () => {
    const { b, ann } = await perClient();
    void b.pool.call("a", callOf(ann));
    await settle();
    await b.applied(shared);
    for (const instance of b.script.alive)
      if (instance.observed.state.kind === "starting") instance.becomeReady("one");
    for (const instance of b.script.alive) instance.answer();
    await b.applied({ ...shared, connection: other });
    await b.comesUp("two");
    const { key } = b.script.last.options;
    await b.applied({ ...own, connection: other });
    const next = b.pool.call("a", callOf(ann));
    await settle();
    assert.equal(b.script.last.options.key, key);
    await b.comesUp("two");
    const asked = b.script.alive.filter(({ pending }) => pending.size > 0);
    assert.deepEqual(pluck(asked, "options"), [b.script.last.options]);
    assert.equal(await b.answered(next), b.script.last.id);
  });

  it("B7 disabled and shared in one edit, it lets a call that waits for its own instance finish there", async () => {
    const { b, ann } = await perClient();
    const waiting = b.pool.call("a", callOf(ann));
    await settle();
    const mine = b.script.last;
    await b.applied({ ...shared, enabled: false });
    mine.becomeReady("one");
    mine.answer();
    assert.equal(fromInstance(await waiting), mine.id);
    await settle();
    assert.equal(b.view().instances, 0);
  });

  /** Of 64 clients, each later than the one before; their first calls are answered. */
  const begin64 = async (b: Bench) => {
    const all: { client: ReturnType<typeof createClient>; mine: Script["last"] }[] = [];
    for (let at = 0; at < 64; at++) {
      const client = createClient(String(at));
      const { call, mine } = await begin(b, client);
      mine.answer();
      await call;
      await b.clock.advance(1);
      all.push({ client, mine });
    }
    return all;
  };

  it("B7 beyond 64 the least recently used one of an idle client is stopped; its next call starts another", async () => {
    const b = await ready(own);
    const [first, second, third, ...others] = await begin64(b);
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const again = b.pool.call("a", callOf(first.client));
    first.mine.answer();
    await again;
    // Listening, it is there, however long it says nothing.
    second.client.busy = true;
    const { call: newcomers, mine: newest } = await begin(b, createClient("65th"));
    newest.answer();
    assert.equal(fromInstance(await newcomers), newest.id);
    const gone = ({ mine }: { mine: Script["last"] }): boolean => mine.isClosed;
    assert.deepEqual([first, second, third].map(gone), [false, false, true]);
    assert.ok(!others.some(gone));
    const { call: back, mine: anew } = await begin(b, third.client);
    anew.answer();
    assert.equal(fromInstance(await back), anew.id);
    assert.deepEqual(others.map(gone).indexOf(true), 0);
    assert.equal(b.view().instances, 65);
  });

  it("B7 none is stopped whose client listens or has a call in flight", async () => {
    const b = await ready(own);
    const all = await begin64(b);
    const [waits, ...listen] = all;
    assert.ok(waits !== undefined);
    for (const { client } of listen) client.busy = true;
    const hanging = b.pool.call("a", callOf(waits.client));
    const refused = b.pool.call("a", callOf(createClient("65th")));
    await settle();
    assert.equal(b.starts(), 65);
    assert.match(errorText(await refused), /64 instances/);
    waits.mine.answer();
    assert.equal(fromInstance(await hanging), waits.mine.id);
    assert.ok(!all.some(({ mine }) => mine.isClosed));
    void b.pool.call("a", callOf(createClient("66th")));
    await settle();
    assert.equal(waits.mine.isClosed, true);
  });

  it("a subscription follows its client from the shared one to its own, and back", async () => {
    const b = await ready(shared);
    const ann = createClient("ann");
    const isAt = (one?: ScriptedInstance): boolean => one?.subscribed.get("file:///x")?.has(ann) === true;
    await b.pool.subscribe("a", "file:///x", ann);
    await b.applied(own);
    const [one, mine] = b.script.started;
    mine?.becomeReady();
    await settle();
    assert.deepEqual([mine?.options.owner, isAt(mine), isAt(one)], [ann, true, false]);
    await b.applied(shared);
    assert.deepEqual([isAt(one), b.starts()], [true, 2]);
  });

  it("a subscription goes to the client's own, and follows it through a change", async () => {
    const { b, ann } = await perClient();
    const subscribed = b.pool.subscribe("a", "file:///x", ann);
    await settle();
    b.script.last.becomeReady();
    assert.ok(!isError(await subscribed));
    await moveShared(b);
    assert.equal(b.script.last.options.owner, ann);
    await b.comesUp("two");
    assert.ok(b.script.last.subscribed.get("file:///x")?.has(ann));
    await b.pool.unsubscribe("a", "file:///x", ann);
    const starts = owner(b, ann).length;
    await b.applied(own);
    await b.comesUp("one");
    assert.equal(owner(b, ann).length, starts, "nothing is subscribed");
  });

  it("a client's own that misses one or two checks is kept, and still serves other calls", async () => {
    const { b, ann } = await perClient();
    const { call, mine } = await begin(b, ann);
    const other = b.pool.call("a", callOf(ann));
    mine.see({ missedChecks: 2 });
    await settle();
    assert.equal(owner(b, ann).length, 1);
    mine.see({ missedChecks: 3 });
    await settle();
    assert.equal(mine.isClosed, false);
    void b.pool.call("a", callOf(ann));
    assert.equal(owner(b, ann).length, 2);
    const [one] = mine.pending;
    one?.answer({ result: { from: mine.id } });
    assert.equal(fromInstance(await call), mine.id);
    await settle();
    assert.equal(mine.isClosed, false, "it has another call in flight");
    mine.answer();
    assert.equal(fromInstance(await other), mine.id);
    await settle();
    assert.equal(mine.isClosed, true);
  });

  it("consecutive calls without an answer, and then three checks without one, replace it", async () => {
    const { b, ann } = await perClient();
    const { call: first, mine } = await begin(b, ann);
    mine.answer(errorReply(REQUEST_TIMEOUT, "too slow"));
    await first;
    for (let call = 0; call < 4; call++) {
      const reply = b.pool.call("a", callOf(ann));
      mine.answer(errorReply(REQUEST_TIMEOUT, "too slow"));
      await reply;
    }
    await settle();
    assert.equal(mine.checks, 1);
    for (const missedChecks of [1, 2, 3]) {
      assert.equal(mine.isClosed, false);
      mine.see({ missedChecks });
      await settle();
    }
    assert.deepEqual([mine.isClosed, owner(b, ann).length, b.view().phase], [true, 2, "Ready"]);
  });
});
