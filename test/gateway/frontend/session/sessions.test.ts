// Sessions, and those that go on at another daemon: from their ids, and with what one daemon tells the other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ANONYMOUS, type Principal } from "../../../../src/gateway/client-handle.ts";
import { NO_STREAM } from "../../../../src/gateway/frontend/session/client-stream.ts";
import {
  type OtherDaemon,
  OtherDaemons,
  type StrayMessage,
} from "../../../../src/gateway/frontend/session/other-daemons.ts";
import { PacedWriter } from "../../../../src/gateway/frontend/session/paced-writer.ts";
import { openSession, sealSession } from "../../../../src/gateway/frontend/session/sealed-session.ts";
import { Session } from "../../../../src/gateway/frontend/session/session.ts";
import type {
  HandedSessions,
  SessionChange,
} from "../../../../src/gateway/frontend/session/session-memory.ts";
import {
  IDLE_LIMIT_MS,
  SESSION_LIMIT,
  type SessionStore,
} from "../../../../src/gateway/frontend/session/session-store.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { createBlockingTool, createScriptedGateway } from "../scripted-gateway.ts";
import { begin, CLIENT, keysOf, openStore } from "./store-rig.ts";

const user = (name: string): Principal => ({ kind: "user", name, roles: [] });

/** Which of the sessions are in memory. */
const inMemory = (sessions: readonly Session[]): readonly boolean[] =>
  sessions.map(({ ended }) => !ended.aborted);

test("a session that is idle for a day leaves memory, and time is only kept while there are sessions", async () => {
  const clock = createManualClock();
  const store = openStore({ clock });
  const sessions = [begin(store), begin(store, { listens: true })];
  await clock.advance(IDLE_LIMIT_MS + 3_600_000);
  assert.deepEqual(inMemory(sessions), [false, true]);
  assert.equal(clock.pendingTimers, 1);
  sessions[1]?.end("over");
  assert.deepEqual([store.size, clock.pendingTimers], [0, 0]);
});

test("E4 a principal at its limit loses its idle sessions from memory, and no other principal's", async () => {
  const clock = createManualClock();
  const gateway = createScriptedGateway();
  gateway.sessionsAllowed = () => 3;
  const store = openStore({ clock, gateway });
  const ann = begin(store, { principal: user("ann") });
  const bobs: Session[] = [];
  for (let count = 0; count < 5; count++) {
    await clock.advance(1);
    bobs.push(begin(store, { principal: user("bob") }));
  }
  assert.deepEqual(inMemory([ann, ...bobs]), [true, false, false, true, true, true]);
  // Lowered while they are there: so many leave as have to.
  gateway.sessionsAllowed = () => 1;
  bobs.push(begin(store, { principal: user("bob"), listens: true }));
  assert.deepEqual(inMemory(bobs), [false, false, false, false, false, true]);
  assert.deepEqual(store.open({ ...CLIENT, principal: user("bob") }), { kind: "too_many", allowed: 1 });
  assert.deepEqual(store.find(bobs[0]?.sessionId ?? "", user("bob")), { kind: "too_many", allowed: 1 });
  await store.end(0, "over");
});

test("E4 full memory takes from the principal with the most, and never from one with fewer", async () => {
  const store = openStore();
  const ann = begin(store, { principal: user("ann") });
  const carls = Array.from({ length: 10 }, () => begin(store, { principal: user("carl") }));
  const bobs = Array.from({ length: SESSION_LIMIT - 11 }, () => begin(store, { principal: user("bob") }));
  begin(store, { principal: user("ann") });
  assert.ok(inMemory([ann, ...carls]).every(Boolean));
  assert.equal(inMemory(bobs).filter(Boolean).length, bobs.length - 1);
  await store.end(0, "over");

  const full = openStore();
  begin(full, { principal: user("ann") });
  for (let count = 1; count < SESSION_LIMIT; count++) begin(full, { principal: user("bob"), listens: true });
  const refused = { kind: "full", sessions: SESSION_LIMIT };
  assert.deepEqual(full.open({ ...CLIENT, principal: user("bob") }), refused);
  await full.end(0, "over");
});

