// The stand-in sessions that requests without a session borrow: never two at once, and not kept for ever.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Principal } from "../../../../src/gateway/client-handle.ts";
import { Listeners } from "../../../../src/gateway/frontend/modern/listeners.ts";
import type { ModernRequest } from "../../../../src/gateway/frontend/modern/request.ts";
import {
  IDLE_LIMIT_MS,
  MOST_IDLE,
  MOST_WITH_TASKS,
  type StandInSession,
  StandInSessions,
} from "../../../../src/gateway/frontend/modern/stand-in-sessions.ts";
import { NO_STREAM } from "../../../../src/gateway/frontend/session/client-stream.ts";
import { errorReply } from "../../../../src/gateway/json-rpc.ts";
import { META } from "../../../../src/gateway/protocol.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { collect, type Rig, startRig } from "../http/http-rig.ts";
import { createScriptedGateway, objectOf, onlySession, type ScriptedGateway } from "../scripted-gateway.ts";
import { openModern, postModern } from "./modern-rig.ts";

const user = (name: string, role = "any"): Principal => ({ kind: "user", name, roles: [role] });

function requestOf(principal: Principal): ModernRequest {
  return {
    id: 1,
    method: "tools/call",
    params: {},
    principal,
    capabilities: {},
    clientInfo: {},
    group: null,
    folder: null,
    logLevel: null,
    progressToken: null,
    caller: null,
    trace: null,
  };
}

function start() {
  const clock = createManualClock();
  const gateway = createScriptedGateway();
  const closed: unknown[] = [];
  gateway.closed = (session) => void closed.push(session);
  const standIns = new StandInSessions(gateway, clock);
  const borrow = (principal: Principal): StandInSession => standIns.lease(requestOf(principal));
  return { clock, closed, standIns, borrow };
}

test("D2 identities of requests without a session are reused only by the same principal, whatever its roles are by now, the newest first", () => {
  const { standIns, borrow } = start();
  const [first, second] = [borrow(user("ann")), borrow(user("ann"))];
  assert.notEqual(first, second);
  standIns.giveBack(first, true);
  standIns.giveBack(second, true);
  const others = borrow(user("bob"));
  assert.ok(others !== first && others !== second);
  const again = borrow(user("ann", "admin"));
  assert.equal(again, second);
  assert.deepEqual(again.principal.roles, ["admin"]);
  assert.equal(borrow(user("ann")), first);
  standIns[Symbol.dispose]();
});

test("D2 identities of requests without a session are reserved for a while for a call that is expected back, and found by their mark", async () => {
  const { clock, standIns, borrow } = start();
  const [plain, expected] = [borrow(user("ann")), borrow(user("ann"))];
  standIns.giveBack(plain, true);
  standIns.expect(expected);
  standIns.giveBack(expected, true);
  assert.equal(borrow(user("ann")), plain);
  assert.notEqual(borrow(user("ann")), expected);
  assert.notEqual(standIns.lease(requestOf(user("bob")), expected.publicId), expected);
  assert.equal(standIns.lease(requestOf(user("ann")), expected.publicId), expected);
  standIns.giveBack(expected, true);
  assert.equal(borrow(user("ann")), expected, "it has come back");
  standIns.expect(expected);
  standIns.giveBack(expected, true);
  await clock.advance(60_000);
  assert.equal(borrow(user("ann")), expected);
  standIns[Symbol.dispose]();
});

test("D2 identities of requests without a session end when unused for some time", async () => {
  const { clock, closed, standIns, borrow } = start();
  const [kept, left] = [borrow(user("ann")), borrow(user("bob"))];
  standIns.giveBack(left, true);
  standIns.giveBack(kept, true);
  await clock.advance(IDLE_LIMIT_MS - 60_000);
  standIns.giveBack(borrow(user("ann")), true);
  await clock.advance(120_000);
  assert.deepEqual(closed, [left]);
  assert.equal(left.ended.aborted, true);
  assert.equal(borrow(user("ann")), kept);
  assert.notEqual(borrow(user("bob")), left);
  standIns[Symbol.dispose]();
});

