// What sessions from before a restart are told of lists, and what waits for backends that still start.
import assert from "node:assert/strict";
import { getActiveResourcesInfo } from "node:process";
import { test } from "node:test";
import { ANONYMOUS } from "../../../src/gateway/client-handle.ts";
import type { SessionPort } from "../../../src/gateway/frontend/session/front-contract.ts";
import type { RpcRequest } from "../../../src/gateway/json-rpc.ts";
import { type ListKind, MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { drainGateway } from "../../../src/gateway/serving/drain-gateway.ts";
import { FirstImport } from "../../../src/gateway/serving/imported-backends.ts";
import { rehearse } from "../../../src/gateway/serving/rehearsal.ts";
import { ResumedSessions, SessionRoster } from "../../../src/gateway/serving/session-roster.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { away, source } from "../catalog/sources.ts";
import { client, recordingServices, servingSet } from "../middleware/requests.ts";

const serving = (...tools: string[]) => servingSet([source("a", { tools })], recordingServices());
const EMPTY = servingSet([], recordingServices());
const listsOf = (served: typeof EMPTY) => ({ ...served.viewFor(ANONYMOUS).digests });

function sessionOf(): SessionPort & { readonly changes: ListKind[] } {
  const changes: ListKind[] = [];
  return {
    ...client(ANONYMOUS),
    changes,
    admit() {},
    withdraw() {},
    listChanged: (kind) => void changes.push(kind),
    setLogLevel() {},
  };
}

function call(name: string): RpcRequest {
  return { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name } };
}

const LIST: RpcRequest = { jsonrpc: "2.0", id: 2, method: "tools/list" };

function startGateway(coming: readonly string[] = []) {
  const isComing = new Set(coming);
  const arrived = Promise.withResolvers<void>();
  const clock = createManualClock();
  const roster = new SessionRoster();
  const settled = Promise.withResolvers<void>();
  let served = EMPTY;
  let due: Promise<void> | null = null;
  const resumed = new ResumedSessions({
    roster,
    served: () => served,
    clock,
    whenStarted: (signal) => {
      signal.addEventListener("abort", () => settled.resolve());
      return settled.promise;
    },
    isComing: (backend) => isComing.has(backend),
    firstList: () => arrived.promise,
    readDueLists: () => due,
  });
  return {
    clock,
    roster,
    resumed,
    async serves(next: typeof EMPTY) {
      served = next;
      roster.notifyChanges(next);
      resumed.startReady();
      await clock.advance(0);
    },
    /** Lists that have changed are read until this settles. */
    reads(lists: Promise<void>) {
      due = lists;
    },
    /** The first lists of those that were coming are there, or will not be. */
    async arrives() {
      isComing.clear();
      arrived.resolve();
      await clock.advance(0);
    },
    async settles() {
      settled.resolve();
      await clock.advance(0);
    },
  };
}

/** Whether it has come by now. */
function watched(comes: Promise<void> | null) {
  let isThere = comes === null;
  void comes?.then(() => {
    isThere = true;
  });
  return () => isThere;
}

test("B11 sessions from before a restart get no list notices while backends start, and none for a list that is unchanged afterwards", async () => {
  const { roster, resumed, serves, settles } = startGateway();
  resumed.begin();
  const session = sessionOf();
  resumed.resume(session, listsOf(serving("one", "two")));
  await serves(serving("one"));
  await serves(serving("one", "two"));
  await settles();
  assert.deepEqual(session.changes, []);
  await serves(serving("one"));
  assert.deepEqual(session.changes, ["tools"]);
  assert.deepEqual(roster.knownLists(session), listsOf(serving("one")));
});

test("B11 sessions from before a restart are notified once of each list that differs from the one they knew", async () => {
  const { resumed, serves, settles } = startGateway();
  resumed.begin();
  const session = sessionOf();
  resumed.resume(session, { ...listsOf(serving("one")), prompts: "" });
  await serves(serving("one", "new"));
  assert.deepEqual(session.changes, []);
  await settles();
  assert.deepEqual(session.changes, ["tools", "prompts"]);
});

