import assert from "node:assert/strict";
import { test } from "node:test";
import { createMoving } from "../../src/mcp-bridge/mcp-bridge.ts";
import { createMessageScan } from "../../src/mcp-bridge/message-scan.ts";
import { createBridgeSession, MOST_WAITING, NotTakenYet } from "../../src/mcp-bridge/session.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { assertEach } from "../support/assert-each.ts";
import { createManualClock, settle } from "../support/manual-clock.ts";
import { pluck } from "../support/pluck.ts";

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: object;
  readonly error?: { readonly code: number; readonly message: string };
}

const LOST = "the daemon ended before it answered; it is not known whether the call took effect";
const CAPABILITIES = { tools: { listChanged: true }, resources: { listChanged: true }, prompts: {} };

/** A session as its bridge has it, with what either side was told. */
function startScene() {
  const client: Message[] = [];
  const gateway: Message[] = [];
  const session = createBridgeSession({
    sendToClient: (json) => client.push(JSON.parse(json)),
    sendToGateway: (json) => gateway.push(JSON.parse(json)),
  });
  const lineOf = (message: unknown) => {
    const line = Buffer.from(typeof message === "string" ? message : JSON.stringify(message));
    const scan = createMessageScan();
    scan.push(line);
    return [scan.end(), line] as const;
  };
  const self = {
    client,
    gateway,
    session,
    says: (message: unknown) => session.fromClient(...lineOf(message)),
    answers: (message: unknown) => session.fromGateway(...lineOf(message)),
    /** Says it while no daemon is there. */
    saysToNobody: (message: unknown) => session.refuse(...lineOf(message)),
    /** A request, and its result. */
    asks(id: unknown, method: string, params: object, reply: object = { result: {} }) {
      self.says({ id, method, params });
      assert.equal(self.answers({ id, ...reply }), true);
    },
    begins(version = "2025-11-25") {
      const params = { protocolVersion: version, capabilities: { roots: {} }, clientInfo: { name: "a" } };
      self.asks(0, "initialize", params, {
        result: { protocolVersion: version, capabilities: CAPABILITIES },
      });
      self.says({ method: "notifications/initialized" });
      return params;
    },
    /** Takes the session up with a gateway that answers its initialize so. */
    async resumes(reply: object = { result: { protocolVersion: "2025-11-25" } }) {
      gateway.length = 0;
      const resumed = session.resume();
      const [hello] = gateway;
      assert.equal(hello?.method, "initialize");
      assert.equal(self.answers({ id: hello.id, ...reply }), false);
      await resumed;
      return gateway.slice(1);
    },
  };
  return self;
}

test("a client that has sent nothing is resumed without a message", async () => {
  const { session, client, gateway } = startScene();
  session.lost();
  await session.resume();
  assert.deepEqual([client, gateway], [[], []]);
});

test("B7 after a handover the next daemon compares the lists; after a crash the client is notified of all lists", async () => {
  const scene = startScene();
  scene.begins();
  const lists = { tools: "1", resources: "2", prompts: "3" };
  const params = { _meta: { "mountaineer/lists": lists } };
  assert.equal(scene.answers({ method: "notifications/mountaineer/handover", params }), false);
  for (const [known, notices] of [
    [lists, 0],
    [undefined, 2],
  ] as const) {
    scene.session.lost();
    const resuming = scene.session.resume();
    const hello = scene.gateway.findLast(({ method }) => method === "initialize");
    assert.deepEqual((hello?.params as typeof params | undefined)?._meta?.["mountaineer/lists"], known);
    scene.answers({ id: hello?.id, result: { protocolVersion: "2025-11-25" } });
    await resuming;
    assert.equal(scene.client.length, notices);
  }
});

