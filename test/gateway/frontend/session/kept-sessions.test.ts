// Sessions from before a restart, with a real file between two stores.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { transferredSessions } from "../../../../src/daemon/handover/transferred-sessions.ts";
import { ANONYMOUS, type Principal, principalKey } from "../../../../src/gateway/client-handle.ts";
import { NO_STREAM } from "../../../../src/gateway/frontend/session/client-stream.ts";
import { HandoverPeers } from "../../../../src/gateway/frontend/session/handover-peers.ts";
import { Session } from "../../../../src/gateway/frontend/session/session.ts";
import { type SessionFile, SessionLines } from "../../../../src/gateway/frontend/session/session-file.ts";
import { newSessionId, proofOf } from "../../../../src/gateway/frontend/session/session-record.ts";
import {
  IDLE_LIMIT_MS,
  SESSION_LIMIT,
  SessionStore,
} from "../../../../src/gateway/frontend/session/session-store.ts";
import { sha256Of } from "../../../../src/runtime/files/sha256.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { hashOf, recordOf } from "../../../support/session-records.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";

const START_MS = Date.UTC(2026, 10, 20, 12);
const HOUR_MS = 3_600_000;
const ANN: Principal = { kind: "user", name: "ann", roles: ["dev"] };
const BOB: Principal = { kind: "user", name: "bob", roles: [] };

const CLIENT = {
  protocolVersion: "2025-06-18",
  capabilities: { sampling: {} },
  clientInfo: { name: "editor" },
} as const;

/** Daemons of one home, one after the other; the next one's clock begins where the last one's was, or later. */
async function startHome(t: TestContext) {
  const files: SessionFile[] = [];
  // Before the folder goes: what is still being written is written there.
  t.after(() => Promise.all(files.map((file) => file[Symbol.asyncDispose]())));
  const path = join(await temporaryFolder(t), "sessions.jsonl");
  let wallMs = START_MS;
  return {
    path,
    async daemon(laterMs = 0) {
      const clock = createManualClock(wallMs + laterMs);
      const gateway = createScriptedGateway();
      const file = new SessionLines({ path, clock, logger: noopLogger });
      const store = new SessionStore({ gateway, clock, logger: noopLogger, file });
      await store.restore();
      files.push(file);
      return {
        clock,
        gateway,
        store,
        async begins(id: string, principal: Principal = ANN): Promise<Session> {
          const session = store.open({ id, principal, ...CLIENT });
          gateway.opened(session);
          assert.equal(await store.save(session), "saved", file.unsavedBecause ?? "saved");
          return session;
        },
        /** As by kill -9: what is not written is lost. */
        dies: () => {
          wallMs = clock.wallMs();
        },
        async stops() {
          await store.end(0, "the gateway is stopping");
          await file[Symbol.asyncDispose]();
          wallMs = clock.wallMs();
        },
      };
    },
  };
}

function found(session: Session | "foreign" | null): Session {
  assert.ok(session instanceof Session, String(session));
  return session;
}

/** A stream that keeps what it was told. */
function listensOn(session: Session): readonly string[] {
  const told: string[] = [];
  const stream = {
    congested: null,
    send: (json: string) => told.push(JSON.parse(json).method) > 0,
    end: () => session.streamClosed(stream),
  };
  session.listen(stream);
  return told;
}

/** A daemon's store between the one before it and the next one, and what it said to both. */
async function between(t: TestContext) {
  const path = join(await temporaryFolder(t), "sessions.jsonl");
  const clock = createManualClock(START_MS);
  const toNext: string[] = [];
  const back: string[] = [];
  const forth: string[] = [];
  const file = transferredSessions(new SessionLines({ path, clock, logger: noopLogger }));
  const gateway = createScriptedGateway();
  const neighbours = new HandoverPeers();
  neighbours.previous = { send: ({ hash, text }) => void back.push(`${hash} ${text}`) };
  neighbours.next = { send: ({ hash, text }) => void forth.push(`${hash} ${text}`) };
  const store = new SessionStore({
    gateway,
    clock,
    logger: noopLogger,
    file,
    neighbours,
  });
  await store.restore();
  t.after(() => store.end(0, "over"));
  return {
    store,
    gateway,
    file,
    back,
    forth,
    toNext,
    next: { keep: async () => true, end: (hash: string) => toNext.push(hash) },
  };
}