test("B11 a client that returns after all has started is notified at once", async () => {
  const { resumed, serves, settles } = startGateway();
  resumed.begin();
  await serves(serving("one"));
  await settles();
  const [same, other] = [sessionOf(), sessionOf()];
  resumed.resume(same, listsOf(serving("one")));
  resumed.resume(other, listsOf(serving("two")));
  assert.deepEqual([same.changes, other.changes], [[], ["tools"]]);
  assert.equal(resumed.awaited(other, call("two")), null);
});

test("B7 a call of an unknown name waits for lists that have changed, and no other call does", async () => {
  const { clock, resumed, serves, settles, reads } = startGateway();
  resumed.begin();
  await settles();
  await serves(serving("one"));
  const session = sessionOf();
  assert.equal(resumed.awaited(session, call("two")), null, "nothing is known to have changed");
  const { promise, resolve } = Promise.withResolvers<void>();
  reads(promise);
  assert.equal(resumed.awaited(session, call("one")), null);
  const two = watched(resumed.awaited(session, call("two")));
  await clock.advance(0);
  assert.equal(two(), false);
  resolve();
  await clock.advance(0);
  assert.equal(two(), true);
});

test("B11 a client without a session may be a returning one: it waits like one", async () => {
  const { resumed, serves, settles } = startGateway();
  resumed.begin();
  const session: SessionPort = { ...sessionOf(), protocolVersion: MODERN_VERSION };
  const [one, list] = [call("one"), LIST].map((request) => watched(resumed.awaited(session, request)));
  await serves(serving("one"));
  assert.deepEqual([one?.(), list?.()], [true, false]);
  await settles();
  assert.equal(list?.(), true);
  assert.equal(resumed.awaited(session, LIST), null);
});

test("B11 their calls wait until the tool exists, and no longer; lists wait for all backends", async () => {
  const { resumed, serves, settles } = startGateway();
  resumed.begin();
  const session = sessionOf();
  resumed.resume(session, listsOf(serving("one", "two")));
  const [one, two, list] = [call("one"), call("two"), LIST].map((request) =>
    watched(resumed.awaited(session, request)),
  );
  assert.equal(resumed.awaited(session, { method: "logging/setLevel" }), null);
  assert.equal(resumed.awaited(sessionOf(), call("one")), null, "a new client's call does not");
  await serves(serving("one"));
  assert.deepEqual([one?.(), two?.(), list?.()], [true, false, false]);
  assert.equal(resumed.awaited(session, call("one")), null);
  await settles();
  assert.deepEqual([one?.(), two?.(), list?.()], [true, true, true]);
});

test("B11 a tool that a starting backend is remembered to have is waited for, by new sessions and beyond the first lists", async () => {
  const { resumed, serves, settles, arrives } = startGateway(["a"]);
  resumed.begin();
  const [blocking, fresh] = [sessionOf(), sessionOf()];
  const remembering = servingSet([away("a", { tools: ["one"] })], recordingServices());
  await serves(remembering);
  resumed.resume(blocking, listsOf(serving("one")));
  const [old, young, other] = [
    watched(resumed.awaited(blocking, call("one"))),
    watched(resumed.awaited(fresh, call("one"))),
    resumed.awaited(fresh, call("none")),
  ];
  assert.equal(other, null, "nobody is known to have it");
  await settles();
  assert.deepEqual([old(), young()], [false, false]);
  await serves(serving("one"));
  await arrives();
  assert.deepEqual([old(), young(), resumed.awaited(fresh, call("one"))], [true, true, null]);
});

