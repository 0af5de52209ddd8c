// What sessions of before a restart are told of lists, and what waits for backends that still start.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { ANONYMOUS } from "../../../src/gateway/client-port.ts";
import type { SessionPort } from "../../../src/gateway/front/session/front-contract.ts";
import type { RpcRequest } from "../../../src/gateway/json-rpc.ts";
import { type ListKind, MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { ResumedSessions, SessionRoster } from "../../../src/gateway/serving/session-roster.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
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

const awayCatalog = (backend: string, tool: string) =>
  buildCatalog([source(backend, { tools: [tool] })], FIRST_WINS);

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
  const resumed = new ResumedSessions({
    roster,
    served: () => served,
    clock,
    settled: (signal) => {
      signal.addEventListener("abort", () => settled.resolve());
      return settled.promise;
    },
    isComing: (backend) => isComing.has(backend),
    firstList: () => arrived.promise,
  });
  return {
    clock,
    roster,
    resumed,
    async serves(next: typeof EMPTY) {
      served = next;
      roster.notifyChanges(next);
      resumed.look();
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

describe("what sessions of before a restart are told", () => {
  it("B11 are told of no list while backends start, and of none that came back as it was", async () => {
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
    assert.deepEqual(roster.seen(session), listsOf(serving("one")));
  });

  it("B11 are told once of each list that is another one than they knew", async () => {
    const { resumed, serves, settles } = startGateway();
    resumed.begin();
    const session = sessionOf();
    resumed.resume(session, { ...listsOf(serving("one")), prompts: "" });
    await serves(serving("one", "new"));
    assert.deepEqual(session.changes, []);
    await settles();
    assert.deepEqual(session.changes, ["tools", "prompts"]);
  });

  it("B11 who comes back when all has started is told at once", async () => {
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

  it("B11 a client without a session may have been here before: it waits like one that was", async () => {
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

  it("B11 their calls wait until the tool is there, and no longer; lists wait for all backends", async () => {
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

  it("B11 a tool that a starting backend is remembered to have is waited for, by new sessions and beyond the first lists", async () => {
    const { resumed, serves, settles, arrives } = startGateway(["a"]);
    resumed.begin();
    const [held, fresh] = [sessionOf(), sessionOf()];
    const remembering = servingSet([], recordingServices(), { away: awayCatalog("a", "one") });
    await serves(remembering);
    resumed.resume(held, listsOf(serving("one")));
    const [old, young, other] = [
      watched(resumed.awaited(held, call("one"))),
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

  it("B11 what is away, and of no backend that starts, is waited for by nobody", async () => {
    const { resumed, serves } = startGateway();
    resumed.begin();
    const held = sessionOf();
    resumed.resume(held, listsOf(serving("one")));
    await serves(servingSet([], recordingServices(), { away: awayCatalog("a", "one") }));
    assert.deepEqual(
      [resumed.awaited(held, call("one")), resumed.awaited(sessionOf(), call("one"))],
      [null, null],
    );
  });

  it("B11 nothing waits longer than 5 s for a backend, nor at all when the gateway ends", async () => {
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
});