test("a session is resumed unchanged: with the client's own statements, its level and its subscriptions", async () => {
  const scene = startScene();
  const params = scene.begins();
  scene.asks(1, "logging/setLevel", { level: "error" });
  scene.asks(2, "logging/setLevel", { level: "loud" }, { error: { code: -32602, message: "no" } });
  for (const [id, uri] of ["a:1", "a:2", "a:3"].entries()) scene.asks(id, "resources/subscribe", { uri });
  scene.asks(6, "resources/unsubscribe", { uri: "a:2" });
  scene.asks(7, "resources/subscribe", { uri: "a:4" }, { error: { code: -32002, message: "unknown" } });
  scene.session.lost();
  assert.deepEqual(scene.client, []);
  const told = await scene.resumes();
  assert.deepEqual(
    told.map(({ method, params: given }) => [method, given]),
    [
      ["notifications/initialized", undefined],
      ["logging/setLevel", { level: "error" }],
      ["resources/subscribe", { uri: "a:1" }],
      ["resources/subscribe", { uri: "a:3" }],
    ],
  );
  for (const { id } of told.slice(1)) assert.equal(scene.answers({ id, result: {} }), false);
  assert.deepEqual(scene.client, [
    { jsonrpc: "2.0", method: "notifications/tools/list_changed" },
    { jsonrpc: "2.0", method: "notifications/resources/list_changed" },
    ...["a:1", "a:3"].map((uri) => ({
      jsonrpc: "2.0",
      method: "notifications/resources/updated",
      params: { uri },
    })),
  ]);
  scene.session.lost();
  const resuming = scene.session.resume();
  const hello = scene.gateway.at(-1);
  assert.deepEqual(hello?.params, params);
  assert.notEqual(hello?.id, 0);
  scene.answers({ id: hello?.id, result: { protocolVersion: "2025-11-25" } });
  await resuming;
});

test("a client that has not sent initialized gets no list changes, and sends it itself", async () => {
  const scene = startScene();
  scene.asks(0, "initialize", {}, { result: { protocolVersion: "2025-11-25", capabilities: CAPABILITIES } });
  scene.session.lost();
  assert.deepEqual(await scene.resumes(), []);
  assert.deepEqual(scene.client, []);
});

test("calls in flight fail, except lists, which are requested again, once", async () => {
  const scene = startScene();
  scene.begins();
  const list = '{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/list"}\n';
  scene.says(list);
  scene.says({ id: "call", method: "tools/call", params: { name: "pay" } });
  scene.says({ id: 5, method: "logging/setLevel", params: { level: "error" } });
  scene.says({ id: 6, method: "tools/call", params: {} });
  scene.says({ method: "notifications/cancelled", params: { requestId: 6 } });
  scene.says([{ id: 8, method: "ping" }, 3, { id: 9, method: "tools/list" }]);
  assert.equal(scene.session.inFlight, 5);
  scene.session.lost();
  assert.deepEqual(
    pluck(scene.client, "id", "error"),
    ["call", 5, 8, 9].map((id) => [id, { code: -32000, message: LOST }]),
  );
  const told = await scene.resumes();
  assert.deepEqual(told.slice(1), [JSON.parse(list)], "with the level as it was");
  scene.client.length = 0;
  scene.session.lost();
  assert.deepEqual(scene.client[0]?.error?.message, LOST, "it may be what ended the daemon");
  assert.deepEqual((await scene.resumes()).slice(1), []);
});

test("the digits of an id are reported as received", () => {
  const texts: string[] = [];
  const session = createBridgeSession({ sendToClient: (json) => texts.push(json), sendToGateway() {} });
  session.fromClient([{ id: "12345678901234567890", method: "tools/call" }], null);
  session.lost();
  assert.match(texts[0] ?? "", /"id":12345678901234567890,/u);
});

test("an unanswered initialize is repeated unchanged, under the client's own id", async () => {
  const { says, session, gateway, client } = startScene();
  const initialize = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-06-18" },
  };
  says(initialize);
  session.lost();
  await session.resume();
  assert.deepEqual(gateway, [initialize]);
  assert.deepEqual(client, []);
});

test("unanswered questions are withdrawn, and only those", () => {
  const { says, answers, session, client } = startScene();
  for (const id of ["m-1", "m-2", "m-3"]) answers({ id, method: "sampling/createMessage", params: {} });
  says({ id: "m-1", result: {} });
  answers({ method: "notifications/cancelled", params: { requestId: "m-2" } });
  session.lost();
  session.lost();
  assert.deepEqual(client, [
    {
      jsonrpc: "2.0",
      method: "notifications/cancelled",
      params: { requestId: "m-3", reason: "the daemon ended" },
    },
  ]);
});