test("B11 sessions between two daemons: one that its client has ended here is not resumed when the previous daemon hands it over", async (t) => {
  const { store } = await between(t);
  await store.adopt(sha256Of("one"), recordOf(1, { principal: principalKey(ANN) }));
  store.remove(found(store.find("one", ANN)));
  await store.adopt(sha256Of("one"), recordOf(1, { principal: principalKey(ANN) }));
  assert.equal(store.find("one", ANN), null);
});

test("B11 sessions between two daemons: one that is used here is not resumed, and the ended ones are remembered up to the limit of sessions", async (t) => {
  const { store } = await between(t);
  const record = recordOf(1, { principal: principalKey(ANN) });
  await store.adopt(sha256Of("one"), record);
  found(store.find("one", ANN));
  await store.adopt(sha256Of("one"), record);
  assert.equal(store.size, 1);
  for (let each = 0; each <= SESSION_LIMIT; each++) await store.removeOfPeer(hashOf(each));
  for (const each of [0, 1]) await store.adopt(hashOf(each), recordOf(each));
  assert.equal(store.size, 2, "the oldest is forgotten");
});

test("B11 sessions between two daemons: one that its client has ended with the previous daemon also ends with the next one", async (t) => {
  const { store, file, toNext, next } = await between(t);
  await store.adopt(hashOf(1), recordOf(1));
  await store.adopt(sha256Of("used"), recordOf(2, { principal: principalKey(ANN) }));
  const used = found(store.find("used", ANN));
  await file.handTo(next);
  await store.removeOfPeer(hashOf(1));
  await store.removeOfPeer(sha256Of("used"));
  assert.deepEqual(toNext, [hashOf(1), sha256Of("used")]);
  assert.deepEqual([used.ended.aborted, store.find("used", ANN)], [true, null]);
});

test("B11 sessions between two daemons: a client's message about a call in another daemon is forwarded in its direction, even where the session was never here", async (t) => {
  const { store, back, forth } = await between(t);
  await store.adopt(hashOf(1), recordOf(1));
  store.deliver({ hash: hashOf(1), text: "{}" }, "next");
  assert.deepEqual([back, forth], [[`${hashOf(1)} {}`], []]);
  store.deliver({ hash: hashOf(1), text: "{}" }, "previous");
  assert.deepEqual([back.length, forth], [1, [`${hashOf(1)} {}`]]);
});

test("B11 D2 sessions between two daemons: an answer and a cancellation that belong to no call here go both ways from its client, and onward from either side", async (t) => {
  const { store, back, forth } = await between(t);
  const session = store.open({ id: "one", principal: ANN, ...CLIENT });
  const hash = sha256Of("one");
  const answer = JSON.stringify({ jsonrpc: "2.0", id: "q1", result: {} });
  const cancel = JSON.stringify({
    jsonrpc: "2.0",
    method: "notifications/cancelled",
    params: { requestId: 7 },
  });
  session.handle({ kind: "response", id: "q1", reply: { result: {} } });
  store.deliver({ hash, text: cancel }, "previous");
  store.deliver({ hash, text: answer }, "next");
  assert.deepEqual(back, [`${hash} ${answer}`, `${hash} ${answer}`]);
  assert.deepEqual(forth, [`${hash} ${answer}`, `${hash} ${cancel}`]);
  session.completeInvalid({ id: "q2" }, "q2");
  session.handle({
    kind: "notification",
    message: { jsonrpc: "2.0", method: "notifications/roots/list_changed" },
  });
  for (const sent of [back.slice(2), forth.slice(2)]) {
    assert.equal(sent.length, 2);
    assert.match(sent[0] ?? "", /"id":"q2","error":.*not a JSON-RPC response/);
    assert.match(sent[1] ?? "", /roots.list_changed/);
  }
});

test("B11 sessions between two daemons: a message passed on for a session here is not a request", async (t) => {
  const { store, gateway } = await between(t);
  const session = store.open({ id: "one", principal: ANN, ...CLIENT });
  const notified: string[] = [];
  gateway.notified = (_session, method) => void notified.push(method);
  for (const head of [{ id: 1, method: "tools/list" }, { method: "notifications/x" }])
    store.deliver({ hash: sha256Of("one"), text: JSON.stringify({ jsonrpc: "2.0", ...head }) }, "next");
  assert.deepEqual([session.inFlight, notified], [0, ["notifications/x"]]);
});

