import assert from "node:assert/strict";
import { test } from "node:test";
import { NotTakenYet } from "../../src/mcp-bridge/lasting-effects.ts";
import { createMessageScan } from "../../src/mcp-bridge/message-scan.ts";
import { MOST_WAITING } from "../../src/mcp-bridge/messages.ts";
import { BridgeSession } from "../../src/mcp-bridge/session.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { objectOf } from "../../src/runtime/text/json-object.ts";
import { assertEach } from "../support/assert-each.ts";
import { settle } from "../support/manual-clock.ts";
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

const lineOf = (message: unknown) => {
  const line = Buffer.from(typeof message === "string" ? message : JSON.stringify(message));
  const scan = createMessageScan();
  scan.push(line);
  return [scan.end(), line] as const;
};

interface Options {
  readonly group?: string | null;
  readonly folder?: string | null;
}

/** A session at one gateway after the other, with all messages that the client and the gateways get. */
function openScene({ group = null, folder = null }: Options = {}) {
  const client: Message[] = [];
  const gateway: Message[] = [];
  const texts: string[] = [];
  const session = new BridgeSession({
    sendToClient(json) {
      texts.push(json);
      client.push(JSON.parse(json));
    },
    group,
    folder,
  });
  const join = () => session.join((bytes) => gateway.push(JSON.parse(bytes.toString())));
  let at = join();
  const self = {
    ...{ client, gateway, texts, session },
    says(message: unknown) {
      const [messages, line] = lineOf(message);
      return session.fromClient(messages, line);
    },
    answers: (message: unknown, from = at) => session.fromGateway(from, ...lineOf(message)),
    get at() {
      return at;
    },
    /** The connection is gone, and there is another one. */
    lost() {
      session.lost(at);
      at = join();
    },
    handsOver(params?: object) {
      assert.equal(self.answers({ method: "notifications/mountaineer/handover", params }), false);
      const before = at;
      at = join();
      return before;
    },
    async resume() {
      const gateway = at;
      await session.introduce(gateway);
      session.continueAt(gateway);
    },
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
      const resumed = self.resume();
      const [hello] = gateway;
      assert.equal(hello?.method, "initialize");
      assert.equal(self.answers({ id: hello.id, ...reply }), false);
      await resumed;
      return gateway.slice(1);
    },
  };
  return self;
}

/** As `openScene`; the first gateway takes the client's requests. */
async function startScene() {
  const scene = openScene();
  await scene.resume();
  return scene;
}

test("B7 after a handover the next daemon compares the lists; after a crash the client is notified of all lists", async () => {
  const scene = await startScene();
  scene.begins();
  const lists = { tools: "1", resources: "2", prompts: "3" };
  const params = { _meta: { "mountaineer/lists": lists } };
  scene.handsOver(params);
  for (const [known, notices] of [
    [lists, 0],
    [undefined, 2],
  ] as const) {
    const resuming = scene.resume();
    const hello = scene.gateway.findLast(({ method }) => method === "initialize");
    assert.deepEqual((hello?.params as typeof params | undefined)?._meta?.["mountaineer/lists"], known);
    scene.answers({ id: hello?.id, result: { protocolVersion: "2025-11-25" } });
    await resuming;
    assert.equal(scene.client.length, notices);
    scene.lost();
  }
});

test("a session is resumed unchanged: with the client's own statements, its level and its subscriptions", async () => {
  const scene = await startScene();
  const params = scene.begins();
  scene.asks(1, "logging/setLevel", { level: "error" });
  scene.asks(2, "logging/setLevel", { level: "loud" }, { error: { code: -32602, message: "no" } });
  for (const [id, uri] of ["a:1", "a:2", "a:3"].entries()) scene.asks(id, "resources/subscribe", { uri });
  scene.asks(6, "resources/unsubscribe", { uri: "a:2" });
  scene.asks(7, "resources/subscribe", { uri: "a:4" }, { error: { code: -32002, message: "unknown" } });
  scene.lost();
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
  scene.lost();
  const resuming = scene.resume();
  const hello = scene.gateway.at(-1);
  assert.deepEqual(hello?.params, params);
  assert.notEqual(hello?.id, 0);
  scene.answers({ id: hello?.id, result: { protocolVersion: "2025-11-25" } });
  await resuming;
});