test("a client that has fallen silent gets no further requests, and none are repeated for it", () => {
  const { says, answers, session, client } = startScene();
  answers({ id: "m-1", method: "roots/list" });
  says({ id: 1, method: "tools/list" });
  session.fallSilent();
  answers({ id: "m-2", method: "roots/list" });
  session.lost();
  assertEach(client, ({ id, error }) => [id, error?.message], [[1, LOST]]);
});

test("B11 a gateway that refuses the session does not get it yet, one that speaks another version never", async () => {
  const scene = startScene();
  scene.begins();
  await assert.rejects(scene.resumes({ error: { code: -32603, message: "no" } }), (error) => {
    assert.ok(error instanceof NotTakenYet);
    assert.match(error.message, /it answers initialize with .*no/u);
    return true;
  });
  scene.session.lost();
  await assert.rejects(scene.resumes({ result: { protocolVersion: "2099-01-01" } }), {
    code: "daemon_unreachable",
    message: /it speaks MCP 2099-01-01, but the client began with 2025-11-25/u,
  });
});

test("an initialize that failed begins nothing", async () => {
  const { asks, session, gateway } = startScene();
  asks(1, "initialize", {}, { error: { code: -32602, message: "no" } });
  session.lost();
  await session.resume();
  assert.deepEqual(gateway, []);
});

test("a subscription that the new gateway refuses is requested again when its resources change", async () => {
  const scene = startScene();
  scene.begins();
  for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/subscribe", { uri });
  scene.session.lost();
  const refusal = { error: { code: -32002, message: "unknown resource" } };
  for (const { id, params } of (await scene.resumes()).slice(1)) {
    for (const _ of ["once", "once more"])
      scene.answers({ id, ...(params?.["uri"] === "a:1" ? { result: {} } : refusal) });
  }
  const changed = { method: "notifications/resources/list_changed" };
  for (const reply of [refusal, { result: {} }]) {
    scene.gateway.length = 0;
    assert.equal(scene.answers(changed), true);
    assertEach(scene.gateway, ({ params }) => params?.["uri"], ["a:2"]);
    scene.answers({ id: scene.gateway[0]?.id, ...reply });
  }
  scene.gateway.length = 0;
  scene.answers(changed);
  assert.deepEqual(scene.gateway, []);
  for (const isEnded of [true, false]) {
    scene.session.lost();
    for (const { id } of (await scene.resumes()).slice(1)) scene.answers({ id, ...refusal });
    if (isEnded)
      for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/unsubscribe", { uri });
    else {
      scene.session.lost();
      for (const { id } of (await scene.resumes()).slice(1)) scene.answers({ id, result: {} });
    }
    scene.gateway.length = 0;
    scene.answers(changed);
    assert.deepEqual(scene.gateway, [], isEnded ? "the client has ended them" : "the next gateway took them");
    for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/subscribe", { uri });
  }
});

test("answers owed by a lost gateway to the bridge are forgotten", async () => {
  const scene = startScene();
  scene.begins();
  let isResumed = false;
  void scene.session.resume().then(() => {
    isResumed = true;
  });
  const hello = scene.gateway.at(-1);
  scene.session.lost();
  scene.answers({ id: hello?.id, result: { protocolVersion: "2025-11-25" } });
  await settle();
  assert.equal(isResumed, false);
});

test("a message that was cut off is reported as having had no effect", () => {
  const { session, client } = startScene();
  session.notTaken([
    { id: "7", method: "tools/call" },
    { id: null, method: "notifications/progress" },
    { id: '"m"', method: null },
  ]);
  assert.deepEqual(pluck(client, "id"), [7]);
  assert.match(client[0]?.error?.message ?? "", /took no effect/u);
});

const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";
const listenRequest = (id: unknown, notifications: object): object => ({
  jsonrpc: "2.0",
  id,
  method: "subscriptions/listen",
  params: { notifications, _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } },
});
const acknowledged = (id: unknown, notifications: object): object => ({
  method: "notifications/subscriptions/acknowledged",
  params: { notifications, _meta: { [SUBSCRIPTION_ID]: id } },
});