for (const way of ["dies", "stops"] as const)
  test(`B11 sessions from before a restart continue when the daemon ${way}, with their clients' own statements`, async (t) => {
    const home = await startHome(t);
    const first = await home.daemon();
    await first.begins("one");
    await first[way]();
    const next = await home.daemon();
    assert.deepEqual([next.store.size, next.store.find("another", ANN)], [1, null]);
    const session = found(next.store.find("one", ANN));
    assert.deepEqual(
      [session.protocolVersion, session.capabilities, session.clientInfo, session.principal.roles],
      ["2025-06-18", { sampling: {} }, { name: "editor" }, ["dev"]],
    );
    assert.equal(next.store.find("one", ANN), session);
    assert.deepEqual(next.gateway.resumedWith, [{ tools: "t", resources: "r", prompts: "p" }]);
    assert.equal(next.store.size, 1);
  });

test("B11 sessions from before a restart belong only to their principal, who loses nothing by another's attempt", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  await first.begins("anns");
  await first.begins("nobodys", ANONYMOUS);
  first.dies();
  const { store, gateway } = await home.daemon();
  assert.equal(store.find("anns", BOB), "foreign");
  assert.equal(gateway.sessions.size, 0, "nothing is woken for a stranger");
  assert.equal(found(store.find("anns", ANN)).principal, ANN);
  assert.equal(store.find("anns", BOB), "foreign");
  assert.equal(found(store.find("nobodys", BOB)).principal, BOB, "as without a restart");
});

test("B11 sessions from before a restart: an unowned one is saved under its present owner", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  await first.begins("nobodys", ANONYMOUS);
  found(first.store.find("nobodys", BOB));
  await first.stops();
  const { store } = await home.daemon();
  assert.equal(store.find("nobodys", ANN), "foreign");
});

test("B11 sessions from before a restart: ended and evicted ones do not return", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  first.gateway.sessionsAllowed = () => 2;
  const ended = await first.begins("ended");
  ended.setLogLevel("warning");
  const params = { uri: "file:///a" };
  ended.serve({ jsonrpc: "2.0", id: 1, method: "resources/subscribe", params }, NO_STREAM);
  ended.end("the client ended the session");
  await first.clock.advance(1_000);
  await first.begins("older");
  await first.clock.advance(1);
  await first.begins("newer");
  assert.equal(first.store.admit(ANN).kind, "room");
  await first.begins("newest");
  await first.stops();
  const { store } = await home.daemon();
  assert.deepEqual([store.find("ended", ANN), store.find("older", ANN), store.size], [null, null, 2]);
  found(store.find("newer", ANN));
  found(store.find("newest", ANN));
});

test("B11 sessions from before a restart end a day after their last use, even while no daemon runs, and not earlier", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  await first.begins("unused");
  await first.begins("used");
  await first.clock.advance(5 * HOUR_MS);
  found(first.store.find("used", ANN));
  await first.clock.advance(HOUR_MS);
  await first.stops();
  const next = await home.daemon(IDLE_LIMIT_MS - 6 * HOUR_MS);
  assert.deepEqual([next.store.size, next.store.find("unused", ANN)], [1, null]);
  await next.clock.advance(5 * HOUR_MS);
  assert.equal(next.store.find("used", ANN), null, "a day after its last use");
  assert.equal(next.store.size, 0);
  await next.stops();
  assert.equal((await home.daemon()).store.size, 0);
});

test("B11 sessions from before a restart: one that its client began with the previous daemon also ends a day later", async (t) => {
  const home = await startHome(t);
  const { store, clock } = await home.daemon();
  assert.equal(await store.adopt(hashOf(1), recordOf(1)), "saved");
  assert.equal(store.size, 1);
  await clock.advance(IDLE_LIMIT_MS + HOUR_MS);
  assert.equal(store.size, 0);
});

test("B11 sessions from before a restart: one that is too old is not resumed between two sweeps", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  const shared = newSessionId("desktop");
  for (const id of ["one", shared]) await first.begins(id);
  await first.stops();
  const { store, clock } = await home.daemon(IDLE_LIMIT_MS - HOUR_MS / 2);
  await clock.advance(HOUR_MS / 2);
  assert.equal(store.size, 2);
  assert.deepEqual([store.find("one", ANN), store.findShared(proofOf(shared), ANN)], [null, null]);
});

test("B11 sessions from before a restart: one whose client listens is in use to the last, even when the daemon dies", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  listensOn(await first.begins("listening"));
  await first.clock.advance(5 * HOUR_MS);
  await eventually(async () => (await readFile(home.path, "utf8")).includes("T17:00:00"));
  first.dies();
  assert.equal((await home.daemon(IDLE_LIMIT_MS - HOUR_MS)).store.size, 1);
});

