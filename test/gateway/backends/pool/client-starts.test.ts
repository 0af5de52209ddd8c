// Clients' own instances that do not come up: when they are started again, what their calls get, and what status says.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { settle } from "../../../support/manual-clock.ts";
import { fc, happening, runsOf } from "../../../support/properties.ts";
import { type Bench, CHANGED, CORE, dataBench, ready } from "./backend-pool-bench.ts";
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

const CLIENTS = 4;
const client = fc.nat(CLIENTS - 1);
const event = fc.oneof(
  happening(6, "call", { client }),
  happening(5, "advance", { ms: fc.constantFrom(100, 1_000, 4_000, 31_000) }),
  happening(4, "fate", { client, works: fc.boolean() }),
  happening(2, "leave", { client }),
  happening(2, "crash", { nth: fc.nat(5) }),
  happening(1, "allFail"),
  happening(1, "data", { is: fc.constantFrom("away" as const, "moving" as const, "there" as const) }),
  happening(1, "edit", { command: fc.constantFrom("x", "y") }),
  happening(1, "restart"),
);
type Happening = typeof event extends fc.Arbitrary<infer Value> ? Value : never;

async function play(all: readonly Happening[]): Promise<void> {
  const config = backendConfig("a", { instances: "per-client", requires: [CORE], command: "x" });
  const b = dataBench(config);
  const clients = Array.from({ length: CLIENTS }, (_, at) => createClient(String(at)));
  const fates = clients.map(() => true);
  let isThere = true;
  let [mounts, command, version] = [1, "x", 0];
  /** The version of the configuration with which each was started. */
  const versions = new WeakMap<ScriptedInstance, number>();
  let servedVersion = 0;
  let mountsSeen = 1;
  /** Those that were ready once count for themselves. */
  const known = new WeakSet<object>();
  let seen = 0;
  let failedAtMs = Number.NEGATIVE_INFINITY;
  /** No client's instance was ready since the last change of the configuration. */
  let isUnproven = true;
  const isOwned = ({ options }: ScriptedInstance): boolean => options.owner !== null;
  const change = (): void => {
    version++;
    forgive();
  };
  const forgive = (): void => {
    isUnproven = true;
    failedAtMs = Number.NEGATIVE_INFINITY;
  };
  const look = (): void => {
    const fresh = b.script.started.slice(seen);
    seen = b.script.started.length;
    for (const one of fresh) versions.set(one, version);
    const own = fresh.filter(({ options: { owner } }) => owner !== null && !known.has(owner));
    assert.ok(isThere || fresh.length === 0, "nothing starts on a share that is not there");
    if (!isUnproven || failedAtMs === Number.NEGATIVE_INFINITY) return;
    assert.ok(own.length <= 1, "one start per wait");
    if (own.length === 1) assert.ok(b.clock.monotonicMs() >= failedAtMs + 1_000, "after a wait");
  };
  const live = async (): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      await settle();
      look();
      // The shared one last: what clients' own run may be something else from then on.
      const owned = b.script.alive.filter(isOwned);
      for (const instance of [...owned, ...b.script.alive.filter((one) => !isOwned(one))]) {
        if (instance.observed.state.kind !== "starting") continue;
        const { owner } = instance.options;
        const at = clients.findIndex((one) => Object.is(one, owner));
        if (owner === null || fates[at] === true) {
          const started = versions.get(instance) ?? 0;
          if (owner !== null) {
            isUnproven = false;
            known.add(owner);
          } else if (started > servedVersion) {
            servedVersion = started;
            forgive();
          }
          instance.becomeReady("one");
        } else {
          if (!known.has(owner)) failedAtMs = Math.max(failedAtMs, b.clock.monotonicMs());
          instance.endWith("another copy is running");
        }
      }
    }
  };
  const answers: Promise<Reply>[] = [];
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 1_000) {
      await b.clock.advance(Math.min(1_000, left));
      await live();
      for (const instance of b.script.alive) instance.answer();
    }
  };
  const leave = (at: number): void => {
    const gone = clients[at] ?? assert.fail();
    gone.end();
    b.pool.forget(gone);
    clients[at] = createClient("new");
  };
  await live();
  for (const one of all) {
    if (one.do === "call") answers.push(b.pool.call("a", callOf(clients[one.client] ?? null)));
    else if (one.do === "advance") await advance(one.ms);
    else if (one.do === "fate") fates[one.client] = one.works;
    else if (one.do === "allFail") fates.fill(false);
    else if (one.do === "leave") leave(one.client);
    else if (one.do === "crash") {
      const instance = b.script.alive[one.nth];
      if (instance?.observed.state.kind === "ready") instance.endWith("it crashed");
    } else if (one.do === "data") {
      isThere = one.is === "there";
      if (one.is === "moving") mounts++;
      if (isThere && mounts !== mountsSeen) change();
      if (isThere) mountsSeen = mounts;
      await (isThere ? b.come(String(mounts)) : one.is === "away" ? b.leave() : b.move("taken"));
    } else if (one.do === "restart") {
      change();
      b.pool.restart("a");
    } else if (one.command !== command) {
      change();
      command = one.command;
      b.apply({ ...config, connection: backendConfig("a", one).connection });
    }
    await live();
  }
  fates.fill(true);
  isThere = true;
  await b.come(String(mounts));
  await advance(61_000);
  for (const one of clients) answers.push(b.pool.call("a", callOf(one)));
  await live();
  for (const instance of b.script.alive) instance.answer();
  const replies = await Promise.all(answers);
  assert.ok(
    replies.slice(-CLIENTS).every((reply) => !isError(reply)),
    "each client is served in the end",
  );
  b.is({ phase: "Ready", codes: [], instances: CLIENTS + 1 });
  for (let at = 0; at < CLIENTS; at++) leave(at);
  await settle();
  b.is({ instances: 1 });
  await b.pool[Symbol.asyncDispose]();
  assert.equal(b.clock.pendingTimers, 0);
}

it("B7 whichever clients' instances start: one start per wait, none without its share, and in the end each is served", async () => {
  await fc.assert(fc.asyncProperty(fc.array(event, { maxLength: 30, size: "max" }), play), {
    numRuns: runsOf(80),
  });
});