test("the bridge's memory is bounded, whatever a client or a gateway sends", async () => {
  const scene = startScene();
  const { says, answers, session } = scene;
  scene.begins();
  for (let id = 1; id < MOST_WAITING + 100; id += 1) {
    scene.asks(id, "resources/subscribe", { uri: `a:${id}` });
    answers({ id, method: "roots/list" });
    says({ id, method: "subscriptions/listen" });
  }
  assert.equal(session.openQuestions, MOST_WAITING);
  assert.equal(session.inFlight, 99, "the streams beyond the limit wait for an answer");
  for (let id = 0; id < MOST_WAITING + 100; id += 1) says({ id, method: "tools/call" });
  assert.equal(session.inFlight, MOST_WAITING);
  session.lost();
  const uris = (await scene.resumes()).flatMap(({ params }) => params?.["uri"] ?? []);
  assert.deepEqual([uris.length, uris[0]], [MOST_WAITING, "a:100"]);
});

test("overlong requests and those that the client has ended are not restored or requested again", async () => {
  const long = "x".repeat(5_000);
  const listen = listenRequest(3, { toolsListChanged: true });
  type Scene = ReturnType<typeof startScene>;
  const table: readonly (readonly [string, (scene: Scene) => void])[] = [
    ["a long URI", ({ asks }) => asks(1, "resources/subscribe", { uri: long })],
    ["a long level", ({ asks }) => asks(1, "logging/setLevel", { level: long })],
    ["a long list request", ({ says }) => says({ id: 1, method: "tools/list", params: { cursor: long } })],
    ["a request to listen in a batch", ({ says }) => says([listen])],
    [
      "an ended subscription",
      ({ asks, says }) => {
        asks(1, "resources/subscribe", { uri: "a:1" });
        says({ id: 2, method: "resources/unsubscribe", params: { uri: "a:1" } });
      },
    ],
    [
      "a subscription that is ended before its answer",
      ({ says, answers }) => {
        says({ id: 1, method: "resources/subscribe", params: { uri: "a:1" } });
        says({ id: 2, method: "resources/unsubscribe", params: { uri: "a:1" } });
        for (const id of [1, 2]) answers({ id, result: {} });
      },
    ],
    [
      "an ended stream",
      ({ says, answers }) => {
        says(listen);
        answers({ id: 3, result: {} });
      },
    ],
  ];
  for (const [what, happen] of table) {
    const scene = startScene();
    scene.begins();
    happen(scene);
    scene.session.lost();
    assertEach(await scene.resumes(), ({ method }) => method, ["notifications/initialized"], what);
  }
});

test("a client sends initialized while there is no daemon, and the next one receives it", async () => {
  const scene = startScene();
  scene.asks(0, "initialize", {}, { result: { protocolVersion: "2025-11-25", capabilities: CAPABILITIES } });
  scene.session.lost();
  scene.says({ id: 1, method: "tools/list" });
  scene.session.refuseWaiting();
  assert.equal(scene.session.inFlight, 0);
  scene.saysToNobody({ method: "notifications/initialized" });
  assertEach(await scene.resumes(), ({ method }) => method, ["notifications/initialized"]);
});

test("B11 a client does not move while it owes an answer", () => {
  const { session, says, answers } = startScene();
  answers({ method: "notifications/mountaineer/handover" });
  answers({ id: "m-1", method: "roots/list" });
  assert.equal(session.mayMove, false);
  says({ id: "m-1", result: {} });
  assert.equal(session.mayMove, true);
  says({ id: 1, method: "tools/call" });
  assert.equal(session.mayMove, false, "nor while it is owed one");
  answers({ id: 1, result: {} });
  assert.equal(session.mayMove, true);
  session.lost();
  assert.deepEqual(
    [session.mayMove, session.movesOn],
    [false, false],
    "the next daemon has handed over nothing",
  );
});

test("D2 a client of 2026-07-28 keeps listening with the next daemon, and is notified of possible changes", async () => {
  const scene = startScene();
  const { session, client, gateway } = scene;
  scene.says(listenRequest("a", { toolsListChanged: true }));
  assert.equal(scene.answers(acknowledged("a", { toolsListChanged: true })), true);
  assert.equal(session.inFlight, 0);
  session.lost();
  assert.deepEqual(client, []);
  await session.resume();
  assert.deepEqual(gateway, [listenRequest("a", { toolsListChanged: true })]);
  assert.equal(scene.answers(acknowledged("a", { toolsListChanged: true })), false);
  assert.deepEqual(client, [
    {
      jsonrpc: "2.0",
      method: "notifications/tools/list_changed",
      params: { _meta: { [SUBSCRIPTION_ID]: "a" } },
    },
  ]);
  // A further one is the client's own.
  assert.equal(scene.answers(acknowledged("a", { toolsListChanged: true })), true);
});