test("E4 a session that holds something leaves memory last, and its id is unknown from then on", async () => {
  const clock = createManualClock();
  const gateway = createScriptedGateway();
  gateway.sessionsAllowed = () => 5;
  const store = openStore({ clock, gateway });
  const [level, subscribed, process, large, plain] = [
    begin(store),
    begin(store),
    begin(store),
    begin(store, { capabilities: { experimental: { x: "x".repeat(2_000) } } }),
    begin(store),
  ];
  level.setLogLevel("info");
  subscribed.serve(
    { jsonrpc: "2.0", id: 1, method: "resources/subscribe", params: { uri: "a:b" } },
    NO_STREAM,
  );
  gateway.holds.add(process);
  await settle();
  const all = [level, subscribed, process, large, plain];
  const later = Array.from({ length: 5 }, () => begin(store, { listens: true }));
  assert.deepEqual(inMemory([...all, ...later]), [...all.map(() => false), ...later.map(() => true)]);
  for (const session of later) session.end("over");
  const found = all.map(({ sessionId }) => store.find(sessionId, ANONYMOUS));
  assertEach(
    found.slice(0, 4),
    (one) => one,
    Array.from({ length: 4 }, () => ({ kind: "unknown" })),
  );
  assert.equal((found[4] as Session).sessionId, plain.sessionId);
  await store.end(0, "over");
});

test("the store of sessions waits at its end for the last call, not for the first that ends", async () => {
  const blocking = createBlockingTool();
  const gateway = createScriptedGateway({ held: blocking.tool });
  const clock = createManualClock();
  const store = openStore({ gateway, clock });
  const session = begin(store);
  for (const id of [1, 2])
    session.serve({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "held" } }, NO_STREAM);
  let isOver = false;
  const ending = store.end(10_000, "over").then(() => {
    isOver = true;
  });
  blocking.release({ result: {} });
  await settle();
  assert.deepEqual([isOver, store.inFlight], [false, 1]);
  blocking.release({ result: {} });
  await ending;
  assert.equal(clock.pendingTimers, 0);
});

/** A stream that a session's client listens on, with what came on it. */
function listenOn(session: Session) {
  const told: { readonly id?: string; readonly method: string; readonly params?: unknown }[] = [];
  session.listen({ congested: null, send: (json) => told.push(JSON.parse(json)) > 0, end() {} });
  return told;
}

const NEVER = new AbortController().signal;

test("a session that has ended begins no call, and reports nothing of its client to the gateway", async () => {
  const gateway = createScriptedGateway();
  const store = openStore({ gateway });
  const session = begin(store);
  session.end("over");
  const replies: unknown[] = [];
  const stream = { ...NO_STREAM, answer: (_id: unknown, reply: unknown) => void replies.push(reply) };
  session.serve({ jsonrpc: "2.0", id: 1, method: "tools/list" }, stream);
  session.take({ kind: "notification", message: { jsonrpc: "2.0", method: "notifications/x" } });
  await settle();
  assert.deepEqual(replies, [{ error: { code: -32000, message: "the session has ended" } }]);
  assert.deepEqual([gateway.requests, gateway.heard], [[], []]);
});

test("a client is asked nothing that was withdrawn before, and at most 512 questions at once", async () => {
  const store = openStore();
  const session = begin(store);
  const told = listenOn(session);
  const inVain = async (signal: AbortSignal): Promise<string> =>
    JSON.stringify(await session.request("roots/list", {}, signal));
  assert.match(await inVain(AbortSignal.abort()), /"the question was withdrawn"/u);
  assert.equal(told.length, 0);
  const open = Array.from({ length: 512 }, () => session.request("roots/list", {}, NEVER));
  assert.match(await inVain(NEVER), /"too many questions wait for the client"/u);
  assert.equal(told.length, 512);
  session.end("over");
  for (const reply of await Promise.all(open)) assert.ok("error" in reply);
});

test("E1 a question whose call's stream is gone is withdrawn elsewhere only while its client is admitted", async () => {
  const withdrawals: (() => void)[] = [];
  const gateway = createScriptedGateway({
    async ask({ handle }) {
      const abort = new AbortController();
      withdrawals.push(() => abort.abort(new Error("not needed")));
      await handle.request("roots/list", {}, abort.signal);
      return { result: {} };
    },
  });
  const store = openStore({ gateway });
  const session = begin(store);
  const told = listenOn(session);
  for (const isAdmitted of [false, true]) {
    let isOpen = true;
    const stream = { ...NO_STREAM, send: () => isOpen };
    session.serve({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "ask" } }, stream);
    isOpen = false;
    session.admit(isAdmitted);
    withdrawals.pop()?.();
    assertEach(told, ({ method }) => method, isAdmitted ? ["notifications/cancelled"] : []);
    await settle();
  }
});