test("a client that has not sent initialized gets no list changes, and sends it itself", async () => {
  const scene = await startScene();
  scene.asks(0, "initialize", {}, { result: { protocolVersion: "2025-11-25", capabilities: CAPABILITIES } });
  scene.lost();
  assert.deepEqual(await scene.resumes(), []);
  assert.deepEqual(scene.client, []);
});

test("calls in flight fail, except lists, which are requested again, once", async () => {
  const scene = await startScene();
  scene.begins();
  const list = '{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/list"}\n';
  scene.says(list);
  scene.says({ id: "call", method: "tools/call", params: { name: "pay" } });
  scene.says({ id: 5, method: "logging/setLevel", params: { level: "error" } });
  scene.says({ id: 6, method: "tools/call", params: {} });
  scene.says({ method: "notifications/cancelled", params: { requestId: 6 } });
  scene.says([{ id: 8, method: "ping" }, 3, { id: 9, method: "tools/list" }]);
  assert.equal(scene.session.inFlight, 5);
  scene.lost();
  assert.deepEqual(
    pluck(scene.client, "id", "error"),
    ["call", 5, 8, 9].map((id) => [id, { code: -32000, message: LOST }]),
  );
  const told = await scene.resumes();
  assert.deepEqual(told.slice(1), [JSON.parse(list)], "with the level as it was");
  scene.client.length = 0;
  scene.lost();
  assert.deepEqual(scene.client[0]?.error?.message, LOST, "it may be what ended the daemon");
  assert.deepEqual((await scene.resumes()).slice(1), []);
});

test("the digits of an id are reported as received", async () => {
  const scene = await startScene();
  scene.says('{"id":12345678901234567890,"method":"tools/call"}');
  scene.lost();
  assert.match(scene.texts[0] ?? "", /"id":12345678901234567890,/u);
});

test("an unanswered initialize is repeated unchanged, under the client's own id", async () => {
  const scene = await startScene();
  const { says, gateway, client } = scene;
  const initialize = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-06-18" },
  };
  says(initialize);
  scene.lost();
  await scene.resume();
  assert.deepEqual(gateway, [initialize]);
  assert.deepEqual(client, []);
});

test("unanswered questions are withdrawn, and only those", async () => {
  const scene = await startScene();
  const { says, answers, client } = scene;
  for (const id of ["m-1", "m-2", "m-3"]) answers({ id, method: "sampling/createMessage", params: {} });
  says({ id: "m-1", result: {} });
  answers({ method: "notifications/cancelled", params: { requestId: "m-2" } });
  scene.lost();
  scene.lost();
  assert.deepEqual(client, [
    {
      jsonrpc: "2.0",
      method: "notifications/cancelled",
      params: { requestId: "m-3", reason: "the daemon ended" },
    },
  ]);
});

test("a client that has fallen silent gets no further requests, and none are repeated for it", async () => {
  const scene = await startScene();
  const { says, answers, session, client } = scene;
  answers({ id: "m-1", method: "roots/list" });
  says({ id: 1, method: "tools/list" });
  session.fallSilent();
  answers({ id: "m-2", method: "roots/list" });
  scene.lost();
  assertEach(client, ({ id, error }) => [id, error?.message], [[1, LOST]]);
});

test("an initialize that failed begins nothing", async () => {
  const scene = await startScene();
  const { asks, gateway } = scene;
  asks(1, "initialize", {}, { error: { code: -32602, message: "no" } });
  scene.lost();
  await scene.resume();
  assert.deepEqual(gateway, []);
});