test("D2 streams that end because another daemon takes over do not end for the client, others do", () => {
  const scene = startScene();
  const { session } = scene;
  scene.says(listenRequest(1, { toolsListChanged: true }));
  scene.says(listenRequest(2, { toolsListChanged: true }));
  assert.equal(scene.answers({ id: 2, result: { resultType: "complete" } }), true);
  assert.equal(scene.answers({ method: "notifications/mountaineer/handover" }), false);
  assert.equal(session.mayMove, true);
  assert.equal(scene.answers({ id: 1, result: { resultType: "complete" } }), false);
  assert.equal(session.mayMove, true);
});

test("D2 a stream that was cancelled is not requested again, and one too long to store ends with an error", async () => {
  const scene = startScene();
  const { session, client, gateway } = scene;
  scene.says(listenRequest(1, { toolsListChanged: true }));
  scene.says({ method: "notifications/cancelled", params: { requestId: 1 } });
  scene.says(listenRequest(2, { resourceSubscriptions: ["x".repeat(70_000)] }));
  session.lost();
  assertEach(client, ({ id, error }) => [id, error?.code], [[2, -32000]]);
  session.lost();
  assert.equal(client.length, 1, "once");
  await session.resume();
  assert.deepEqual(gateway, []);
});

test("B11 D2 a stream that is cancelled while there is no daemon is not requested again, others are", async () => {
  const scene = startScene();
  const { session, client, gateway } = scene;
  const kept = listenRequest(2, { toolsListChanged: true });
  scene.says(listenRequest(1, { toolsListChanged: true }));
  scene.says(kept);
  session.lost();
  session.refuseWaiting();
  scene.saysToNobody({ method: "notifications/cancelled", params: { requestId: 1 } });
  await session.resume();
  assert.deepEqual(gateway, [kept]);
  assert.deepEqual(client, []);
});

test("B11 a ping and the end of a subscription are answered while there is no daemon", async () => {
  const scene = startScene();
  scene.begins();
  for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/subscribe", { uri });
  scene.session.lost();
  scene.session.refuseWaiting();
  scene.saysToNobody({ id: 8, method: "ping" });
  scene.saysToNobody({ id: 9, method: "resources/unsubscribe", params: { uri: "a:1" } });
  scene.saysToNobody({ id: 10, method: "resources/unsubscribe", params: {} });
  scene.saysToNobody({ id: 11, method: "resources/subscribe", params: { uri: "a:3" } });
  assert.deepEqual(
    scene.client.map(({ id, result, error }) => [id, result ?? error?.code]),
    [
      [8, {}],
      [9, {}],
      [10, -32000],
      [11, -32000],
    ],
  );
  const told = await scene.resumes();
  assert.deepEqual(
    told.filter(({ method }) => method === "resources/subscribe").map(({ params }) => params?.["uri"]),
    ["a:2"],
  );
});

test("D2 discovery is requested again, a call of 2026-07-28 is not", async () => {
  const scene = startScene();
  const { session, client, gateway } = scene;
  const discover = { jsonrpc: "2.0", id: 1, method: "server/discover", params: {} };
  scene.says(discover);
  scene.says({ jsonrpc: "2.0", id: 2, method: "tools/call", params: {} });
  session.lost();
  assert.deepEqual(pluck(client, "id"), [2]);
  await session.resume();
  assert.deepEqual(gateway, [discover]);
});