test("of a session's subscriptions the newest are kept for the next daemon", async () => {
  const store = openStore();
  const session = begin(store);
  for (let id = 0; id <= 64; id++)
    session.serve(
      { jsonrpc: "2.0", id, method: "resources/subscribe", params: { uri: `a:${id}` } },
      NO_STREAM,
    );
  await settle();
  assert.deepEqual([session.subscriptions.length, session.subscriptions[0]], [64, "a:1"]);
});

/** A reader that takes what it is told to. */
function createReader() {
  const waiting: { readonly chunk: string | Uint8Array; readonly taken: (error?: Error | null) => void }[] =
    [];
  const taken: Buffer[] = [];
  const target = {
    destroyed: false,
    ended: 0,
    write(chunk: string | Uint8Array, callback: (error?: Error | null) => void) {
      waiting.push({ chunk, taken: callback });
      return true;
    },
    end() {
      target.ended += 1;
    },
    destroy() {
      target.destroyed = true;
    },
  };
  const take = (): boolean => {
    const next = waiting.shift();
    if (next === undefined) return false;
    taken.push(Buffer.from(next.chunk));
    next.taken();
    return true;
  };
  return { target, take, waiting, text: () => Buffer.concat(taken).toString() };
}

test("a paced writer keeps the order of short and long texts, whatever the reader's pace, and ends once, last", () => {
  const reader = createReader();
  const writer = new PacedWriter(reader.target, createManualClock());
  const texts = ["a", "b".repeat(700_000), "c", "ü".repeat(300_000), "d"];
  for (const text of texts) {
    writer.write(text);
    reader.take();
  }
  writer.end();
  assert.equal(reader.target.ended, 0);
  while (reader.take());
  assert.equal(reader.text(), texts.join(""));
  assert.deepEqual([reader.target.ended, writer.backlog], [1, 0]);
});

test("a paced writer has at most half a mebibyte in its target, and the rest waits", () => {
  const reader = createReader();
  const writer = new PacedWriter(reader.target, createManualClock());
  writer.write("x".repeat(8 * 1024 * 1024));
  const passed = reader.waiting.reduce((sum, { chunk }) => sum + chunk.length, 0);
  assert.ok(passed <= 512 * 1024, `${passed}`);
  assert.equal(writer.backlog, 8 * 1024 * 1024);
});

test("a paced writer is congested beyond a mebibyte, until half of that is left or it is destroyed", async () => {
  const reader = createReader();
  const writer = new PacedWriter(reader.target, createManualClock());
  const now = (): Promise<void> | null => writer.congested;
  assert.equal(now(), null);
  writer.write("x".repeat(2 * 1024 * 1024));
  const congested = now();
  assert.notEqual(congested, null);
  let settled = false;
  void congested?.then(() => {
    settled = true;
  });
  while (writer.backlog > 800 * 1024) reader.take();
  await Promise.resolve();
  assert.equal(settled, false);
  reader.take();
  await congested;
  assert.equal(now(), null);
  writer.write("x".repeat(2 * 1024 * 1024));
  const again = now();
  writer.destroy();
  await again;
  assert.deepEqual([now(), reader.target.destroyed], [null, true]);
});

test("a paced writer is stalled when something waits and nothing was accepted for the limit", async () => {
  const clock = createManualClock();
  const reader = createReader();
  const writer = new PacedWriter(reader.target, clock);
  await clock.advance(100_000);
  assert.equal(writer.stalled(60_000), false);
  writer.write("x");
  writer.write("y");
  await clock.advance(59_000);
  assert.equal(writer.stalled(60_000), false);
  reader.take();
  await clock.advance(59_000);
  assert.equal(writer.stalled(60_000), false);
  // More to read is no progress.
  writer.write("z");
  await clock.advance(1_000);
  assert.equal(writer.stalled(60_000), true);
});

const UNKNOWN = { kind: "unknown" };
const FOREIGN = { kind: "foreign" };
const LARGE = { experimental: { x: "x".repeat(2_000) } };

function found(store: SessionStore, id: string, principal: Principal = ANONYMOUS): Session {
  const session = store.find(id, principal);
  assert.ok(session instanceof Session, JSON.stringify(session));
  return session;
}

/** As between processes. */
function handed(store: SessionStore): HandedSessions {
  return JSON.parse(JSON.stringify(store.handOver()));
}

const sealed = { ...CLIENT, principal: "anonymous" };