test("a subscription that the new gateway refuses is requested again when its resources change", async () => {
  const scene = await startScene();
  scene.begins();
  for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/subscribe", { uri });
  scene.lost();
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
    scene.lost();
    for (const { id } of (await scene.resumes()).slice(1)) scene.answers({ id, ...refusal });
    if (isEnded)
      for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/unsubscribe", { uri });
    else {
      scene.lost();
      for (const { id } of (await scene.resumes()).slice(1)) scene.answers({ id, result: {} });
    }
    scene.gateway.length = 0;
    scene.answers(changed);
    assert.deepEqual(scene.gateway, [], isEnded ? "the client has ended them" : "the next gateway took them");
    for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/subscribe", { uri });
  }
});

test("answers owed by a lost gateway to the bridge are forgotten", async () => {
  const scene = await startScene();
  scene.begins();
  let isResumed = false;
  void scene.resume().then(() => {
    isResumed = true;
  });
  const hello = scene.gateway.at(-1);
  scene.lost();
  scene.answers({ id: hello?.id, result: { protocolVersion: "2025-11-25" } });
  await settle();
  assert.equal(isResumed, false);
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
  const scene = await startScene();
  const { says, answers, session } = scene;
  scene.begins();
  for (let id = 1; id < MOST_WAITING + 100; id += 1) {
    scene.asks(id, "resources/subscribe", { uri: `a:${id}` });
    answers({ id, method: "roots/list" });
    says({ id, method: "subscriptions/listen" });
  }
  assert.equal(scene.at.questions.size, MOST_WAITING);
  assert.equal(session.inFlight, 99, "the streams beyond the limit wait for an answer");
  for (let id = 0; id < MOST_WAITING + 100; id += 1) says({ id, method: "tools/call" });
  assert.equal(session.inFlight, MOST_WAITING);
  scene.lost();
  const uris = (await scene.resumes()).flatMap(({ params }) => params?.["uri"] ?? []);
  assert.deepEqual([uris.length, uris[0]], [MOST_WAITING, "a:100"]);
});

test("overlong requests and those that the client has ended are not restored or requested again", async () => {
  const long = "x".repeat(5_000);
  const listen = listenRequest(3, { toolsListChanged: true });
  type Scene = ReturnType<typeof openScene>;
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
    const scene = await startScene();
    scene.begins();
    happen(scene);
    scene.lost();
    assertEach(await scene.resumes(), ({ method }) => method, ["notifications/initialized"], what);
  }
});

test("a client sends initialized while there is no daemon, and the next one receives it", async () => {
  const scene = await startScene();
  scene.asks(0, "initialize", {}, { result: { protocolVersion: "2025-11-25", capabilities: CAPABILITIES } });
  scene.lost();
  scene.says({ id: 1, method: "tools/list" });
  scene.session.refuseWaiting();
  assert.equal(scene.session.inFlight, 0);
  scene.says({ method: "notifications/initialized" });
  assertEach(await scene.resumes(), ({ method }) => method, ["notifications/initialized"]);
});

test("B11 after a handover requests are the next daemon's at once, and the old one finishes what it has", async () => {
  const scene = await startScene();
  scene.begins();
  scene.says({ id: 1, method: "tools/call" });
  scene.answers({ id: "m-1", method: "roots/list" });
  const old = scene.handsOver();
  await scene.resumes();
  const { at: next } = scene;
  assert.deepEqual(scene.says({ id: 2, method: "tools/call" }), [next]);
  for (const message of [
    { id: "m-1", result: {} },
    { method: "notifications/progress", params: {} },
  ])
    assert.deepEqual(scene.says(message), [old, next], "either of them may wait for it");
  assert.equal(old.isIdle, false);
  scene.client.length = 0;
  assert.equal(scene.answers({ id: 1, result: {} }, old), true);
  assert.equal(old.isIdle, true);
  for (const method of ["tools/list_changed", "resources/updated"])
    assert.equal(scene.answers({ method: `notifications/${method}` }, old), false, "the next one notifies");
  scene.session.lost(old);
  assert.deepEqual([scene.client, scene.session.inFlight], [[], 1]);
});

