// What sessions from before a restart are told of lists, and what waits for backends that still start.
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameKey } from "../../../src/gateway/catalog/names.ts";
import { ANONYMOUS } from "../../../src/gateway/client-handle.ts";
import type { SessionPort } from "../../../src/gateway/frontend/session/front-contract.ts";
import type { RpcRequest } from "../../../src/gateway/json-rpc.ts";
import { type ListKind, MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { drainGateway } from "../../../src/gateway/serving/drain-gateway.ts";
import { FirstImport } from "../../../src/gateway/serving/imported-backends.ts";
import { dueLists } from "../../../src/gateway/serving/list-reads.ts";
import { ContinuedSessions, SessionRoster } from "../../../src/gateway/serving/session-roster.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { backendConfig, listingsOf } from "../backends/pool/scripted-instance.ts";
import { away, source } from "../catalog/sources.ts";
import { client, policy, recordingServices, servingSet } from "../middleware/requests.ts";
import { scriptedGateway } from "./gateway-rig.ts";

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
    endForbidden: () => [],
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
  const continued = new ContinuedSessions({
    roster,
    served: () => served,
    clock,
    random: () => 0.5,
    whenStarted: (signal) => {
      signal.addEventListener("abort", () => settled.resolve());
      return settled.promise;
    },
    isComing: (backend) => isComing.has(backend),
    firstList: () => arrived.promise,
    dueLists: () => null,
  });
  return {
    clock,
    roster,
    continued,
    async serves(next: typeof EMPTY) {
      served = next;
      roster.notifyChanges(next);
      continued.startReady();
      await clock.advance(0);
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
  const { roster, continued, serves, settles } = startGateway();
  continued.begin();
  const session = sessionOf();
  continued.add(session, listsOf(serving("one", "two")));
  await serves(serving("one"));
  await serves(serving("one", "two"));
  await settles();
  assert.deepEqual(session.changes, []);
  await serves(serving("one"));
  assert.deepEqual(session.changes, ["tools"]);
  assert.deepEqual(roster.knownLists(session), listsOf(serving("one")));
});

test("B11 sessions from before a restart are notified once of each list that differs from the one they knew", async () => {
  const { continued, serves, settles } = startGateway();
  continued.begin();
  const session = sessionOf();
  continued.add(session, { ...listsOf(serving("one")), prompts: "" });
  await serves(serving("one", "new"));
  assert.deepEqual(session.changes, []);
  await settles();
  assert.deepEqual(session.changes, ["tools", "prompts"]);
});

test("B11 a client that returns after all has started is notified at once", async () => {
  const { continued, serves, settles } = startGateway();
  continued.begin();
  await serves(serving("one"));
  await settles();
  const [same, other] = [sessionOf(), sessionOf()];
  continued.add(same, listsOf(serving("one")));
  continued.add(other, listsOf(serving("two")));
  assert.deepEqual([same.changes, other.changes], [[], ["tools"]]);
  assert.equal(continued.awaited(other, call("two")), null);
});

test("B11 a client whose known lists are unknown is notified of all lists once, some seconds after its first request", async () => {
  const { clock, roster, continued, serves, settles } = startGateway();
  continued.begin();
  await serves(serving("one"));
  await settles();
  const [stays, leaves] = [sessionOf(), sessionOf()];
  for (const session of [stays, leaves]) continued.add(session, null);
  await clock.advance(4_900);
  assert.deepEqual(stays.changes, []);
  roster.remove(leaves);
  continued.remove(leaves);
  await clock.advance(100);
  assert.deepEqual([stays.changes, leaves.changes], [["tools", "resources", "prompts"], []]);
  await serves(serving("one", "two"));
  assert.deepEqual(stays.changes.slice(3), ["tools"]);
  continued.add(sessionOf(), null);
  continued[Symbol.dispose]();
  assert.equal(clock.pendingTimers, 0);
});

test("B11 a client without a session may be a returning one: it waits like one", async () => {
  const { continued, serves, settles } = startGateway();
  continued.begin();
  const session: SessionPort = { ...sessionOf(), protocolVersion: MODERN_VERSION };
  const [one, list] = [call("one"), LIST].map((request) => watched(continued.awaited(session, request)));
  await serves(serving("one"));
  assert.deepEqual([one?.(), list?.()], [true, false]);
  await settles();
  assert.equal(list?.(), true);
  assert.equal(continued.awaited(session, LIST), null);
});

test("B11 their calls wait until the tool exists, and no longer; lists wait for all backends", async () => {
  const { continued, serves, settles } = startGateway();
  continued.begin();
  const session = sessionOf();
  continued.add(session, listsOf(serving("one", "two")));
  const [one, two, list] = [call("one"), call("two"), LIST].map((request) =>
    watched(continued.awaited(session, request)),
  );
  assert.equal(continued.awaited(session, { method: "logging/setLevel" }), null);
  assert.equal(continued.awaited(sessionOf(), call("one")), null, "a new client's call does not");
  await serves(serving("one"));
  assert.deepEqual([one?.(), two?.(), list?.()], [true, false, false]);
  assert.equal(continued.awaited(session, call("one")), null);
  await settles();
  assert.deepEqual([one?.(), two?.(), list?.()], [true, true, true]);
});

test("B11 a tool that a starting backend is remembered to have is waited for, by new sessions and beyond the first lists", async () => {
  const { continued, serves, settles, arrives } = startGateway(["a"]);
  continued.begin();
  const [blocking, fresh] = [sessionOf(), sessionOf()];
  const remembering = servingSet([away("a", { tools: ["one"] })], recordingServices());
  await serves(remembering);
  continued.add(blocking, listsOf(serving("one")));
  const [old, young, other] = [
    watched(continued.awaited(blocking, call("one"))),
    watched(continued.awaited(fresh, call("one"))),
    continued.awaited(fresh, call("none")),
  ];
  assert.equal(other, null, "nobody is known to have it");
  await settles();
  assert.deepEqual([old(), young()], [false, false]);
  await serves(serving("one"));
  await arrives();
  assert.deepEqual([old(), young(), continued.awaited(fresh, call("one"))], [true, true, null]);
});

test("B11 an entry that is away, and belongs to no starting backend, is not waited for", async () => {
  const { continued, serves } = startGateway();
  continued.begin();
  const blocking = sessionOf();
  continued.add(blocking, listsOf(serving("one")));
  await serves(servingSet([away("a", { tools: ["one"] })], recordingServices()));
  assert.deepEqual(
    [continued.awaited(blocking, call("one")), continued.awaited(sessionOf(), call("one"))],
    [null, null],
  );
});

test("B11 nothing waits longer than 5 s for a backend, nor at all when the gateway ends", async () => {
  const slow = startGateway();
  slow.continued.begin();
  const session = sessionOf();
  slow.continued.add(session, listsOf(serving("one")));
  const called = watched(slow.continued.awaited(session, call("one")));
  await slow.clock.advance(4_999);
  assert.equal(called(), false);
  await slow.clock.advance(1);
  assert.equal(called(), true);
  assert.deepEqual([session.changes, slow.clock.pendingTimers], [["tools"], 0]);

  const ending = startGateway();
  ending.continued.begin();
  ending.continued.add(session, listsOf(serving("one")));
  const waiting = watched(ending.continued.awaited(session, call("one")));
  ending.continued[Symbol.dispose]();
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
  /** How many clients had been told when streams that listen ended. */
  const listenedUntil: number[] = [];
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
    http: { leave() {} },
    lines,
    modern: { endListening: () => void listenedUntil.push(moved.length) },
    suspended: { none: async () => {} },
    listener: { async leave() {}, closeIdle() {} },
    pool: { runsOnce, endRunOnce: async () => {} },
  };
  let ended = false;
  const onEnded = async (): Promise<void> => {
    ended = true;
  };
  const over = drainGateway(parts, graceMs, onEnded);
  return { clock, moved, listenedUntil, gone, over, hasEnded: () => ended };
}

test("B11 clients over lines move one after the other, so that none waits for the others' change-over", async () => {
  const { clock, moved, listenedUntil, gone, over, hasEnded } = leaving(3);
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
  assert.deepEqual(listenedUntil, [3]);
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
  const { moved, listenedUntil } = leaving(5, { runsOnce: true });
  await settle();
  assert.deepEqual([moved, listenedUntil], [[0, 1, 2, 3, 4], [5]]);
});

test("B11 without a grace all move at once, and 2,000 within a second: a timer takes a millisecond at least", async () => {
  const hurried = leaving(5, { graceMs: 0 });
  await settle();
  assert.deepEqual([hurried.moved.length, hurried.listenedUntil], [5, [5]]);
  const { clock, moved, listenedUntil } = leaving(2_000);
  await settle();
  for (let step = 0; step < 100; step++) await clock.advance(10);
  assert.deepEqual([moved.length, listenedUntil], [2_000, [2_000]]);
});

const BACKENDS = ["a", "a_b", "c", "d@m", "e@m"];
const MOVED = { kind: "tool", backend: "c", plainName: "moved" } as const;

/** What is asked of each backend: `list`, `name`, `notice` or, if it is not asked, `-`. Null: nothing is read. */
function asked(
  method: string,
  params: object,
  { finds = false, denied = ["nobody"] }: { finds?: boolean; denied?: readonly string[] } = {},
): string | null {
  const set = servingSet(
    BACKENDS.map((name) => source(name, { tools: [`of_${name}`] })),
    recordingServices(),
    { authorization: { defaultEffect: "allow", policies: [policy("deny", { backends: denied })] } },
  );
  let found: string | null = null;
  const pool = {
    async readDueLists(kinds: readonly string[], purposeOf: (backend: string) => string | null = () => "") {
      found = [kinds, ...BACKENDS.map((name) => purposeOf(name) ?? "-")].join(" ");
    },
  };
  const served = { ...set, introduction: finds ? "find" : null };
  const names = new Map([[nameKey("tool", "moved"), MOVED]]);
  const parts = { pool, served, names, backends: BACKENDS };
  void dueLists(parts, client(), { method, params: { ...params } });
  return found;
}

test("D5 a list request reads its lists, and a name that no list has those that may have it", () => {
  for (const [method, params, expected, how] of [
    ["tools/list", {}, "tools list list list list list"],
    ["resources/templates/list", {}, "resources list list list list list"],
    ["tools/call", { name: "find_tool" }, "tools list list list list list", { finds: true }],
    ["tools/call", { name: "call_tool" }, null, { finds: true }],
    ["tools/call", { name: "run_script" }, null, { finds: true }],
    ["tools/call", { name: "of_c" }, null],
    ["tools/call", { name: "new" }, "tools name name name name name"],
    ["tools/call", { name: "moved" }, "tools notice notice name notice notice"],
    ["tools/call", { name: "a_new" }, "tools name notice notice notice notice"],
    ["prompts/get", { name: "a_b_new" }, "prompts notice name notice notice notice"],
    ["tools/call", { name: "m_new" }, "tools notice notice notice name name"],
    ["resources/read", { uri: "a_new://x" }, "resources name name name name name"],
    ["completion/complete", { ref: { type: "ref/prompt", name: "new" } }, "prompts name name name name name"],
    ["tools/call", { name: "moved" }, "tools name name - name name", { denied: ["c"] }],
    ["tools/call", { name: "x".repeat(10_000) }, null],
    ["ping", {}, null],
  ] as const)
    assert.equal(asked(method, params, how), expected, JSON.stringify([method, params]));
});

test("E6 a call that waited for the list with its tool has the arguments that are set", async (t) => {
  const b = scriptedGateway(t);
  const set = { name: null, description: null, arguments: { repo: "acme/site" } };
  await b.start(backendConfig("a", { toolOverrides: { new: set } }));
  await b.ready("old");
  const { last } = b.script;
  const read = Promise.withResolvers<void>();
  last.reading = read.promise;
  void b.ask("tools/call", { name: "new" });
  const inputSchema = { type: "object", properties: { repo: { type: "string" } } };
  last.listings = { ...listingsOf(), tools: [{ name: "new", inputSchema }] };
  last.options.onListings();
  await settle();
  read.resolve();
  await settle();
  assert.deepEqual(last.calls[0]?.params, { name: "new", arguments: { repo: "acme/site" } });
});
