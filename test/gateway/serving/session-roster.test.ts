import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ANONYMOUS, type Principal } from "../../../src/gateway/client-port.ts";
import type { SessionPort } from "../../../src/gateway/front/session/front-contract.ts";
import type { ServingSet } from "../../../src/gateway/middleware/middleware.ts";
import type { ListKind, McpLogLevel } from "../../../src/gateway/protocol.ts";
import { SessionRoster } from "../../../src/gateway/serving/session-roster.ts";
import { source } from "../catalog/sources.ts";
import { client, recordingServices, servingSet, user } from "../middleware/requests.ts";

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
      policies: [{ effect: "allow", roles: [role], resources: null, methods: null }],
    },
  }),
  refresh: (principal) => principal,
});
/** As `served`, but these are not let in. */
const without = (served: ServingSet, kind: Principal["kind"]): ServingSet => ({
  ...served,
  refresh: (principal) => (principal.kind === kind ? null : principal),
});

describe("the roster of sessions", () => {
  test("B7 tells each session once of each list that it sees differently, and of no other", () => {
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

  test("B7 a session that has ended is told nothing", () => {
    const roster = new SessionRoster();
    const session = sessionOf(ANONYMOUS);
    roster.add(session, tools("one"));
    roster.remove(session);
    roster.notifyChanges(tools("two"));
    roster.identified(session, tools("two"));
    assert.deepEqual([session.changes, roster.size], [[], 0]);
  });

  test("B7 policies that are another for one role are told to that role alone", () => {
    const roster = new SessionRoster();
    const [ann, ben] = [sessionOf(user("ann", "reader")), sessionOf(user("ben", "writer"))];
    for (const session of [ann, ben]) roster.add(session, onlyFor("reader"));
    roster.notifyChanges(onlyFor("r*"));
    assert.deepEqual([ann.changes, ben.changes], [[], []]);
    roster.notifyChanges(onlyFor("writer"));
    assert.deepEqual([ann.changes, ben.changes], [["tools"], ["tools"]]);
  });

  test("B7 who is locked out and let in again hears of what changed meanwhile, and of nothing else", () => {
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

  test("B7 who turns out to be another one hears that its lists are others", () => {
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

  test("the lowest log level counts for the backends, each session's own for what it is told", () => {
    const roster = new SessionRoster();
    const [ann, ben, cyd] = [sessionOf(user("ann")), sessionOf(user("ben")), sessionOf(user("cyd"))];
    for (const session of [ann, ben, cyd]) roster.add(session, tools("one"));
    assert.equal(roster.lowestLogLevel, null);
    roster.setLogLevel(ann, "error");
    roster.setLogLevel(ben, "info");
    assert.equal(roster.lowestLogLevel, "info");
    for (const level of ["warning", "error", "no level"]) {
      roster.emitLog({ level, data: "x" }, "a", { ...tools("one"), refresh: (principal) => principal });
    }
    assert.deepEqual([ann.told.length, ben.told.length, cyd.told.length], [1, 2, 0]);
    roster.remove(ben);
    assert.equal(roster.lowestLogLevel, "error");
  });

  test("D1 a request without a session asks for a level while it lasts, and is told of nothing", () => {
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

  test("logs of a backend are for those who see anything of it, and are let in", () => {
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

  test("E1 a session whose token was taken back ends, and is told nothing of the lists", () => {
    const roster = new SessionRoster();
    const [ann, cyd] = [sessionOf(user("ann", "reader")), sessionOf(ANONYMOUS)];
    for (const session of [ann, cyd]) roster.add(session, tools("one"));
    roster.notifyChanges({ ...without(tools("two"), "user"), isWithdrawn: ({ kind }) => kind === "user" });
    assert.deepEqual([ann.told, ann.changes], [["withdrawn"], []]);
    assert.deepEqual([cyd.told, cyd.changes], [[], ["tools"]]);
  });

  test("who is not let in any more is so until the rules let it in again", () => {
    const roster = new SessionRoster();
    const [ann, cyd] = [sessionOf(user("ann", "reader")), sessionOf(ANONYMOUS)];
    for (const session of [ann, cyd]) roster.add(session, onlyFor("reader"));
    roster.notifyChanges(without(onlyFor("reader"), "user"));
    assert.deepEqual([ann.admitted, cyd.admitted], [false, true]);
    roster.notifyChanges(onlyFor("reader"));
    assert.equal(ann.admitted, true);
  });
});