test("B11 an old daemon that is lost fails its calls; lists are requested from the next one at once", async () => {
  const scene = await startScene();
  scene.begins();
  const list = { jsonrpc: "2.0", id: 1, method: "tools/list" };
  scene.says(list);
  scene.says({ id: 2, method: "tools/call" });
  const old = scene.handsOver({ _meta: { "mountaineer/lists": {} } });
  await scene.resumes();
  scene.gateway.length = 0;
  scene.session.lost(old);
  assert.deepEqual(scene.gateway, [list]);
  assertEach(scene.client, ({ id, error }) => [id, error?.message], [[2, LOST]]);
});

test("B11 a level and subscriptions that the old daemon confirms late are repeated at the next one", async () => {
  const scene = await startScene();
  scene.begins();
  scene.asks(1, "resources/subscribe", { uri: "a:1" });
  scene.says({ id: 2, method: "logging/setLevel", params: { level: "error" } });
  scene.says({ id: 3, method: "resources/subscribe", params: { uri: "a:2" } });
  scene.says({ id: 4, method: "resources/unsubscribe", params: { uri: "a:1" } });
  scene.says({ id: 5, method: "logging/setLevel", params: { level: "loud" } });
  const old = scene.handsOver();
  await scene.resumes();
  scene.gateway.length = 0;
  for (const id of [2, 3, 4]) scene.answers({ id, result: {} }, old);
  scene.answers({ id: 5, error: { code: -32602, message: "no" } }, old);
  assert.deepEqual(pluck(scene.gateway, "method", "params"), [
    ["logging/setLevel", { level: "error" }],
    ["resources/subscribe", { uri: "a:2" }],
    ["resources/unsubscribe", { uri: "a:1" }],
  ]);
});

test("a line that is too long fails its requests, and one of the gateway those that it answers", async () => {
  const scene = await startScene();
  scene.session.tooLong([{ id: "1", method: "tools/call" }]);
  scene.says({ id: 2, method: "tools/call" });
  scene.session.answersTooLong(scene.at, [{ id: "2", method: null }]);
  scene.session.answersTooLong(scene.at, [{ id: "3", method: null }]);
  const errors = scene.client.slice(-2).map(({ id, error }) => `${id} ${error?.message}`);
  assert.match(errors.join("; "), /^1 .* 128 MiB.* took no effect; 2 .* the call is done$/);
});

