import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ANONYMOUS, type Principal } from "../../../../src/gateway/client-handle.ts";
import { forwardedHeaders, readForwarded } from "../../../../src/gateway/frontend/http/forwarding.ts";
import { NO_STREAM } from "../../../../src/gateway/frontend/session/client-stream.ts";
import { PacedWriter } from "../../../../src/gateway/frontend/session/paced-writer.ts";
import { Session } from "../../../../src/gateway/frontend/session/session.ts";
import { SessionLines } from "../../../../src/gateway/frontend/session/session-file.ts";
import {
  actingPrincipal,
  checkOf,
  MOST_SUBSCRIPTIONS,
  machineOf,
  newSessionId,
  proofOf,
} from "../../../../src/gateway/frontend/session/session-record.ts";
import { SESSION_LIMIT, SessionStore } from "../../../../src/gateway/frontend/session/session-store.ts";
import {
  ANYBODY,
  authenticateUsers,
  readLocalUsers,
  TokensUsed,
} from "../../../../src/gateway/middleware/incoming-auth.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { createBlockingTool, createScriptedGateway } from "../scripted-gateway.ts";

const openStore = (gateway = createScriptedGateway(), clock = createManualClock()): SessionStore =>
  new SessionStore({ gateway, clock, logger: noopLogger });

function addSession(
  store: SessionStore,
  id: string,
  listens: boolean,
  principal: Principal = ANONYMOUS,
): Session {
  const session = store.open({
    id,
    principal,
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: {},
  });
  if (listens) {
    const stream = { congested: null, send: () => true, end: () => session.streamClosed(stream) };
    session.listen(stream);
  }
  return session;
}

const user = (name: string): Principal => ({ kind: "user", name, roles: [] });

test("the store of sessions ends sessions that are idle for a day, and checks for them only while there are sessions", async () => {
  const clock = createManualClock();
  const store = openStore(createScriptedGateway(), clock);
  const idle = addSession(store, "idle", false);
  const busy = addSession(store, "busy", true);
  await clock.advance(25 * 3_600_000);
  assert.deepEqual([idle.ended.aborted, busy.ended.aborted, store.size], [true, false, 1]);
  assert.equal(clock.pendingTimers, 1);
  busy.end("over");
  assert.deepEqual([store.size, clock.pendingTimers], [0, 0]);
  addSession(store, "last", false);
  await clock.advance(25 * 3_600_000);
  assert.deepEqual([store.size, clock.pendingTimers], [0, 0]);
});

test("E4 the store of sessions: a principal at its limit loses its own idle sessions, and no others", async () => {
  const clock = createManualClock();
  const gateway = createScriptedGateway();
  gateway.sessionsAllowed = () => 3;
  const store = openStore(gateway, clock);
  const others = addSession(store, "ann", false, user("ann"));
  const bobs: Session[] = [];
  for (let count = 0; count < 5; count++) {
    assert.equal(store.admit(user("bob")).kind, "room");
    await clock.advance(1);
    bobs.push(addSession(store, `bob-${count}`, false, user("bob")));
  }
  assertEach(bobs, ({ ended }) => ended.aborted, [true, true, false, false, false]);
  assert.equal(others.ended.aborted, false);
  // Lowered while they are there: so many end as have to.
  gateway.sessionsAllowed = () => 1;
  assert.equal(store.admit(user("bob")).kind, "room");
  assert.ok(bobs.every(({ ended }) => ended.aborted));
  await store.end(0, "over");
});

test("E4 the store of sessions: sessions that never did anything end before older ones that are used", async () => {
  const clock = createManualClock();
  const gateway = createScriptedGateway();
  gateway.sessionsAllowed = () => 2;
  const store = openStore(gateway, clock);
  const used = addSession(store, "used", false);
  store.find("used", ANONYMOUS);
  await clock.advance(1_000);
  const unused = addSession(store, "unused", false);
  await clock.advance(5_000);
  assert.equal(store.admit(ANONYMOUS).kind, "room");
  assert.deepEqual([used.ended.aborted, unused.ended.aborted], [false, true]);
  await store.end(0, "over");
});