test("B11 sessions from before a restart: one that ends with its stream is never saved", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  const session = first.store.open({ id: "passing", principal: ANN, isPassing: true, ...CLIENT });
  listensOn(session);
  assert.equal(first.store.save(session), null);
  session.setLogLevel("warning");
  await first.clock.advance(1_000);
  await first.stops();
  assert.equal((await home.daemon()).store.size, 0);
});

test("B11 sessions from before a restart: a wall clock that was set back makes none of them last longer than a day from now", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  await first.begins("one");
  await first.stops();
  const next = await home.daemon(-100 * HOUR_MS);
  await next.clock.advance(IDLE_LIMIT_MS - 1);
  assert.equal(next.store.size, 1);
  await next.clock.advance(HOUR_MS);
  assert.equal(next.store.size, 0);
});

test("E4 B11 sessions from before a restart count towards the limits before their clients return, and are evicted for newer ones", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  for (const id of ["a", "b", "c"]) {
    await first.begins(id);
    await first.clock.advance(1);
  }
  await first.begins("bobs", BOB);
  await first.stops();
  const next = await home.daemon(1);
  next.gateway.sessionsAllowed = () => 3;
  assert.equal(next.store.admit(BOB).kind, "room");
  assert.equal(next.store.size, 4, "bob has one, and keeps it");
  assert.equal(next.store.admit(ANN).kind, "room");
  assert.deepEqual([next.store.find("a", ANN), next.store.size], [null, 3]);
  const listening = found(next.store.find("b", ANN));
  listensOn(listening);
  next.gateway.sessionsAllowed = () => 1;
  assert.deepEqual(next.store.admit(ANN), { kind: "too_many", allowed: 1 });
  assert.deepEqual([next.store.find("c", ANN), listening.ended.aborted], [null, false]);
  found(next.store.find("bobs", BOB));
});

test("B11 sessions from before a restart keep their client's lasting requests: its log level and its subscriptions, of which it learns once that they may have changed", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  const session = await first.begins("one");
  const stream = { congested: null, send: () => true, answer() {} };
  const ask = (method: string, uri: string) =>
    session.serve({ jsonrpc: "2.0", id: `${method} ${uri}`, method, params: { uri } }, stream);
  session.setLogLevel("warning");
  for (const uri of ["file:///a", "file:///b", `file:///${"x".repeat(2_000)}`])
    ask("resources/subscribe", uri);
  ask("resources/read", "file:///c");
  await eventually(() => session.inFlight === 0);
  ask("resources/unsubscribe", "file:///a");
  await eventually(() => session.inFlight === 0);
  await first.clock.advance(1_000);
  await first.stops();

  const next = await home.daemon();
  const again = found(next.store.find("one", ANN));
  assert.equal(again.logLevel, "warning");
  await eventually(() => again.inFlight === 0);
  assert.deepEqual(
    next.gateway.requests.map(({ method, params }) => [method, params?.["uri"]]),
    [["resources/subscribe", "file:///b"]],
  );
  assert.deepEqual(again.subscriptions, ["file:///b"]);
  assert.deepEqual(listensOn(again), ["notifications/resources/updated"]);
  assert.deepEqual(listensOn(again), []);
  again.subscribeAgain(["file:///b"]);
  await eventually(() => again.inFlight === 0);
  const unsubscribe = { method: "resources/unsubscribe", params: { uri: "file:///b" } };
  again.serve({ jsonrpc: "2.0", id: 9, ...unsubscribe }, stream);
  await eventually(() => again.inFlight === 0);
  assert.deepEqual(listensOn(again), [], "it has ended the subscription");
});

test("B11 sessions from before a restart: a list counts as known once its client was notified, and not while the notice is due", async (t) => {
  const home = await startHome(t);
  const first = await home.daemon();
  const session = await first.begins("one");
  session.listChanged("tools");
  first.gateway.lists = { tools: "t2", resources: "r2", prompts: "p" };
  await first.clock.advance(1_000);
  await first.stops();

  const next = await home.daemon();
  const again = found(next.store.find("one", ANN));
  assert.deepEqual(next.gateway.resumedWith, [{ tools: "", resources: "r2", prompts: "p" }]);
  again.listChanged("tools");
  assert.deepEqual(listensOn(again), ["notifications/tools/list_changed"]);
  await next.clock.advance(1_000);
  await next.stops();
  const last = await home.daemon();
  found(last.store.find("one", ANN));
  assert.deepEqual(last.gateway.resumedWith, [next.gateway.lists]);
});