test("D2 a client of 2026-07-28 keeps listening with the next daemon, and is notified of possible changes", async () => {
  const scene = await startScene();
  const { session, client, gateway } = scene;
  scene.says(listenRequest("a", { toolsListChanged: true }));
  assert.equal(scene.answers(acknowledged("a", { toolsListChanged: true })), true);
  assert.equal(session.inFlight, 0);
  scene.lost();
  assert.deepEqual(client, []);
  await scene.resume();
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

test("D2 streams that end because another daemon takes over do not end for the client, others do", async () => {
  const scene = await startScene();
  scene.says(listenRequest(1, { toolsListChanged: true }));
  scene.says(listenRequest(2, { toolsListChanged: true }));
  assert.equal(scene.answers({ id: 2, result: { resultType: "complete" } }), true);
  const old = scene.handsOver();
  assert.equal(old.isIdle, true);
  assert.equal(scene.answers({ id: 1, result: { resultType: "complete" } }, old), false);
});

test("D2 a stream that was cancelled is not requested again, and one too long to store ends with an error", async () => {
  const scene = await startScene();
  const { client, gateway } = scene;
  scene.says(listenRequest(1, { toolsListChanged: true }));
  scene.says({ method: "notifications/cancelled", params: { requestId: 1 } });
  scene.says(listenRequest(2, { resourceSubscriptions: ["x".repeat(70_000)] }));
  scene.lost();
  assertEach(client, ({ id, error }) => [id, error?.code], [[2, -32000]]);
  scene.lost();
  assert.equal(client.length, 1, "once");
  await scene.resume();
  assert.deepEqual(gateway, []);
});

test("B11 D2 a stream that is cancelled while there is no daemon is not requested again, others are", async () => {
  const scene = await startScene();
  const { session, client, gateway } = scene;
  const kept = listenRequest(2, { toolsListChanged: true });
  scene.says(listenRequest(1, { toolsListChanged: true }));
  scene.says(kept);
  scene.lost();
  session.refuseWaiting();
  scene.says({ method: "notifications/cancelled", params: { requestId: 1 } });
  await scene.resume();
  assert.deepEqual(gateway, [kept]);
  assert.deepEqual(client, []);
});

test("B11 a ping and the end of a subscription are answered while there is no daemon", async () => {
  const scene = await startScene();
  scene.begins();
  for (const [id, uri] of ["a:1", "a:2"].entries()) scene.asks(id, "resources/subscribe", { uri });
  scene.lost();
  scene.session.refuseWaiting();
  scene.says({ id: 8, method: "ping" });
  scene.says({ id: 9, method: "resources/unsubscribe", params: { uri: "a:1" } });
  scene.says({ id: 10, method: "resources/unsubscribe", params: {} });
  scene.says({ id: 11, method: "resources/subscribe", params: { uri: "a:3" } });
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
  const scene = await startScene();
  const { client, gateway } = scene;
  const discover = { jsonrpc: "2.0", id: 1, method: "server/discover", params: {} };
  scene.says(discover);
  scene.says({ jsonrpc: "2.0", id: 2, method: "tools/call", params: {} });
  scene.lost();
  assert.deepEqual(pluck(client, "id"), [2]);
  await scene.resume();
  assert.deepEqual(gateway, [discover]);
});

function groupScene() {
  const scene = openScene({ group: "work" });
  const { gateway } = scene;
  /** The outcome if the gateway answers so: null, or the error. */
  const asked = async (answer: object): Promise<unknown> => {
    gateway.length = 0;
    const resumed = scene.resume().then(
      () => null,
      (error: unknown) => error,
    );
    const [question] = gateway;
    assert.deepEqual([question?.method, question?.params], ["mountaineer/group", { name: "work" }]);
    assert.equal(scene.answers({ id: question?.id, ...answer }), false, "it is not the client's");
    return await resumed;
  };
  const refused = async (code: number, message = "no"): Promise<unknown> => {
    const error = await asked({ error: { code, message } });
    return error instanceof MountaineerError ? [error.code, error.message] : error;
  };
  return { scene, asked, refused };
}

test("D4 a group is requested before the session continues, and one that is not configured is refused", async () => {
  assert.equal(await groupScene().asked({ result: {} }), null);
  assert.deepEqual(await groupScene().refused(-32602), ["group_unknown", 'no group "work" is configured']);
});

test("D4 a gateway that is stopping has not refused the group", async () => {
  const { scene, asked, refused } = groupScene();
  const stopping = await refused(-32600, "the gateway is stopping");
  assert.ok(stopping instanceof NotTakenYet);
  assert.match(stopping.message, /it answers mountaineer\/group with .*stopping/u);
  scene.lost();
  assert.equal(await asked({ result: {} }), null);
  scene.lost();
  assert.deepEqual(await refused(-32602), ["group_unknown", 'no group "work" is configured']);
});

test("D7 the client's folder is sent before the session continues, even to a daemon that does not know the message", async () => {
  for (const answer of [{ result: {} }, { error: { code: -32600, message: "initialize comes first" } }]) {
    const scene = openScene({ folder: "/work/project" });
    const resumed = scene.resume();
    const [told] = scene.gateway;
    const { mark, ...params } = objectOf(told?.params);
    assert.deepEqual([told?.method, params], ["mountaineer/folder", { path: "/work/project" }]);
    assert.equal(scene.answers({ id: told?.id, ...answer }), false, "it is not the client's");
    await resumed;
    scene.lost();
    void scene.resume();
    assert.equal(objectOf(scene.gateway.at(-1)?.params)["mark"], mark, "the next daemon knows it again");
  }
});