test("D2 identities of requests without a session end at once where a backend may still be working, and the oldest beyond a number", () => {
  const { closed, standIns, borrow } = start();
  const dirty = borrow(user("ann"));
  standIns.giveBack(dirty, false);
  assert.deepEqual(closed, [dirty]);
  const many = Array.from({ length: MOST_IDLE + 1 }, (_, index) => borrow(user(`u${index}`)));
  for (const standIn of many) standIns.giveBack(standIn, true);
  assert.deepEqual(closed, [dirty, many[0]]);
  assert.equal(standIns.idle, MOST_IDLE);
  const ofBob = Array.from({ length: 3 }, () => borrow(user("bob")));
  for (const standIn of ofBob) standIns.giveBack(standIn, true);
  assert.deepEqual(closed.slice(3), [ofBob[0], ofBob[1]], "who fills it loses his own");
  standIns[Symbol.dispose]();
  assert.equal(closed.length, MOST_IDLE + 5);
  standIns.giveBack(dirty, true);
  assert.equal(standIns.idle, 0);
});

test("D2 identities of requests without a session are reserved for their tasks, as long as these live or are requested, up to a limit for each principal", async () => {
  const { clock, closed, standIns, borrow } = start();
  const [short, long] = [borrow(user("ann")), borrow(user("ann"))];
  standIns.retain(short, 60_000);
  standIns.retain(long, null);
  for (const standIn of [short, long]) standIns.giveBack(standIn, true);
  const plain = borrow(user("ann"));
  assert.ok(plain !== short && plain !== long);
  await clock.advance(60_000);
  assert.equal(borrow(user("ann")), short);
  await clock.advance(3_600_000 - 120_000);
  standIns.keepMarked(user("bob"), long.publicId);
  standIns.keepMarked(user("ann"), long.publicId);
  await clock.advance(IDLE_LIMIT_MS - 60_000);
  assert.deepEqual(closed, []);
  await clock.advance(180_000);
  assert.deepEqual(closed, [long]);

  const endless = borrow(user("eve"));
  standIns.retain(endless, 1e12);
  standIns.giveBack(endless, true);
  await clock.advance(3_600_000);
  assert.deepEqual(closed, [long, endless]);
  const logging = standIns.lease({ ...requestOf(user("eve")), logLevel: "debug" });
  standIns.giveBack(logging, true);
  assert.equal(logging.logLevel, null);

  const many = Array.from({ length: MOST_WITH_TASKS + 1 }, () => borrow(user("ann")));
  for (const standIn of many) {
    standIns.retain(standIn, null);
    standIns.giveBack(standIn, true);
  }
  assert.equal(borrow(user("ann")), many[0]);
  assert.equal(many.includes(borrow(user("ann"))), false);
  standIns[Symbol.dispose]();
});

// subscriptions/listen: what is honoured, what a stream is told of, and how it ends.

const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

/** Subscribes to whatever has `ok` in its URI. */
function createListening(): ScriptedGateway {
  const gateway = createScriptedGateway();
  gateway.handle = async ({ method, params }) =>
    method === "resources/subscribe" && String(params?.["uri"]).includes("ok")
      ? { result: {} }
      : errorReply(-32002, "Resource not found");
  return gateway;
}

async function listen(rig: Rig, notifications: object, id: string | number = "l") {
  const { response } = await openModern(rig, "subscriptions/listen", { notifications }, id);
  return { response, stream: collect(response) };
}

const subscription = (message: Record<string, unknown> | undefined): unknown =>
  objectOf(objectOf(message?.["params"] ?? {})["_meta"])[META.subscriptionId];