test("B11 an id contains its session, and only a key of those that open gives it", () => {
  const ids = Array.from({ length: 50 }, () => sealSession(keysOf("one"), sealed) ?? "");
  assert.equal(new Set(ids.map((id) => id.slice(0, 16))).size, 50, "what balancers spread by is random");
  const [id = ""] = ids;
  assert.match(id, /^[\w-]{100,400}$/u);
  assert.deepEqual(openSession(keysOf("two", "one"), id), sealed);
  assert.equal(openSession(keysOf("two"), id), null);
  const flipped = [...id].map(
    (char, at) => `${id.slice(0, at)}${char === "A" ? "B" : "A"}${id.slice(at + 1)}`,
  );
  const others = [
    ...flipped,
    id.slice(1),
    id.slice(0, -4),
    `${id}A`,
    `${id}=`,
    ` ${id}`,
    `${id}\n`,
    "",
    "A".repeat(64_000),
  ];
  for (const other of others) assert.equal(openSession(keysOf("one"), other), null, other.slice(0, 2_000));
});

test("B11 an id has 1,500 characters at most: a client that tells more keeps its session within the daemons that know it", () => {
  const fits = sealSession(keysOf(), { ...sealed, capabilities: { experimental: { x: "x".repeat(700) } } });
  assert.ok(fits !== null && fits.length <= 1_500);
  assert.equal(sealSession(keysOf(), { ...sealed, capabilities: LARGE }), null);
  const [one, next] = [openStore(), openStore()];
  const { sessionId } = begin(one, { capabilities: LARGE });
  assert.ok(sessionId.length < 64);
  assert.deepEqual(next.find(sessionId, ANONYMOUS), UNKNOWN);
  next.follow(handed(one));
  assert.deepEqual(found(next, sessionId).capabilities, LARGE);
});

test("B11 E1 a session continues at any daemon with its key, for its principal and in its group, and hears of its lists again", () => {
  const [one, gateway] = [openStore(), createScriptedGateway()];
  const { sessionId } = begin(one, { principal: user("ann"), group: "work" });
  const next = openStore({ gateway });
  assert.deepEqual(next.find(sessionId, user("bob")), FOREIGN);
  const { capabilities, clientInfo, protocolVersion, group } = found(next, sessionId, user("ann"));
  const { principal: _, ...told } = CLIENT;
  assert.deepEqual({ capabilities, clientInfo, protocolVersion, group }, { ...told, group: "work" });
  assert.deepEqual(gateway.continuedWith, [null]);
  assert.deepEqual(openStore({ keys: keysOf("other") }).find(sessionId, user("ann")), UNKNOWN);
});

test("B11 an orderly handover brings log level, subscriptions and known lists, through several daemons, also unused", async () => {
  const one = openStore();
  const session = begin(one);
  const stays = begin(one);
  session.setLogLevel("warning");
  for (const uri of ["a:1", "a:2"])
    session.serve(
      { jsonrpc: "2.0", id: uri, method: "resources/subscribe", params: { uri } },
      {
        congested: null,
        send: () => false,
        answer() {},
      },
    );
  await settle();
  const [two, gateway] = [openStore(), createScriptedGateway()];
  two.follow(handed(one));
  const three = openStore({ gateway });
  three.follow(handed(two));
  const again = found(three, session.sessionId);
  assert.equal(again.logLevel, "warning");
  await settle();
  assert.deepEqual(again.subscriptions, ["a:1", "a:2"]);
  assert.equal(gateway.requests.length, 2);
  found(three, stays.sessionId);
  assert.deepEqual(gateway.continuedWith, [gateway.lists, gateway.lists]);
  // What is due as a notice is not known yet.
  again.listChanged("tools");
  const [, [, memory] = []] = handed(three).known.toReversed();
  assert.deepEqual(memory?.lists, { ...gateway.lists, tools: "" });
});

test("B11 an id whose session has ended is unknown, also to the next daemon and while it was open there", () => {
  const [one, next] = [openStore(), openStore()];
  const session = begin(one);
  const { sessionId } = session;
  one.remove(session);
  assert.deepEqual(one.find(sessionId, ANONYMOUS), UNKNOWN);
  found(next, sessionId);
  next.change(handed(one).ended[0]?.[0] ?? "", { kind: "ended" });
  assert.deepEqual(next.find(sessionId, ANONYMOUS), UNKNOWN);
  const later = openStore();
  later.follow(handed(next));
  assert.deepEqual(later.find(sessionId, ANONYMOUS), UNKNOWN);
});