test("B11 an entry that is away, and belongs to no starting backend, is not waited for", async () => {
  const { resumed, serves } = startGateway();
  resumed.begin();
  const blocking = sessionOf();
  resumed.resume(blocking, listsOf(serving("one")));
  await serves(servingSet([away("a", { tools: ["one"] })], recordingServices()));
  assert.deepEqual(
    [resumed.awaited(blocking, call("one")), resumed.awaited(sessionOf(), call("one"))],
    [null, null],
  );
});

test("B11 nothing waits longer than 5 s for a backend, nor at all when the gateway ends", async () => {
  const slow = startGateway();
  slow.resumed.begin();
  const session = sessionOf();
  slow.resumed.resume(session, listsOf(serving("one")));
  const called = watched(slow.resumed.awaited(session, call("one")));
  await slow.clock.advance(4_999);
  assert.equal(called(), false);
  await slow.clock.advance(1);
  assert.equal(called(), true);
  assert.deepEqual([session.changes, slow.clock.pendingTimers], [["tools"], 0]);

  const ending = startGateway();
  ending.resumed.begin();
  ending.resumed.resume(session, listsOf(serving("one")));
  const waiting = watched(ending.resumed.awaited(session, call("one")));
  ending.resumed[Symbol.dispose]();
  await ending.clock.advance(0);
  assert.deepEqual([waiting(), ending.clock.pendingTimers], [true, 0]);
});

const BORROWED = [{ machine: "desktop", backend: "files", instance: "1" }];

function stage(importsBackends: boolean) {
  const clock = createManualClock();
  const first = new FirstImport();
  const ending = new AbortController();
  let isOver = false;
  const pool = { whenStarted: async (): Promise<void> => {} };
  void first.whenStarted(pool, { config: { importsBackends } }, clock, ending.signal).then(() => {
    isOver = true;
  });
  return { clock, first, ending, isOver: () => settle().then(() => isOver) };
}

test("G1 after a start, a client that knew tools of other machines is answered when these have reported, or soon", async () => {
  const there = stage(true);
  assert.equal(await there.isOver(), false);
  there.first.record([]);
  await there.clock.advance(300);
  assert.equal(await there.isOver(), false);
  there.first.record(BORROWED);
  await settle();
  await there.clock.advance(400);
  assert.equal(await there.isOver(), true);

  const away = stage(true);
  await settle();
  await away.clock.advance(2_000);
  assert.equal(await away.isOver(), true);

  const ended = stage(true);
  await settle();
  ended.ending.abort();
  assert.equal(await ended.isOver(), true);

  assert.equal(await stage(false).isOver(), true);
});

// Who goes over to the next gateway, and when.

function leaving(clients: number, { runsOnce = false, graceMs = 30_000 } = {}) {
  const clock = createManualClock();
  const moved: number[] = [];
  /** How many clients had been told when streams that listen ended, and what the listener was asked. */
  const listenedUntil: number[] = [];
  const left: boolean[] = [];
  const lines = new Set<{ closed: Promise<void>; moveOn(): void }>();
  const gone: (() => void)[] = [];
  for (let index = 0; index < clients; index++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const client = { closed: promise, moveOn: () => void moved.push(index) };
    lines.add(client);
    gone.push(() => {
      lines.delete(client);
      resolve();
    });
  }
  const parts = {
    clock,
    http: {
      leave() {},
      leaveStreams() {},
      streamsDrained: async () => {},
      forwardedAnswered: async () => {},
    },
    lines,
    modern: { endListening: () => void listenedUntil.push(moved.length) },
    suspended: { none: async () => {} },
    listener: {
      async leave(_graceMs: number, _pass: unknown, allAtOnce: boolean) {
        left.push(allAtOnce);
      },
      closeIdle() {},
    },
    pool: { runsOnce, endRunOnce: async () => {} },
  };
  let ended = false;
  const onEnded = async (): Promise<void> => {
    ended = true;
  };
  const over = drainGateway(parts, graceMs, onEnded, null);
  return { clock, moved, listenedUntil, left, gone, over, hasEnded: () => ended };
}

