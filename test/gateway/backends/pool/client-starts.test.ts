// Clients' own instances that do not come up: when they are started again, what their calls get, and what status says.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { settle } from "../../../support/manual-clock.ts";
import { type Bench, CHANGED, dataBench, ready } from "./backend-pool-bench.ts";
import {
  backendConfig,
  callOf,
  createClient,
  errorText,
  type ScriptedInstance,
} from "./scripted-instance.ts";

const OWN = backendConfig("a", { instances: "per-client" });
const COPY = "it exited with code 1: another copy is running";

/** Which of the clients' instances come up; the shared one does. */
type Fate = (instance: ScriptedInstance) => boolean;

async function live(b: Bench, fate: Fate): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await settle();
    for (const instance of b.script.alive) {
      if (instance.observed.state.kind !== "starting") continue;
      if (fate(instance)) instance.becomeReady("one");
      else instance.endWith(COPY);
    }
  }
}

const onlyShared: Fate = ({ options }) => options.owner === null;
const clientStarts = (b: Bench): number => b.script.started.filter((one) => !onlyShared(one)).length;

/** Lets time pass in small steps, in which instances start or fail. */
async function pass(b: Bench, ms: number, fate: Fate): Promise<void> {
  const stepMs = Math.max(250, ms / 20);
  for (let left = ms; left > 0; left -= stepMs) {
    await b.clock.advance(Math.min(stepMs, left));
    await live(b, fate);
  }
}

/** 30 calls in 10 s, each of the client that `clientOf` gives. */
async function callFor10s(b: Bench, clientOf: (at: number) => ReturnType<typeof createClient>) {
  const replies: Reply[] = [];
  for (let at = 0; at < 30; at++) {
    const client = clientOf(at);
    const call = b.pool.call("a", callOf(client));
    await live(b, onlyShared);
    await b.clock.advance(333);
    await live(b, onlyShared);
    replies.push(await call);
    if (at > 0 && clientOf(at - 1) !== client) b.pool.forget(clientOf(at - 1));
  }
  return replies;
}

