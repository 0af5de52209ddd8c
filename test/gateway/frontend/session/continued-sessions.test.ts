// Sessions that go on at another daemon: from their ids, and with what one daemon tells the other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ANONYMOUS, type Principal } from "../../../../src/gateway/client-handle.ts";
import {
  type OtherDaemon,
  OtherDaemons,
  type StrayMessage,
} from "../../../../src/gateway/frontend/session/other-daemons.ts";
import { openSession, sealSession } from "../../../../src/gateway/frontend/session/sealed-session.ts";
import { Session } from "../../../../src/gateway/frontend/session/session.ts";
import type {
  HandedSessions,
  SessionChange,
} from "../../../../src/gateway/frontend/session/session-memory.ts";
import type { SessionStore } from "../../../../src/gateway/frontend/session/session-store.ts";
import { settle } from "../../../support/manual-clock.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";
import { begin, CLIENT, keysOf, openStore } from "./store-rig.ts";

const user = (name: string): Principal => ({ kind: "user", name, roles: [] });
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