test("E4 the store of sessions: clients that come at once to a full table take the place of idle sessions, not of each other", async () => {
  const clock = createManualClock();
  const gateway = createScriptedGateway();
  gateway.sessionsAllowed = () => 8;
  const store = openStore(gateway, clock);
  const begin = (id: string): Session => {
    assert.equal(store.admit(ANONYMOUS).kind, "room");
    return addSession(store, id, false);
  };
  const abandoned = Array.from({ length: 8 }, (_, at) => begin(`abandoned-${at}`));
  for (const { sessionId } of abandoned) store.find(sessionId, ANONYMOUS);
  await clock.advance(60_000);
  const newer = Array.from({ length: 5 }, (_, at) => begin(`new-${at}`));
  assert.ok(newer.every(({ ended }) => !ended.aborted));
  // More of those that only begin take nothing from sessions that are used.
  const flood = Array.from({ length: 20 }, (_, at) => begin(`flood-${at}`));
  assert.deepEqual(
    [flood, abandoned].map((all) => all.filter(({ ended }) => !ended.aborted).length),
    [5, 3],
  );
  await store.end(0, "over");
});

test("E4 the store of sessions: a full table takes from the principal with the most, and never from one with fewer", async () => {
  const clock = createManualClock();
  const gateway = createScriptedGateway();
  const store = openStore(gateway, clock);
  const ann = addSession(store, "ann", false, user("ann"));
  const carls = Array.from({ length: 10 }, (_, at) => addSession(store, `c${at}`, false, user("carl")));
  const bobs = Array.from({ length: SESSION_LIMIT - 11 }, (_, at) =>
    addSession(store, `b${at}`, false, user("bob")),
  );
  assert.equal(store.admit(user("ann")).kind, "room");
  assert.deepEqual(
    [ann.ended.aborted, carls.some(({ ended }) => ended.aborted), bobs[0]?.ended.aborted],
    [false, false, true],
  );
  await store.end(0, "over");

  const full = openStore(gateway, clock);
  addSession(full, "ann", false, user("ann"));
  for (let count = 1; count < SESSION_LIMIT; count++) addSession(full, `b${count}`, true, user("bob"));
  assert.deepEqual(full.admit(user("bob")), { kind: "full", sessions: SESSION_LIMIT });
  await full.end(0, "over");
});

test("the store of sessions ends the least recently used idle session for a new one, and has no place when all are busy", async () => {
  const clock = createManualClock();
  const store = openStore(createScriptedGateway(), clock);
  for (let count = 2; count < SESSION_LIMIT; count++) addSession(store, `busy-${count}`, true);
  assert.equal(store.admit(ANONYMOUS).kind, "room");
  const older = addSession(store, "older", false);
  await clock.advance(10);
  const newer = addSession(store, "newer", false);
  await clock.advance(10);
  assert.equal(store.find("older", ANONYMOUS), older);
  assert.equal(store.admit(ANONYMOUS).kind, "room");
  assert.deepEqual([older.ended.aborted, newer.ended.aborted, store.size], [false, true, SESSION_LIMIT - 1]);
  addSession(store, "another", true);
  assert.deepEqual([store.admit(ANONYMOUS).kind, older.ended.aborted], ["room", true]);
  addSession(store, "last", true);
  assert.deepEqual(store.admit(ANONYMOUS), { kind: "too_many", allowed: SESSION_LIMIT });
  assert.equal(store.size, SESSION_LIMIT);
  await store.end(0, "over");
  assert.deepEqual([store.size, clock.pendingTimers], [0, 0]);
});

test("the store of sessions waits at its end for the last call, not for the first that ends", async () => {
  const blocking = createBlockingTool();
  const gateway = createScriptedGateway({ held: blocking.tool });
  const clock = createManualClock();
  const store = openStore(gateway, clock);
  const session = addSession(store, "one", false);
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
  const store = openStore(gateway);
  const session = addSession(store, "one", false);
  session.end("over");
  const replies: unknown[] = [];
  const stream = { ...NO_STREAM, answer: (_id: unknown, reply: unknown) => void replies.push(reply) };
  session.serve({ jsonrpc: "2.0", id: 1, method: "tools/list" }, stream);
  session.handle({ kind: "notification", message: { jsonrpc: "2.0", method: "notifications/x" } });
  await settle();
  assert.deepEqual(replies, [{ error: { code: -32000, message: "the session has ended" } }]);
  assert.deepEqual([gateway.requests, gateway.heard], [[], []]);
});

test("an answer that is not a response ends its question, a request with that id does not", async () => {
  const store = openStore();
  const session = addSession(store, "one", false);
  const told = listenOn(session);
  const reply = session.request("roots/list", {}, NEVER);
  const id = told[0]?.id ?? "";
  session.completeInvalid({ id, method: 5 }, id);
  assert.equal(session.openQuestions, 1);
  session.completeInvalid({ id }, id);
  assert.deepEqual(await reply, {
    error: { code: -32600, message: "the client's answer is not a JSON-RPC response" },
  });
});