test("D1 subscriptions/listen acknowledges first, with the honoured kinds, and sends nothing else", async () => {
  const gateway = createListening();
  await using rig = await startRig(gateway);
  const wanted = {
    toolsListChanged: true,
    promptsListChanged: false,
    resourceSubscriptions: ["ok:a", "bad:b", "ok:a"],
  };
  const { response, stream } = await listen(rig, wanted);
  await eventually(() => stream.messages.length === 1);
  assert.deepEqual(stream.messages[0], {
    jsonrpc: "2.0",
    method: ACKNOWLEDGED,
    params: {
      notifications: { toolsListChanged: true, resourceSubscriptions: ["ok:a"] },
      _meta: { [META.subscriptionId]: "l" },
    },
  });
  assert.equal(response.headers["x-accel-buffering"], "no");
  const session = onlySession(gateway);
  session.listChanged("prompts");
  session.listChanged("tools");
  session.notify("notifications/resources/updated", { uri: "bad:b" });
  session.notify("notifications/resources/updated", { uri: "ok:a", more: 1 });
  session.notify("notifications/resources/updated", { uri: "ok:a/part" });
  session.notify("notifications/message", { level: "error", data: "x" });
  gateway.mayBeNotified = () => false;
  session.notify("notifications/resources/updated", { uri: "ok:a" });
  await eventually(() => stream.messages.length === 4);
  assert.deepEqual(pluck(stream.messages, "method"), [
    ACKNOWLEDGED,
    "notifications/tools/list_changed",
    "notifications/resources/updated",
    "notifications/resources/updated",
  ]);
  assert.deepEqual(stream.messages[2]?.["params"], {
    uri: "ok:a",
    more: 1,
    _meta: { [META.subscriptionId]: "l" },
  });
  response.destroy();
  await eventually(() => gateway.sessions.size === 0);
  assert.equal(rig.modern.listening, 0);
});

test("D1 subscriptions/listen: a client may keep a list of servers that give no time for 5 s, also if it listens", async () => {
  const gateway = createScriptedGateway();
  await using rig = await startRig(gateway);
  gateway.handle = async () => ({ result: { tools: [], ttlMs: 0, cacheScope: "public" } });
  const kept = async (): Promise<unknown[]> => {
    const { ttlMs, cacheScope } = objectOf((await postModern(rig, "tools/list")).json()["result"]);
    return [ttlMs, cacheScope];
  };
  assert.deepEqual(await kept(), [5_000, "private"]);
  await listen(rig, { toolsListChanged: true });
  assert.deepEqual(await kept(), [5_000, "private"]);
});

test("D1 subscriptions/listen: changes before the acknowledgement are sent after it", async () => {
  const gateway = createListening();
  const { promise, resolve } = Promise.withResolvers<void>();
  const answer = gateway.handle;
  gateway.handle = async (request) => {
    await promise;
    return answer(request);
  };
  await using rig = await startRig(gateway);
  const opening = listen(rig, { toolsListChanged: true, resourceSubscriptions: ["ok:a"] });
  await eventually(() => gateway.sessions.size === 1);
  const session = onlySession(gateway);
  session.listChanged("tools");
  session.notify("notifications/resources/updated", { uri: "ok:a" });
  resolve();
  const { stream, response } = await opening;
  await eventually(() => stream.messages.length === 3);
  assert.equal(stream.messages[0]?.["method"], ACKNOWLEDGED);
  response.destroy();
});