describe("B7 a client's own instance that does not start", () => {
  it("B7 is started after 1, 2, 4 s however often it is called; status, page and log say why", async () => {
    const b = await ready(OWN);
    const ann = createClient("ann");
    const replies = await callFor10s(b, () => ann);
    assert.equal(clientStarts(b), 4);
    b.is({ phase: "Degraded", codes: ["clients_not_running"], names: ["one"] });
    const { reason, conditions } = b.view();
    assert.match(
      reason ?? "",
      /^server a: the instance of 1 client .* 4 times in a row: it exited with code 1/,
    );
    assert.match(conditions[0]?.hint ?? "", /mountaineer backends logs a/);
    for (const reply of replies) {
      assert.match(
        errorText(reply),
        /^server a is unavailable: the instance of this client could not be started: it exited with code 1/,
      );
    }
    assert.match(errorText(replies[1] ?? assert.fail()), /it is tried again in 1 s$/);
    assert.match(
      b.pool.logLines("a")?.join("\n") ?? "",
      /--- a client's own instance that did not start:\nline of \d+/,
    );
    const ended = b.told.filter(({ name }) => name === "backend.ended");
    assert.equal(ended.length, 4);
    const phases = b.told.flatMap((one) => (one.name === "backend.phase" ? `${one.to} ${one.reason}` : []));
    assert.match(phases.at(-1) ?? "", /^Degraded server a: .*another copy is running/);
  });

  it("B7 delays all clients until one was ready: a session for each call does not start a process each", async () => {
    const b = await ready(OWN);
    const clients = Array.from({ length: 30 }, (_, at) => createClient(String(at)));
    const replies = await callFor10s(b, (at) => clients[at] ?? assert.fail());
    assert.equal(clientStarts(b), 4);
    assert.ok(replies.every(isError));
    b.is({ phase: "Degraded", codes: ["clients_not_running"] });
    for (const client of clients) b.pool.forget(client);
    await settle();
    b.is({ phase: "Degraded", codes: ["clients_not_running"], instances: 1 });
    await b.clock.advance(60_000);
    const last = createClient("last");
    const call = b.pool.call("a", callOf(last));
    await live(b, () => true);
    for (const instance of b.script.alive) instance.answer();
    assert.ok(!isError(await call));
    b.is({ phase: "Ready", codes: [] });
  });

  it("B7 many clients at once are one failure, and then cause one start per wait", async () => {
    const b = await ready(OWN);
    const clients = Array.from({ length: 10 }, (_, at) => createClient(String(at)));
    const calls = clients.map((client) => b.pool.call("a", callOf(client)));
    for (let turn = 0; turn < 3; turn++) await settle();
    assert.equal(clientStarts(b), 10);
    await live(b, onlyShared);
    assert.ok((await Promise.all(calls)).every(isError));
    await pass(b, 10_000, onlyShared);
    assert.equal(clientStarts(b), 13, "after 1, 2 and 4 s");
    assert.match(b.view().reason ?? "", /the instances of 10 clients .* 4 times in a row/);
    await pass(b, 6_000, () => true);
    b.is({ phase: "Ready", codes: [], instances: 11 });
  });

  it("B7 is retried automatically, and its client's next call is served", async () => {
    const b = await ready(OWN);
    const ann = createClient("ann");
    const first = b.pool.call("a", callOf(ann));
    await live(b, onlyShared);
    assert.ok(isError(await first));
    await pass(b, 1_000, () => true);
    b.is({ phase: "Ready", codes: [], instances: 2 });
    const next = b.pool.call("a", callOf(ann));
    b.script.last.answer();
    assert.ok(!isError(await next));
    assert.equal(clientStarts(b), 2);
  });

  it("B7 of one client does not affect others once one was ready", async () => {
    const b = await ready(OWN);
    const [ann, bob, eve] = ["ann", "bob", "eve"].map(createClient);
    assert.ok(ann !== undefined && bob !== undefined && eve !== undefined);
    const butBobs: Fate = ({ options }) => options.owner !== bob;
    for (const client of [bob, ann]) void b.pool.call("a", callOf(client));
    await live(b, butBobs);
    await pass(b, 30_000, butBobs);
    b.is({ phase: "Degraded", codes: ["clients_not_running"] });
    const before = clientStarts(b);
    const call = b.pool.call("a", callOf(eve));
    await live(b, butBobs);
    assert.equal(clientStarts(b), before + 1);
    b.script.last.answer();
    assert.ok(!isError(await call));
    b.pool.forget(bob);
    await settle();
    b.is({ phase: "Ready", codes: [] });
  });

  it("B7 does not keep other clients from their turn, even before one was ready", async () => {
    const b = await ready(OWN);
    const [bob, ann] = ["bob", "ann"].map(createClient);
    assert.ok(ann !== undefined && bob !== undefined);
    const butBobs: Fate = ({ options }) => options.owner !== bob;
    const first = b.pool.call("a", callOf(bob));
    await live(b, butBobs);
    assert.ok(isError(await first));
    await pass(b, 3_500, butBobs);
    const second = b.pool.call("a", callOf(ann));
    await pass(b, 4_000, butBobs);
    assert.ok(isError(await second), "it was not ann's turn yet");
    const third = b.pool.call("a", callOf(ann));
    for (const instance of b.script.alive) instance.answer();
    assert.ok(!isError(await third));
  });

  it("B7 delays all clients again after three failures in a row in sessions for each call, though one was ready before", async () => {
    const b = await ready(OWN);
    const ann = createClient("ann");
    void b.pool.call("a", callOf(ann));
    await live(b, () => true);
    const fate: Fate = ({ options }) => options.owner === null || options.owner === ann;
    const clients = Array.from({ length: 30 }, (_, at) => createClient(String(at)));
    await callFor10s(b, (at) => clients[at] ?? assert.fail()).then((all) => assert.ok(all.every(isError)));
    assert.ok(clientStarts(b) <= 1 + 5, `${clientStarts(b)} starts`);
    const mine = b.pool.call("a", callOf(ann));
    await live(b, fate);
    for (const instance of b.script.alive) instance.answer();
    assert.ok(!isError(await mine), "ann's own goes on");
  });

  it("C1 starts as soon as its share returns, and not before", async () => {
    const b = dataBench({ instances: "per-client" });
    await settle();
    await b.comesUp("one");
    const ann = createClient("ann");
    const first = b.pool.call("a", callOf(ann));
    await live(b, onlyShared);
    assert.ok(isError(await first));
    await b.leave();
    await pass(b, 120_000, () => true);
    assert.equal(clientStarts(b), 1);
    await b.come("1");
    await live(b, () => true);
    assert.equal(clientStarts(b), 2);
    const next = b.pool.call("a", callOf(ann));
    b.script.last.answer();
    assert.ok(!isError(await next));
  });

  it("C1 a new client's is not started on a share that is remounting; its call waits", async () => {
    const b = dataBench({ instances: "per-client" });
    await settle();
    await b.comesUp("one");
    await b.move("taken");
    const call = b.pool.call("a", callOf(createClient("ann")));
    await live(b, () => true);
    assert.equal(clientStarts(b), 0);
    await b.come("2");
    await live(b, () => true);
    for (const instance of b.script.alive) instance.answer();
    assert.ok(!isError(await call));
  });

  it("B7 starts again at once after an edit or a restart, whatever failed before", async () => {
    const b = await ready(OWN);
    const ann = createClient("ann");
    const call = b.pool.call("a", callOf(ann));
    await live(b, onlyShared);
    assert.ok(isError(await call));
    await pass(b, 20_000, onlyShared);
    for (const change of ["edit", "restart"] as const) {
      if (change === "edit") b.apply({ ...CHANGED, instances: "per-client" });
      else b.pool.restart("a");
      await live(b, () => true);
      const next = b.pool.call("a", callOf(ann));
      await live(b, () => true);
      for (const instance of b.script.alive) instance.answer();
      assert.ok(!isError(await next));
      const key = b.script.alive.map(({ options }) => options.key);
      assert.deepEqual(key, [key[0], key[0]], "of the new configuration, both");
      b.is({ phase: "Ready", codes: [] });
    }
  });

  it("B7 a call right after an edit waits for the start that the edit makes due", async () => {
    const b = await ready(OWN);
    const ann = createClient("ann");
    const call = b.pool.call("a", callOf(ann));
    await live(b, onlyShared);
    assert.ok(isError(await call));
    b.apply({ ...OWN, timeouts: { ...OWN.timeouts, callMs: 30_000 } });
    const replies: Promise<Reply>[] = [];
    // While its start waits for its turn, and after.
    for (let turn = 0; turn < 12; turn++) {
      await Promise.resolve();
      replies.push(b.pool.call("a", callOf(ann)));
    }
    await live(b, () => true);
    for (const instance of b.script.alive) instance.answer();
    const refused = (await Promise.all(replies)).flatMap((reply) => (isError(reply) ? errorText(reply) : []));
    assert.deepEqual(refused, []);
  });

  it("B7 is not started while the shared one is retried", async () => {
    const b = await ready(OWN);
    const ann = createClient("ann");
    const call = b.pool.call("a", callOf(ann));
    await live(b, onlyShared);
    assert.ok(isError(await call));
    b.script.started[0]?.endWith("it crashed");
    await pass(b, 60_000, () => false);
    assert.equal(clientStarts(b), 1);
    await pass(b, 61_000, () => true);
    assert.equal(clientStarts(b), 2);
    b.is({ phase: "Ready", codes: [], instances: 2 });
  });

  it("B7 whose address refuses connections is tried again when it accepts them, like the shared one", async () => {
    const b = await ready(OWN);
    const ann = createClient("ann");
    const call = b.pool.call("a", callOf(ann));
    await settle();
    for (let failure = 0; failure < 8; failure++) {
      const { last } = b.script;
      if (last.options.owner === ann && last.observed.state.kind === "starting")
        last.failWith({ kind: "unreachable", message: "it refuses", hint: null, isUnreachable: true });
      await pass(b, 60_000, () => false);
    }
    assert.ok(isError(await call));
    assert.ok(clientStarts(b) >= 3);
    await pass(b, 61_000, () => true);
    b.is({ phase: "Ready", codes: [] });
  });
});
