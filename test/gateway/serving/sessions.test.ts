import assert from "node:assert/strict";
import { test } from "node:test";
import { clientStatus } from "../../../src/daemon/control/gateway-status.ts";
import { ANONYMOUS, type ClientHandle, OWNER, type Principal } from "../../../src/gateway/client-handle.ts";
import type { SessionPort } from "../../../src/gateway/frontend/session/front-contract.ts";
import { errorReply, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { ServingSet } from "../../../src/gateway/middleware/middleware.ts";
import { type ListKind, type McpLogLevel, MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { ConnectedClients } from "../../../src/gateway/serving/connected-clients.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { SessionRoster } from "../../../src/gateway/serving/session-roster.ts";
import { connectLight } from "../../mcp/light-client.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { source } from "../catalog/sources.ts";
import { callPort, client, policy, recordingServices, servingSet, user } from "../middleware/requests.ts";
import { realGateway, serverOn } from "./gateway-rig.ts";

interface TestSession extends SessionPort {
  principal: Principal;
  logLevel: McpLogLevel | null;
  readonly changes: ListKind[];
  readonly told: string[];
  admitted: boolean;
}

function sessionOf(principal: Principal): TestSession {
  const changes: ListKind[] = [];
  const told: string[] = [];
  const session: TestSession = {
    ...client(principal),
    principal,
    logLevel: null,
    changes,
    told,
    admitted: true,
    withdraw: () => void told.push("withdrawn"),
    endForbidden: () => [],
    admit(isAdmitted) {
      session.admitted = isAdmitted;
    },
    listChanged: (kind) => void changes.push(kind),
    setLogLevel(level) {
      session.logLevel = level;
    },
    notify: (method) => void told.push(method),
  };
  return session;
}

const tools = (...names: string[]) => servingSet([source("a", { tools: names })], recordingServices());
const onlyFor = (role: string): ServingSet => ({
  ...servingSet([source("a", { tools: ["one"] })], recordingServices(), {
    authorization: {
      defaultEffect: "deny",
      policies: [policy("allow", { roles: [role] })],
    },
  }),
  refresh: (principal) => principal,
});
/** As `served`, but these are not let in. */
const without = (served: ServingSet, kind: Principal["kind"]): ServingSet => ({
  ...served,
  refresh: (principal) => (principal.kind === kind ? null : principal),
});

test("B7 the roster of sessions notifies each session once of each list that differs for it, and of no other", () => {
  const roster = new SessionRoster();
  const session = sessionOf(ANONYMOUS);
  roster.add(session, tools("one"));
  roster.notifyChanges(tools("one"));
  assert.deepEqual(session.changes, []);
  const next = servingSet([source("a", { tools: ["two"], prompts: ["p"] })], recordingServices());
  roster.notifyChanges(next);
  assert.deepEqual(session.changes, ["tools", "prompts"]);
  roster.notifyChanges(next);
  assert.equal(session.changes.length, 2);
});

test("B7 the roster of sessions: a session that has ended is not notified", () => {
  const roster = new SessionRoster();
  const session = sessionOf(ANONYMOUS);
  roster.add(session, tools("one"));
  roster.remove(session);
  roster.notifyChanges(tools("two"));
  roster.identified(session, tools("two"));
  assert.deepEqual([session.changes, roster.size], [[], 0]);
});

test("B7 the roster of sessions: policies that differ for one role are announced only to that role", () => {
  const roster = new SessionRoster();
  const [ann, ben] = [sessionOf(user("ann", "reader")), sessionOf(user("ben", "writer"))];
  for (const session of [ann, ben]) roster.add(session, onlyFor("reader"));
  roster.notifyChanges(onlyFor("r*"));
  assert.deepEqual([ann.changes, ben.changes], [[], []]);
  roster.notifyChanges(onlyFor("writer"));
  assert.deepEqual([ann.changes, ben.changes], [["tools"], ["tools"]]);
});

test("B7 the roster of sessions: a client that is locked out and admitted again is notified of the changes in between, and of nothing else", () => {
  const roster = new SessionRoster();
  const session = sessionOf(user("ann"));
  roster.add(session, tools("one"));
  roster.notifyChanges(without(tools("two"), "user"));
  assert.deepEqual(session.changes, []);
  roster.notifyChanges(tools("two"));
  assert.deepEqual(session.changes, ["tools"]);
  roster.notifyChanges(without(tools("three"), "user"));
  roster.notifyChanges(tools("two"));
  assert.deepEqual(session.changes, ["tools"]);
});

test("B7 the roster of sessions: a client that turns out to be another principal is notified that its lists differ", () => {
  const roster = new SessionRoster();
  const session = sessionOf(ANONYMOUS);
  const served = without(onlyFor("reader"), "anonymous");
  roster.add(session, onlyFor("reader"));
  roster.notifyChanges(served);
  assert.deepEqual(session.changes, []);
  session.principal = user("ann", "reader");
  roster.identified(session, served);
  roster.identified(session, served);
  assert.deepEqual(session.changes, ["tools"]);
  session.principal = user("ann", "reader", "writer");
  roster.identified(session, served);
  assert.deepEqual(session.changes, ["tools"]);
});

test("the roster of sessions: the lowest log level applies to the backends, each session's own to the messages it gets", () => {
  const roster = new SessionRoster();
  const [ann, ben, cyd] = [sessionOf(user("ann")), sessionOf(user("ben")), sessionOf(user("cyd"))];
  for (const session of [ann, ben, cyd]) roster.add(session, tools("one"));
  assert.equal(roster.lowestLogLevel, null);
  roster.setLogLevel(ann, "error");
  roster.setLogLevel(ben, "info");
  assert.equal(roster.lowestLogLevel, "info");
  for (const level of ["warning", "error", "no level"])
    roster.emitLog({ level, data: "x" }, "a", { ...tools("one"), refresh: (principal) => principal });
  assert.deepEqual([ann.told.length, ben.told.length, cyd.told.length], [1, 2, 0]);
  roster.remove(ben);
  assert.equal(roster.lowestLogLevel, "error");
});

test("D1 the roster of sessions: a request without a session requests a level while it lasts, and is notified of nothing", () => {
  const roster = new SessionRoster();
  const ann = sessionOf(user("ann"));
  roster.add(ann, tools("one"));
  const [first, second] = [roster.logAt("notice"), roster.logAt("notice")];
  assert.equal(roster.lowestLogLevel, "notice");
  roster.setLogLevel(ann, "error");
  first();
  first();
  assert.equal(roster.lowestLogLevel, "notice");
  second();
  assert.deepEqual([roster.lowestLogLevel, roster.size], ["error", 1]);
});

test("the roster of sessions: logs of a backend go to admitted clients that see anything of it", () => {
  const roster = new SessionRoster();
  const [ann, ben] = [sessionOf(user("ann", "reader")), sessionOf(user("ben", "writer"))];
  const served = onlyFor("reader");
  for (const session of [ann, ben]) {
    roster.add(session, served);
    roster.setLogLevel(session, "debug");
  }
  const tell = (backend: string, now: ServingSet) =>
    roster.emitLog({ level: "error", data: "x" }, backend, now);
  tell("a", served);
  assert.deepEqual([ann.told.length, ben.told.length], [1, 0]);
  tell("b", served);
  tell("a", without(served, "user"));
  assert.deepEqual([ann.told.length, ben.told.length], [1, 0]);
});

test("E1 the roster of sessions: a session whose token was withdrawn ends, and is not notified of the lists", () => {
  const roster = new SessionRoster();
  const [ann, cyd] = [sessionOf(user("ann", "reader")), sessionOf(ANONYMOUS)];
  for (const session of [ann, cyd]) roster.add(session, tools("one"));
  roster.notifyChanges({ ...without(tools("two"), "user"), isWithdrawn: ({ kind }) => kind === "user" });
  assert.deepEqual([ann.told, ann.changes], [["withdrawn"], []]);
  assert.deepEqual([cyd.told, cyd.changes], [[], ["tools"]]);
});

test("the roster of sessions: a client that is no longer admitted stays out until the rules admit it again", () => {
  const roster = new SessionRoster();
  const [ann, cyd] = [sessionOf(user("ann", "reader")), sessionOf(ANONYMOUS)];
  for (const session of [ann, cyd]) roster.add(session, onlyFor("reader"));
  roster.notifyChanges(without(onlyFor("reader"), "user"));
  assert.deepEqual([ann.admitted, cyd.admitted], [false, true]);
  roster.notifyChanges(onlyFor("reader"));
  assert.equal(ann.admitted, true);
});

const OK: Reply = { result: { content: [] } };

function rig() {
  const clock = createManualClock();
  const clients = new ConnectedClients(clock, (text) => text.replaceAll("s3cret", "[redacted]"));
  const answer = (by: ClientHandle, reply: Reply, method = "tools/call"): void =>
    clients.answered({ method, handle: callPort(by) }, reply);
  const listed = () =>
    clients.list
      .map(clientStatus)
      .map(({ name, calls, last_error }) => [name, calls, last_error?.message ?? null]);
  return { clock, clients, answer, listed };
}

const named = (name: string, change: Partial<ClientHandle> = {}): ClientHandle => ({
  ...client(user("ann")),
  clientInfo: { name, version: "1" },
  ...change,
});

test("a session is listed until it ends, with its calls and its last error, cleaned of secrets", () => {
  const { clients, answer, listed } = rig();
  const [one, two] = [named("one"), named("two")];
  clients.opened(one);
  clients.opened(two);
  answer(one, OK, "tools/list");
  answer(one, OK);
  answer(one, errorReply(-1, "the key s3cret is wrong"));
  answer(two, { result: { isError: true, content: [{ type: "text", text: "no\nfile\u202e" }] } });
  assert.deepEqual(listed(), [
    ["one", 2, "the key [redacted] is wrong"],
    ["two", 1, "no file\\u{202e}"],
  ]);
  clients.closed(one);
  answer(one, OK);
  assertEach(listed(), ([name]) => name, ["two"]);
});

test("one of 2026-07-28 is listed while it listens, and five minutes after each request, however many it makes", async () => {
  const { clients, clock, answer, listed } = rig();
  const modern = (): ClientHandle => named("modern", { protocolVersion: MODERN_VERSION });
  for (let count = 0; count < 3; count++) answer(modern(), OK);
  assert.deepEqual(listed(), [["modern", 3, null]]);
  const stream = modern();
  clients.opened(stream);
  await clock.advance(600_000);
  assert.equal(listed().length, 1);
  clients.closed(stream);
  await clock.advance(300_000);
  assert.equal(listed().length, 1);
  await clock.advance(1);
  assert.deepEqual(listed(), []);
});

test("clients of 2026-07-28 that use one port after the other keep their names, and its end closes no stream", async () => {
  const { clients, clock, answer, listed } = rig();
  const modern = (name: string): ClientHandle => named(name, { protocolVersion: MODERN_VERSION });
  const port = { ...modern("one") };
  answer(port, OK);
  Object.assign(port, { clientInfo: { name: "two", version: "1" } });
  answer(port, OK);
  const names = (): unknown[] => listed().map(([name]) => name);
  assert.deepEqual(names(), ["one", "two"]);
  Object.assign(port, { group: "work" });
  answer(port, OK);
  assert.deepEqual(names(), ["one", "two", "two"]);
  Object.assign(port, { group: null });
  clients.opened(modern("two"));
  clients.closed(port);
  await clock.advance(600_000);
  assert.deepEqual(names(), ["two"]);
});

test("clients that keep changing their names are bounded", () => {
  const { clients, answer } = rig();
  for (let at = 0; at < 2_000; at++) answer(named(`c${at}`, { protocolVersion: MODERN_VERSION }), OK);
  assert.equal(clients.list.length, 500);
});

test("the transport of each client is reported", () => {
  const { clients, clock } = rig();
  const came = (change: Partial<ClientHandle>) => {
    clients.opened(named("x", change));
    return clients.list.map(clientStatus).at(-1);
  };
  assert.equal(came({})?.transport, "http");
  assert.equal(came({ transport: "sse" })?.transport, "sse");
  assert.equal(came({ principal: OWNER })?.transport, "stdio");
  const { since, user: who, group, protocol } = came({ clientInfo: {}, group: "work" }) ?? {};
  assert.deepEqual(
    [since, who, group, protocol],
    [new Date(clock.wallMs()).toISOString(), "ann", "work", "2025-11-25"],
  );
});

test("F2 a client over HTTP is listed as it introduced itself, until it leaves", async (t) => {
  const gateway = realGateway(t);
  await gateway.start({ ...NO_GATEWAY, server: serverOn(0) });
  const light = await connectLight(gateway.view().url ?? "");
  await light.ask("tools/call", { name: "nothing" });
  const [one, ...more] = gateway.serving.clients.list.map(clientStatus);
  assert.deepEqual([one?.protocol, one?.transport, one?.calls, more.length], ["2025-11-25", "http", 1, 0]);
  assert.equal(one?.last_error?.message, "Unknown tool: nothing");
  await light[Symbol.asyncDispose]();
  await eventually(() => gateway.serving.clients.list.length === 0);
});