test("B11 clients over lines move one after the other, so that none waits for the others' change-over", async () => {
  const { clock, moved, listenedUntil, left, gone, over, hasEnded } = leaving(3);
  await settle();
  assert.deepEqual(moved, [0]);
  await clock.advance(100);
  assert.deepEqual(moved, [0, 1]);
  await clock.advance(100);
  assert.deepEqual(moved, [0, 1, 2]);
  for (const go of gone) go();
  await clock.advance(100);
  await over;
  // Whoever is told first goes on listening without its client's noticing.
  assert.deepEqual([listenedUntil, left], [[3], [false]]);
  assert.ok(hasEnded());
});

test("B11 however many they are, all are notified within a second, and one that has gone is not notified", async () => {
  const { clock, moved, gone } = leaving(200);
  await settle();
  gone[199]?.();
  for (let step = 0; step < 200; step++) await clock.advance(5);
  assert.equal(moved.length, 199);
  assert.ok(!moved.includes(199));
});

test("B11 where a server cannot run twice, all move at once: its calls wait for them", async () => {
  const { moved, listenedUntil, left } = leaving(5, { runsOnce: true });
  await settle();
  assert.deepEqual([moved, listenedUntil, left], [[0, 1, 2, 3, 4], [5], [true]]);
});

test("B11 without a grace all move at once, and 2,000 within a second: a timer takes a millisecond at least", async () => {
  const hurried = leaving(5, { graceMs: 0 });
  await settle();
  assert.deepEqual([hurried.moved.length, hurried.listenedUntil, hurried.left], [5, [5], [true]]);
  const { clock, moved, listenedUntil } = leaving(2_000);
  await settle();
  for (let step = 0; step < 100; step++) await clock.advance(10);
  assert.deepEqual([moved.length, listenedUntil], [2_000, [2_000]]);
});

// What a daemon plays to itself before it takes over: all of it is served, and nothing of it is left or seen.

const NEVER = new AbortController().signal;

let played: ReturnType<typeof rehearse> | undefined;
const whole = () => (played ??= rehearse({ clock: createManualClock(), signal: NEVER }));

test("B11 a rehearsal before a daemon takes over is answered whole, over HTTP in both versions and over lines", async () => {
  const { requested, answered } = await whole();
  assert.ok(requested > 100, `${requested} asked`);
  assert.equal(answered, requested);
});

test("B11 a rehearsal before a daemon takes over opens no address, starts no process, and leaves no timer", async () => {
  const clock = createManualClock();
  const before = getActiveResourcesInfo().toSorted();
  const playing = rehearse({ clock, signal: NEVER });
  const seen = new Set<string>();
  for (let look = 0; look < 20; look++) {
    await settle();
    for (const resource of getActiveResourcesInfo()) seen.add(resource);
  }
  await playing;
  assert.deepEqual(
    [...seen].filter((resource) => /TCP|Pipe|Process|FSReq/.test(resource) && !before.includes(resource)),
    [],
  );
  assert.equal(clock.pendingTimers, 0);
});

test("B11 a rehearsal before a daemon takes over fails no takeover: whatever goes wrong, it ends, and reports how much was answered", async () => {
  const broken = {
    ...createManualClock(),
    setTimer(): never {
      throw new Error("no time");
    },
  };
  assert.deepEqual(await rehearse({ clock: broken, signal: NEVER }), { requested: 0, answered: 0 });
});

test("B11 a rehearsal before a daemon takes over ends early when it is asked to, and after a while in any case", async () => {
  const stopped = new AbortController();
  const stopping = rehearse({ clock: systemClock, signal: stopped.signal });
  stopped.abort();
  assert.ok((await stopping).requested < (await whole()).requested);

  const clock = createManualClock();
  const late = rehearse({ clock, signal: NEVER });
  await clock.advance(2_000);
  assert.ok((await late).requested < (await whole()).requested);
});