test("a client is asked nothing that was withdrawn before, and at most 512 questions at once", async () => {
  const store = openStore();
  const session = addSession(store, "one", false);
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
  const store = openStore(gateway);
  const session = addSession(store, "one", false);
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

test("as many of a session's subscriptions are kept as are saved, the newest", async () => {
  const store = openStore();
  const session = addSession(store, "one", false);
  for (let id = 0; id <= MOST_SUBSCRIPTIONS; id++)
    session.serve(
      { jsonrpc: "2.0", id, method: "resources/subscribe", params: { uri: `a:${id}` } },
      NO_STREAM,
    );
  await settle();
  assert.deepEqual([session.subscriptions.length, session.subscriptions[0]], [MOST_SUBSCRIPTIONS, "a:1"]);
});

// Sessions that several machines share: their ids, what stands for these elsewhere, and as whom a client acts.

const ANN: Principal = { kind: "user", name: "ann", roles: ["dev", "ops"] };
const SIGNED: Principal = { kind: "user", id: '["https://issuer","1"]', name: "ann", roles: ["dev"] };

test("G1 an id names the machine of its session, and nothing else is mistaken for one", () => {
  const id = newSessionId("desktop");
  assert.match(id, /^desktop\.[\w-]{32}$/u);
  assert.equal(machineOf(id), "desktop");
  for (const other of [newSessionId(null), "desktop.short", `a.b.${"x".repeat(32)}`, `*.${"x".repeat(32)}`])
    assert.equal(machineOf(other), null, other);
  const proof = proofOf(id);
  assert.equal(new Set([id, proof, checkOf(proof), checkOf(id)]).size, 4);
});

test("G1 a client of another machine acts only as the same one, with no role that it lacks on either", () => {
  const users = [
    { name: "ann", token: { kind: "environment", variable: "ANN" }, roles: ["dev", "ops"] },
  ] as const;
  const known = authenticateUsers(readLocalUsers(users, { ANN: "t" }, () => {}, new TokensUsed(), Date.now));
  const roles = (said: Principal, own: Principal, served = known): readonly string[] | null =>
    actingPrincipal(said, own, served)?.roles ?? null;
  assert.deepEqual(roles({ ...ANN, roles: ["ops", "dev", "admin"] }, ANN), ["dev", "ops"]);
  assert.deepEqual(roles({ ...ANN, roles: ["ops"] }, ANN), ["ops"]);
  // It had fewer in its last request, and has all again.
  assert.deepEqual(roles(ANN, { ...ANN, roles: ["ops"] }), ["dev", "ops"]);
  assert.equal(actingPrincipal({ ...ANN }, ANN, known), ANN);
  assert.deepEqual([roles({ ...ANN, name: "bob" }, ANN), roles(ANONYMOUS, ANN)], [null, null]);
  assert.equal(roles(ANN, ANONYMOUS), null);
  // Nobody is let in here without a token any more, nor is who was taken out of the configuration.
  assert.equal(roles(ANONYMOUS, ANONYMOUS), null);
  assert.deepEqual(roles(ANONYMOUS, ANONYMOUS, ANYBODY), ["anonymous"]);
  const eve = { ...ANN, name: "eve" };
  assert.deepEqual([roles(eve, eve), roles(SIGNED, ANN), roles(ANN, SIGNED)], [null, null, null]);
  assert.deepEqual(roles({ ...SIGNED, roles: ["dev", "admin"] }, SIGNED, ANYBODY), ["dev"]);
});

test("G1 after a restart a session is found by its proof, then by its id, and the file contains neither", async (t) => {
  const path = join(await temporaryFolder(t), "sessions.jsonl");
  const clock = createManualClock();
  const start = async () => {
    const file = new SessionLines({ path, clock, logger: noopLogger });
    const store = new SessionStore({ gateway: createScriptedGateway(), clock, logger: noopLogger, file });
    await store.restore();
    return { file, store };
  };
  const first = await start();
  const id = newSessionId("desktop");
  const client = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x" } } as const;
  const session = first.store.open({ id, principal: { ...SIGNED, roles: ["dev", "ops"] }, ...client });
  assert.equal(await first.store.save(session), "saved");
  assert.equal(first.store.findShared(proofOf(id), SIGNED), session);
  assert.equal(first.store.findShared(proofOf(id), ANN), "foreign");
  assert.equal(first.store.findShared(checkOf(proofOf(id)), SIGNED), null);
  await first.store.end(0, "over");
  await first.file[Symbol.asyncDispose]();
  const text = await readFile(path, "utf8");
  assert.ok(!text.includes(id) && !text.includes(proofOf(id)) && text.includes(checkOf(proofOf(id))));
  const { store, file } = await start();
  assert.equal(store.findShared(proofOf(id), { ...SIGNED, id: "other" }), "foreign");
  const woken = store.findShared(proofOf(id), { ...SIGNED, roles: ["dev", "admin"] });
  assert.ok(woken instanceof Session);
  assert.deepEqual(woken.principal.roles, ["dev"]);
  assert.equal(store.findShared(proofOf(id), { ...SIGNED, roles: ["dev", "ops"] }), woken);
  assert.deepEqual(
    woken.principal.roles,
    ["dev", "ops"],
    "what the file says, not what the last machine said",
  );
  assert.equal(store.find(id, SIGNED), woken);
  store.remove(woken);
  assert.deepEqual([store.find(id, SIGNED), store.findShared(proofOf(id), SIGNED)], [null, null]);
  await store.end(0, "over");
  await file[Symbol.asyncDispose]();
});

test("G1 a machine's incomplete statement about a client does not shorten the next machine's, and hides no withdrawal", () => {
  const clock = createManualClock();
  const own: Principal = { ...SIGNED, roles: ["dev", "ops"] };
  let isTakenBack = false;
  const gateway = createScriptedGateway();
  const { served } = gateway;
  // The proof of a token is with whom it let in alone, and in no copy.
  const now = { ...served, isWithdrawn: (who: Principal) => isTakenBack && who === own };
  Object.defineProperty(gateway, "served", { value: now });
  const store = openStore(gateway, clock);
  const id = newSessionId("desktop");
  const client = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x" } } as const;
  const session = store.open({ id, principal: own, ...client });
  const rolesOf = (roles: readonly string[]): unknown => {
    const found = store.findShared(proofOf(id), { ...SIGNED, roles });
    return found instanceof Session ? found.principal.roles : found;
  };
  assert.deepEqual(rolesOf(["dev"]), ["dev"]);
  assert.deepEqual(rolesOf(["ops"]), ["ops"]);
  assert.deepEqual(rolesOf(["ops", "dev", "admin"]), ["dev", "ops"]);
  assert.deepEqual(rolesOf(["dev"]), ["dev"]);
  // What this machine has found itself since counts, not what it found first.
  assert.equal(store.find(id, { ...SIGNED, roles: ["ops"] }), session);
  assert.deepEqual(rolesOf(["dev", "ops"]), ["ops"]);
  assert.equal(store.find(id, own), session);
  isTakenBack = true;
  assert.equal(rolesOf(["dev"]), "foreign");
  session.end("over");
});

test("G1 the head that is sent to another machine has no token and no id, and is read as a stranger's", () => {
  const proof = proofOf("desktop.x");
  const secrets = {
    authorization: "Bearer secret",
    "mcp-session-id": "secret",
    cookie: "secret",
    "x-any": "secret",
  };
  const given = { host: "gateway.example", accept: "*/*", "last-event-id": "e", ...secrets };
  const request = { url: "/mcp", headers: given } as unknown as Parameters<typeof forwardedHeaders>[0];
  const headers = forwardedHeaders(request, ANN, proof);
  assert.ok(!JSON.stringify(headers).includes("secret"));
  assert.deepEqual([headers["accept"], headers["last-event-id"]], ["*/*", "e"]);
  const read = { ...headers } as Record<string, string>;
  assert.deepEqual(readForwarded(read), { proof, caller: ANN });
  const caller = (value: unknown): Record<string, string> => ({
    ...read,
    "mountaineer-caller": Buffer.from(JSON.stringify(value)).toString("base64url"),
  });
  const wrong: readonly Record<string, string>[] = [
    {},
    { ...read, "mountaineer-session": "x" },
    { ...read, "mountaineer-caller": "x" },
    caller({ ...ANN, kind: "owner" }),
    caller({ ...ANN, kind: "machine" }),
    caller({ ...ANN, name: "a\nb" }),
    caller({ ...ANN, name: 1 }),
    caller({ ...ANN, id: 1 }),
    caller({ ...ANN, roles: "dev" }),
    caller({ ...ANN, roles: [1] }),
    caller({ ...ANN, roles: Array.from({ length: 257 }, () => "r") }),
    caller({ ...ANN, name: "x".repeat(1_025) }),
    caller({ ...SIGNED, kind: "anonymous" }),
    caller({ kind: "anonymous", subject: "ann", name: "ann", roles: [] }),
    caller({ ...ANN, roles: Array.from({ length: 33 }, () => "r".repeat(1_000)) }),
  ];
  for (const head of wrong) assert.equal(readForwarded(head), null, JSON.stringify(head));
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