function groupScene() {
  const gateway: Message[] = [];
  const session = createBridgeSession({
    sendToClient: () => {},
    sendToGateway: (json) => gateway.push(JSON.parse(json)),
    group: "work",
  });
  /** What came of it when the gateway answers so: null, or the error. */
  const asked = async (answer: object): Promise<unknown> => {
    gateway.length = 0;
    const resumed = session.resume().then(
      () => null,
      (error: unknown) => error,
    );
    const [question] = gateway;
    assert.deepEqual([question?.method, question?.params], ["mountaineer/group", { name: "work" }]);
    const line = Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: question?.id, ...answer }));
    const scan = createMessageScan();
    scan.push(line);
    assert.equal(session.fromGateway(scan.end(), line), false, "it is not the client's");
    return await resumed;
  };
  const refused = async (code: number, message = "no"): Promise<unknown> => {
    const error = await asked({ error: { code, message } });
    return error instanceof MountaineerError ? [error.code, error.message] : error;
  };
  return { session, asked, refused };
}

test("D4 a group is requested before the session continues, and one that is not configured is refused", async () => {
  assert.equal(await groupScene().asked({ result: {} }), null);
  assert.deepEqual(await groupScene().refused(-32602), ["group_unknown", 'no group "work" is configured']);
});

test("D4 a gateway that is stopping has not refused the group", async () => {
  const { session, asked, refused } = groupScene();
  const stopping = await refused(-32600, "the gateway is stopping");
  assert.ok(stopping instanceof NotTakenYet);
  assert.match(stopping.message, /it answers mountaineer\/group with .*stopping/u);
  session.lost();
  assert.equal(await asked({ result: {} }), null);
  session.lost();
  assert.deepEqual(await refused(-32602), ["group_unknown", 'no group "work" is configured']);
});

/** A client of a daemon that hands over, with a call in flight there. */
function startMoving() {
  const clock = createManualClock();
  const session = { movesOn: true, mayMove: false, openQuestions: 0 };
  const passage = { isMidway: false };
  const counts = { kept: 0, ended: 0 };
  const inbox = { ended: false, keep: () => void counts.kept++ };
  const connection = { end: () => void counts.ended++ };
  const moving = createMoving({ session, passage, inbox, connection, clock });
  return { clock, session, passage, inbox, counts, moving, look: moving.check };
}

test("B11 a client moves when nothing is in flight, and is paused for that after 5 s", async () => {
  const { clock, session, counts, moving, look } = startMoving();
  look();
  await clock.advance(4_999);
  assert.deepEqual(counts, { kept: 0, ended: 0 });
  await clock.advance(1);
  assert.deepEqual(counts, { kept: 1, ended: 0 });
  session.mayMove = true;
  look();
  look();
  assert.deepEqual([counts.ended, moving.moved, clock.pendingTimers], [1, true, 0]);
});

test("B11 a client does not move within a line, nor after its last message", () => {
  const { clock, session, passage, inbox, counts, look } = startMoving();
  session.mayMove = true;
  inbox.ended = true;
  look();
  assert.deepEqual([counts, clock.pendingTimers], [{ kept: 0, ended: 0 }, 0]);
  inbox.ended = false;
  passage.isMidway = true;
  look();
  assert.deepEqual([counts, clock.pendingTimers], [{ kept: 0, ended: 0 }, 1]);
});

for (const isLine of [false, true]) {
  const what = isLine ? "a line that has been begun" : "an answer that is owed";
  test(`B11 ${what} still goes to the previous daemon`, async () => {
    const { clock, session, passage, counts, look } = startMoving();
    session.openQuestions = isLine ? 0 : 1;
    passage.isMidway = isLine;
    look();
    await clock.advance(5_000);
    assert.equal(counts.kept, 0);
    session.openQuestions = 0;
    passage.isMidway = false;
    await clock.advance(5_000);
    assert.equal(counts.kept, 1);
  });
}

test("D7 the client's folder is sent before the session continues, even to a daemon that does not know the message", async () => {
  for (const answer of [{ result: {} }, { error: { code: -32600, message: "initialize comes first" } }]) {
    const gateway: Message[] = [];
    const session = createBridgeSession({
      sendToClient: () => {},
      sendToGateway: (json) => gateway.push(JSON.parse(json)),
      folder: "/work/project",
    });
    const resumed = session.resume();
    const [told] = gateway;
    assert.deepEqual([told?.method, told?.params], ["mountaineer/folder", { path: "/work/project" }]);
    const line = Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: told?.id, ...answer }));
    const scan = createMessageScan();
    scan.push(line);
    assert.equal(session.fromGateway(scan.end(), line), false, "it is not the client's");
    await resumed;
  }
});