test("E1 B11 a session without a token is the first user's who uses it, also after others came without one, and at the next daemon", () => {
  const [one, next] = [openStore(), openStore()];
  const { sessionId } = begin(one);
  for (const principal of [user("ann"), ANONYMOUS, user("ann")]) found(one, sessionId, principal);
  assert.deepEqual(one.find(sessionId, user("bob")), FOREIGN);
  next.follow(handed(one));
  assert.deepEqual(next.find(sessionId, user("bob")), FOREIGN);
  found(next, sessionId, user("ann"));
});

test("B11 the sessions handed over are bounded: subscriptions are left out first, then the oldest sessions", async () => {
  const one = openStore();
  const session = begin(one);
  for (let at = 0; at < 20; at++) session.repeat({ kind: "subscribed", uri: `${at}:${"x".repeat(900)}` });
  await settle();
  assert.deepEqual(one.handOver().known[0]?.[1].subscriptions, []);
  const client = { ...sealed, capabilities: { experimental: { x: "x".repeat(7_000) } } };
  const memory = { owner: "anonymous", logLevel: null, subscriptions: [], lists: null, client };
  const known = Array.from({ length: 1_500 }, (_, at) => [`hash ${at}`, memory] as const);
  const full = openStore();
  full.follow({ known, ended: [] });
  const given = handed(full).known;
  assert.equal(given.at(-1)?.[0], "hash 1499");
  assert.ok(JSON.stringify(given).length < 9 * 1024 * 1024);
});

/** Two stores, each the other's other daemon. */
function twoDaemons() {
  const told: SessionChange[] = [];
  const [forOld, forNew] = [new OtherDaemons(), new OtherDaemons()];
  const [old, next] = [openStore({ others: forOld }), openStore({ others: forNew })];
  const daemon = (store: SessionStore): OtherDaemon => ({
    deliver: (words: StrayMessage) => store.deliver(words),
    report(hash, change) {
      told.push(change);
      store.change(hash, change);
    },
  });
  forOld.next = daemon(next);
  forNew.previous = daemon(old);
  return { old, next, told };
}

test("B11 while the old daemon drains, what a client changes at either one holds at the other", async () => {
  const { old, next, told } = twoDaemons();
  const session = begin(old);
  const large = begin(old, { capabilities: LARGE });
  const ended = begin(old);
  next.follow(handed(old));
  const there = found(next, session.sessionId);
  session.setLogLevel("error");
  session.repeat({ kind: "subscribed", uri: "a:1" });
  await settle();
  assert.deepEqual([there.subscriptions, session.subscriptions], [["a:1"], ["a:1"]]);
  there.repeat({ kind: "unsubscribed", uri: "a:1" });
  await settle();
  assert.deepEqual([there.subscriptions, session.subscriptions], [[], []]);
  // Its client has not come yet.
  large.setLogLevel("debug");
  found(old, large.sessionId, user("ann"));
  assert.equal(found(next, large.sessionId, user("ann")).logLevel, "debug");
  old.remove(ended);
  assert.deepEqual(next.find(ended.sessionId, ANONYMOUS), UNKNOWN);
  const begun = begin(next, { capabilities: LARGE });
  assert.deepEqual(found(old, begun.sessionId).capabilities, LARGE);
  assert.ok(told.length < 12, `${told.length} changes: they do not go to and fro`);
});

test("B11 D2 an answer that comes to another daemon than the one that asked finds its question, for its principal", async () => {
  const { old, next } = twoDaemons();
  const session = begin(old, { principal: user("ann") });
  const asked: { readonly id: string }[] = [];
  session.listen({ congested: null, send: (json) => asked.push(JSON.parse(json)) > 0, end() {} });
  const reply = session.request("roots/list", {}, new AbortController().signal);
  const there = found(next, session.sessionId, user("ann"));
  const answer = (id: string) => ({ kind: "response", id, reply: { result: { roots: [] } } }) as const;
  const [{ id } = { id: "" }] = asked;
  assert.equal(there.take(answer(id)), false);
  assert.equal(await next.passOn(there, answer("of nobody")), false);
  assert.equal(await next.passOn(there, answer(id)), true);
  assert.deepEqual(await reply, { result: { roots: [] } });
  assert.equal(session.take(answer(id)), true, "it is late, and was asked here");
  assert.equal(await old.passOn(session, answer("of nobody")), false);
});