test("D1 subscriptions/listen: of a task's many changes before the acknowledgement, the last is sent after it", async () => {
  const gateway = createListening();
  gateway.taskOf = () => ({
    backend: "b",
    tool: "x",
    originalTool: "x",
    id: "t",
    taskLocation: "h",
    mark: null,
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  gateway.handle = () => promise.then(() => ({ result: {} }));
  await using rig = await startRig(gateway);
  const _meta = { [META.clientCapabilities]: { extensions: { "io.modelcontextprotocol/tasks": {} } } };
  const opening = openModern(rig, "subscriptions/listen", { notifications: { taskIds: ["t"] }, _meta });
  await eventually(() => gateway.sessions.size === 1);
  for (let step = 0; step < 1_200; step++)
    onlySession(gateway).notify("notifications/tasks", { taskId: "t", step });
  resolve();
  const { response } = await opening;
  const stream = collect(response);
  await eventually(() => stream.messages.length > 1);
  const steps = stream.messages.slice(1).map(({ params }) => objectOf(params)["step"]);
  assert.equal(steps.at(-1), 1_199);
  response.destroy();
});

test("D1 subscriptions/listen: one that ends while it subscribes requests nothing further", async () => {
  const gateway = createListening();
  const blocking = Promise.withResolvers<void>();
  let asked = 0;
  gateway.handle = async () => {
    asked += 1;
    await blocking.promise;
    return { result: {} };
  };
  await using rig = await startRig(gateway);
  const opening = listen(rig, { resourceSubscriptions: Array.from({ length: 20 }, (_, n) => `ok:${n}`) });
  await eventually(() => asked === 8);
  onlySession(gateway).admit(false);
  const { stream } = await opening;
  await eventually(() => stream.ended());
  blocking.resolve();
  await settle();
  assert.equal(asked, 8);
});

test("D1 subscriptions/listen acknowledges after 10 s the subscriptions granted by then", async () => {
  const gateway = createListening();
  const { handle } = gateway;
  gateway.handle = (request) =>
    request.params?.["uri"] === "ok:slow" ? new Promise(() => {}) : handle(request);
  const clock = createManualClock();
  await using rig = await startRig(gateway, { clock });
  const opening = listen(rig, { resourceSubscriptions: ["ok:slow", "ok:a"] });
  await eventually(() => gateway.requests.length === 2);
  await clock.advance(10_000);
  const { stream, response } = await opening;
  await eventually(() => stream.messages.length === 1);
  const { notifications } = objectOf(stream.messages[0]?.["params"]);
  assert.deepEqual(notifications, { resourceSubscriptions: ["ok:a"] });
  response.destroy();
});

test("E4 subscriptions/listen: at most a thousand streams are open, and users who fill them keep no other from listening", () => {
  const listeners = new Listeners(createListening(), createManualClock());
  const answered: unknown[] = [];
  const stream = {
    ...NO_STREAM,
    send: () => true,
    answer: (id: unknown, reply: unknown) => void answered.push([id, Object.keys(objectOf(reply))]),
  };
  const open = (name: string, id: number): unknown =>
    listeners.listen(
      { ...requestOf(user(name)), id, params: { notifications: { toolsListChanged: true } } },
      stream,
    );
  for (let id = 0; id < 1_000; id++) open(id % 2 === 0 ? "ann" : "bob", id);
  assert.deepEqual([answered, listeners.size], [[], 1_000]);
  open("eve", 1_000);
  const anns = [0, ["result"]];
  assert.deepEqual([answered, listeners.size], [[anns], 1_000]);
  open("ann", 1_001);
  assert.deepEqual([answered, listeners.size], [[anns, [1_001, ["error"]]], 1_000]);
});

test("D1 subscriptions/listen: several are open at once, each under its own id", async () => {
  const gateway = createListening();
  await using rig = await startRig(gateway);
  const first = await listen(rig, { toolsListChanged: true }, 1);
  const second = await listen(rig, { toolsListChanged: true }, "1");
  await eventually(() => gateway.sessions.size === 2);
  await eventually(() => first.stream.messages.length === 1 && second.stream.messages.length === 1);
  for (const session of gateway.sessions) session.listChanged("tools");
  await eventually(() => first.stream.messages.length === 2 && second.stream.messages.length === 2);
  assert.deepEqual(first.stream.messages.map(subscription), [1, 1]);
  assert.deepEqual(second.stream.messages.map(subscription), ["1", "1"]);
  first.response.destroy();
  second.response.destroy();
});

test("D1 subscriptions/listen ends with a result when the gateway hands over, and so does one that arrives then", async () => {
  const gateway = createListening();
  await using rig = await startRig(gateway);
  const result = {
    resultType: "complete",
    _meta: { [META.subscriptionId]: "l", [META.serverInfo]: gateway.serverInfo },
  };
  const { stream } = await listen(rig, { toolsListChanged: true });
  await eventually(() => stream.messages.length === 1);
  rig.modern.endListening();
  await eventually(() => stream.ended());
  assert.deepEqual(stream.messages.at(-1), { jsonrpc: "2.0", id: "l", result });
  const late = await listen(rig, { toolsListChanged: true });
  await eventually(() => late.stream.ended());
  assertEach(late.stream.messages, ({ method, id }) => method ?? id, [ACKNOWLEDGED, "l"]);
  assert.equal(gateway.sessions.size, 0);
});

test("D1 subscriptions/listen ends with a result when nothing is honoured, and when its principal is no longer admitted", async () => {
  const gateway = createListening();
  await using rig = await startRig(gateway);
  const nothing = await listen(rig, { resourceSubscriptions: ["bad:b"] });
  await eventually(() => nothing.stream.ended());
  assert.deepEqual(objectOf(nothing.stream.messages[0]?.["params"])["notifications"], {});
  const { stream } = await listen(rig, { toolsListChanged: true });
  await eventually(() => stream.messages.length === 1);
  onlySession(gateway).admit(false);
  await eventually(() => stream.ended());
  assert.equal(stream.messages.at(-1)?.["id"], "l");
});

test("D1 subscriptions/listen: a wrong filter is -32602, one stream too many 429, no event stream accepted 406", async () => {
  const gateway = createListening();
  gateway.sessionsAllowed = () => 1;
  await using rig = await startRig(gateway);
  const many = Array.from({ length: 1_001 }, (_, index) => `ok:${index}`);
  const filters = [
    ...[undefined, 1, { toolsListChanged: 1 }],
    ...[{ resourceSubscriptions: [1] }, { resourceSubscriptions: many }],
  ];
  for (const notifications of filters) {
    const answer = await postModern(rig, "subscriptions/listen", { notifications });
    assert.equal(objectOf(answer.json()["error"])["code"], -32602, JSON.stringify(notifications));
  }
  const notifications = { toolsListChanged: true };
  const { response } = await listen(rig, notifications);
  const second = await postModern(rig, "subscriptions/listen", { notifications });
  assert.equal(second.status, 429);
  assert.match(String(objectOf(second.json()["error"])["message"]), /listens on 1 streams/);
  const deaf = await postModern(
    rig,
    "subscriptions/listen",
    { notifications },
    { accept: "application/json" },
  );
  assert.equal(deaf.status, 406);
  response.destroy();
});

test("D1 subscriptions/listen sends the changes of tasks, to a client that declares them, as long as it has the right", async () => {
  const gateway = createListening();
  const task = { backend: "b", tool: "x", originalTool: "x", id: "t", taskLocation: "h", mark: null };
  gateway.taskOf = (_, method, params) =>
    method === "tasks/watch" && String(params?.["taskId"]).startsWith("ok") ? task : null;
  gateway.handle = async (request) =>
    request.task === task ? { result: {} } : errorReply(-32602, "Unknown task");
  await using rig = await startRig(gateway);
  const refused = await postModern(rig, "subscriptions/listen", { notifications: { taskIds: ["ok 1"] } });
  assert.deepEqual([refused.status, objectOf(refused.json()["error"])["code"]], [400, -32021]);
  const _meta = { [META.clientCapabilities]: { extensions: { "io.modelcontextprotocol/tasks": {} } } };
  const listenFor = async (taskIds: unknown) => {
    const { response } = await openModern(
      rig,
      "subscriptions/listen",
      { notifications: { taskIds }, _meta },
      "l",
    );
    return { response, stream: collect(response) };
  };
  const { stream } = await listenFor(["ok 1", "bad", "ok 1"]);
  await eventually(() => stream.messages.length === 1);
  assert.deepEqual(objectOf(stream.messages[0]?.["params"])["notifications"], { taskIds: ["ok 1"] });
  const session = onlySession(gateway);
  const tell = (taskId: string): void => session.notify("notifications/tasks", { taskId, status: "working" });
  tell("bad");
  tell("ok 1");
  gateway.mayFollow = () => false;
  tell("ok 1");
  gateway.mayFollow = () => true;
  // A result over the size is asked for, where it is cut.
  gateway.isSmall = () => false;
  tell("ok 1");
  await eventually(() => stream.messages.length === 2);
  assert.deepEqual(stream.messages[1], {
    jsonrpc: "2.0",
    method: "notifications/tasks",
    params: { taskId: "ok 1", status: "working", _meta: { [META.subscriptionId]: "l" } },
  });
  session.notify("notifications/mountaineer/tasks_lost", undefined);
  await eventually(() => stream.ended());
  assert.equal(stream.messages.length, 3);
  assert.deepEqual(objectOf(stream.messages[2]?.["result"])["resultType"], "complete");
  for (const wrong of ["ok 1", [1], Array.from({ length: 101 }, (_, index) => `ok ${index}`)]) {
    const { stream: bad } = await listenFor(wrong);
    await eventually(() => bad.ended());
  }
  assert.equal(gateway.sessions.size, 0);
});
