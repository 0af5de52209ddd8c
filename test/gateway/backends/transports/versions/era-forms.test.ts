// What a server of 2026-07-28 is told and tells, in the form of 2025-11-25: the parts of the link, each alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { transportFailure } from "../../../../../src/gateway/backends/transports/backend-transport.ts";
import {
  type Asker,
  ElicitationRounds,
} from "../../../../../src/gateway/backends/transports/versions/elicitation-rounds.ts";
import {
  initializeResult,
  legacyReply,
  legacyRequest,
  modernCapabilities,
  modernParams,
  requestHeaders,
  withoutSubscription,
} from "../../../../../src/gateway/backends/transports/versions/legacy-form.ts";
import {
  Listening,
  resourceTopic,
  taskTopic,
} from "../../../../../src/gateway/backends/transports/versions/listening.ts";
import { judgeFailure, judgeReply } from "../../../../../src/gateway/backends/transports/versions/probe.ts";
import {
  errorReply,
  isError,
  type JsonObject,
  type Reply,
  type RpcRequest,
} from "../../../../../src/gateway/json-rpc.ts";
import { parseExactly } from "../../../../../src/runtime/text/exact-json.ts";
import { createManualClock } from "../../../../support/manual-clock.ts";
import { pluck } from "../../../../support/pluck.ts";

test("D1 an answer to server/discover shows the server's version", () => {
  const supports = (...supportedVersions: readonly string[]) => ({ result: { supportedVersions } });
  const cases = [
    [supports("2026-07-28"), "modern"],
    [supports("2027-01-01", "2026-07-28"), "modern"],
    [supports("2027-01-01", "2025-11-25"), "legacy"],
    [supports("2027-01-01"), "failed"],
    [{ result: {} }, "legacy"],
    [errorReply(-32601, "Method not found"), "legacy"],
    [errorReply(-32602, "Invalid params"), "legacy"],
    [errorReply(-32000, "Server not initialized"), "legacy"],
    [errorReply(-32022, "Unsupported", { supported: ["2025-11-25"] }), "legacy"],
    [errorReply(-32022, "Unsupported", { supported: ["2027-01-01"] }), "failed"],
    [errorReply(-32022, "Unsupported"), "legacy"],
    [errorReply(-32020, "Header mismatch"), "failed"],
    [errorReply(-32021, "Missing capability"), "failed"],
  ] as const;
  for (const [reply, expected] of cases) {
    assert.equal(judgeReply(reply).kind, expected, JSON.stringify(reply));
  }
});

test("D1 no sign-in, connection failure or redirect shows the version", () => {
  const refused = (status: number) => ({ ...transportFailure("refused", "no"), status });
  for (const status of [301, 401]) assert.equal(judgeFailure(refused(status)).kind, "failed");
  for (const status of [400, 403, 404, 405, 406, 500, 503])
    assert.equal(judgeFailure(refused(status)).kind, "legacy");
  for (const kind of ["unreachable", "unauthorized", "overloaded"] as const) {
    assert.equal(judgeFailure(transportFailure(kind, "no")).kind, "failed");
  }
  for (const kind of ["closed", "protocol"] as const) {
    assert.equal(judgeFailure(transportFailure(kind, "no")).kind, "legacy");
  }
});

const PREFIX = "io.modelcontextprotocol/";
const request = (params?: JsonObject): RpcRequest => ({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  ...(params !== undefined && { params }),
});

test("D2 an older client's message reaches an older server untouched", () => {
  for (const message of [
    request(),
    request({ name: "a", _meta: { progressToken: 1 }, requestState: "own" }),
  ]) {
    assert.equal(legacyRequest(message), message);
  }
});

test("D2 a newer client's request reaches an older server with the members that it knows", () => {
  const modern = { [`${PREFIX}protocolVersion`]: "2026-07-28", [`${PREFIX}logLevel`]: "info" };
  const params = { name: "a", requestState: "s", inputResponses: {}, _meta: { ...modern, traceparent: "t" } };
  assert.deepEqual(legacyRequest(request(params)), request({ name: "a", _meta: { traceparent: "t" } }));
  assert.deepEqual(legacyRequest(request({ name: "a", _meta: modern })), request({ name: "a" }));
});

test("D2 a request to a newer server names the client, its capabilities, and the wanted logs", () => {
  const introduction = { clientInfo: { name: "x" }, capabilities: { roots: {} }, logLevel: "info" } as const;
  assert.deepEqual(modernParams({ name: "a", task: { ttl: 1 }, _meta: { progressToken: 1 } }, introduction), {
    name: "a",
    _meta: {
      progressToken: 1,
      [`${PREFIX}protocolVersion`]: "2026-07-28",
      [`${PREFIX}clientCapabilities`]: { roots: {} },
      [`${PREFIX}clientInfo`]: { name: "x" },
      [`${PREFIX}logLevel`]: "info",
    },
  });
});

test("D2 capabilities in the terms of 2026-07-28", () => {
  const older = { elicitation: {}, roots: { listChanged: true }, tasks: {}, sampling: { tools: {} } };
  assert.deepEqual(modernCapabilities(older), {
    elicitation: { form: {} },
    roots: {},
    sampling: { tools: {} },
  });
  assert.deepEqual(modernCapabilities({ elicitation: { url: {} } }), { elicitation: { url: {} } });
  assert.deepEqual(modernCapabilities({}), {});
  // The tasks of either version are the other's no task.
  const extensions = { "io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {} };
  assert.deepEqual(modernCapabilities({ extensions }), { extensions: { "io.modelcontextprotocol/ui": {} } });
});

test("D2 results lose members that older clients do not know", () => {
  const _meta = { [`${PREFIX}serverInfo`]: { name: "s" }, own: 1 };
  const result = { resultType: "complete", ttlMs: 1, cacheScope: "public", contents: [], _meta };
  assert.deepEqual(legacyReply("resources/read", { result }, false), {
    result: { contents: [], _meta: { own: 1 } },
  });
});

test("D2 a missing capability is reported by its name", () => {
  const error = { code: -32021, message: "No.", data: { requiredCapabilities: { sampling: {} } } };
  const text = "No. (the client does not declare sampling, which the server needs for this)";
  const content = [{ type: "text", text }];
  assert.deepEqual(legacyReply("tools/call", { error }, false), { result: { content, isError: true } });
  assert.deepEqual(legacyReply("prompts/get", { error }, false), { error: { ...error, message: text } });
  const other = { error: { code: -32602, message: "no such tool" } };
  assert.equal(legacyReply("tools/call", other, false), other);
});

test("D1 the answer to initialize is made from the one to server/discover", () => {
  assert.deepEqual(initializeResult({ capabilities: { tools: {} }, instructions: "Do." }), {
    protocolVersion: "2026-07-28",
    capabilities: { tools: {} },
    serverInfo: {},
    instructions: "Do.",
  });
});

test("D2 the stream's id is left out of a notice", () => {
  const _meta = { [`${PREFIX}subscriptionId`]: 7 };
  assert.deepEqual(withoutSubscription({ uri: "a", _meta }), { uri: "a" });
  assert.deepEqual(withoutSubscription({ uri: "a", _meta: { ..._meta, own: 1 } }), {
    uri: "a",
    _meta: { own: 1 },
  });
  assert.equal(withoutSubscription(undefined), undefined);
});

test("D1 to an older client a task of 2026-07-28 is an error of the tool, and the gateway's own streams take tasks", () => {
  const reply = legacyReply("tools/call", { result: { resultType: "task", taskId: "t" } }, false);
  assert.ok("result" in reply && reply.result["isError"] === true);
  const introduction = { clientInfo: undefined, capabilities: { extensions: { a: {} } }, logLevel: null };
  const declared = (takesTasks: boolean): unknown =>
    (modernParams({}, { ...introduction, takesTasks })["_meta"] as JsonObject)[`${PREFIX}clientCapabilities`];
  assert.deepEqual(declared(false), { extensions: { a: {} } });
  assert.deepEqual(declared(true), { extensions: { a: {}, [`${PREFIX}tasks`]: {} } });
});

test("D2 the headers of a request name its method and its target", () => {
  assert.deepEqual(requestHeaders("tools/list", undefined, []), {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/list",
  });
  assert.equal(requestHeaders("prompts/get", { name: "p" }, [])["mcp-name"], "p");
  assert.equal(requestHeaders("resources/read", { uri: "a://b", name: "n" }, [])["mcp-name"], "a://b");
  for (const method of ["tasks/get", "tasks/update", "tasks/cancel"])
    assert.equal(requestHeaders(method, { taskId: "t1" }, [])["mcp-name"], "t1");
});

test("D2 arguments are headers where they are text, numbers or booleans, as servers check them", () => {
  const wanted = ["text", "count", "yes", "list", "none", "gone", "part", "long"].map((name) => ({
    header: `Mcp-Param-${name}`,
    path: [name],
  }));
  const long = parseExactly("12345678901234567890");
  const args = { text: "a", count: 3, yes: false, list: [1], none: null, part: 1.5, long };
  const {
    "mcp-method": _m,
    "mcp-protocol-version": _v,
    ...headers
  } = requestHeaders("tools/call", { name: "t", arguments: args }, wanted);
  assert.deepEqual(headers, {
    "mcp-name": "t",
    "mcp-param-text": "a",
    "mcp-param-count": "3",
    "mcp-param-yes": "false",
    "mcp-param-part": "1.5",
    "mcp-param-long": "12345678901234567890",
  });
});

const QUESTION = { method: "elicitation/create", params: { mode: "form", message: "?" } };

function roundsOf(method = "tools/call") {
  const asked: RpcRequest[] = [];
  const retried: { params: JsonObject; isLater: boolean }[] = [];
  const failed: Reply[] = [];
  let lastId = 100;
  const rounds = new ElicitationRounds<Asker>({
    nextId: () => ++lastId,
    request: (_asker, request) => void asked.push(request),
    retry: (_asker, params, isLater) => void retried.push({ params, isLater }),
    fail: (_asker, reply) => void failed.push(reply),
  });
  const message: RpcRequest = { jsonrpc: "2.0", id: 1, method, params: { name: "a" } };
  const asker: Asker = { message, rounds: 0, pages: [] };
  const ask = (inputRequests: unknown, requestState?: string): void =>
    rounds.begin(asker, { inputRequests, ...(requestState !== undefined && { requestState }) });
  return { rounds, asker, asked, retried, failed, ask };
}

test("D2 the retry has the requested inputs, by their keys, and the server's state", () => {
  const { rounds, asked, retried, ask } = roundsOf();
  ask({ a: QUESTION, b: { method: "roots/list" } }, "state");
  assert.deepEqual(pluck(asked, "id", "method"), [
    [101, "elicitation/create"],
    [102, "roots/list"],
  ]);
  assert.ok(rounds.take(102, { result: { roots: [] } }));
  assert.deepEqual(retried, []);
  assert.ok(rounds.take(101, { result: { action: "decline" } }));
  const inputResponses = { b: { roots: [] }, a: { action: "decline" } };
  assert.deepEqual(retried, [
    { params: { name: "a", inputResponses, requestState: "state" }, isLater: false },
  ]);
  assert.equal(rounds.take(101, { result: {} }), false);
});

test("D2 state without a question is sent back later", () => {
  const { asked, retried, ask } = roundsOf();
  ask(undefined, "state");
  assert.deepEqual(asked, []);
  assert.deepEqual(retried, [{ params: { name: "a", requestState: "state" }, isLater: true }]);
});

test("D2 after ten rounds the call fails", () => {
  const { rounds, retried, failed, ask } = roundsOf();
  for (let nth = 0; nth < 10; nth++) {
    ask({ a: QUESTION });
    rounds.take(101 + nth, { result: {} });
  }
  assert.deepEqual([retried.length, failed.length], [10, 0]);
  ask({ a: QUESTION });
  assert.match(JSON.stringify(failed), /more than 10 times.*"isError":true/);
});

test("D2 an error of the client ends the call, and other answers are too late", () => {
  const error = { code: -32601, message: "not here" };
  for (const method of ["tools/call", "prompts/get"]) {
    const { rounds, retried, failed, ask } = roundsOf(method);
    ask({ a: QUESTION, b: QUESTION });
    assert.ok(rounds.take(101, { error }));
    assert.match(JSON.stringify(failed), /answered elicitation\/create with an error: not here/);
    assert.equal(method === "tools/call", "result" in (failed[0] ?? {}));
    assert.equal(rounds.take(102, { result: {} }), false);
    assert.deepEqual(retried, []);
  }
});

test("D2 an input request that no client can answer fails the call, and a call that is gone is asked nothing", () => {
  for (const method of ["tools/call", { toString: 1, valueOf: 1 }]) {
    const odd = roundsOf();
    odd.ask({ fine: QUESTION, odd: { method } });
    assert.deepEqual([odd.asked.length, odd.failed.length], [0, 1]);
    assert.match(JSON.stringify(odd.failed), /input that no client can give: odd/);
  }
  const many = roundsOf();
  many.ask(Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`q${index}`, QUESTION])));
  assert.deepEqual([many.asked.length, many.failed.length], [0, 1]);
  assert.match(JSON.stringify(many.failed), /more than 100 inputs at once/);
  const gone = roundsOf();
  gone.ask({ a: QUESTION });
  gone.rounds.drop(gone.asker);
  assert.equal(gone.rounds.take(101, { result: {} }), false);
});

test("D2 a page gets an id, as older clients require one", () => {
  const { asker, asked, ask } = roundsOf();
  ask({ a: { method: "elicitation/create", params: { mode: "url", url: "https://a.example" } } });
  const id = asked[0]?.params?.["elicitationId"];
  assert.match(String(id), /^[0-9a-f-]{36}$/);
  assert.deepEqual(asker.pages, [id]);
});

const TELLS_CHANGES = { tools: { listChanged: true }, resources: { subscribe: true } };
const BROKEN = transportFailure("closed", "the stream ended");

function started(capabilities: JsonObject = TELLS_CHANGES) {
  const clock = createManualClock();
  const asked: JsonObject[] = [];
  const abandoned: unknown[] = [];
  const counts = { gaps: 0 };
  const listening = new Listening({
    clock,
    capabilities,
    listen: (notifications) => asked.push(notifications),
    abandon: (id) => void abandoned.push(id),
    onGap: () => void counts.gaps++,
  });
  const acknowledge = (id: number, notifications = asked[id - 1]): void =>
    listening.acknowledged(id, { notifications });
  listening.start();
  return { listening, clock, asked, abandoned, counts, acknowledge };
}

const answerOf = (reply: Reply): string => (isError(reply) ? reply.error.message : "done");

test("D2 a server that announces no changes is not listened to", () => {
  assert.deepEqual(started({ tools: {} }).asked, []);
});

test("D2 changes during the opening of a stream cause one further opening, and the old one ends after the new one exists", async () => {
  const { listening, asked, abandoned, counts, acknowledge } = started();
  assert.deepEqual(asked, [{ toolsListChanged: true }]);
  const replies = [listening.subscribe(resourceTopic("a:1")), listening.subscribe(resourceTopic("a:2"))];
  assert.equal(asked.length, 1);
  acknowledge(1);
  assert.deepEqual(asked[1], { toolsListChanged: true, resourceSubscriptions: ["a:1", "a:2"] });
  assert.deepEqual(abandoned, []);
  acknowledge(2);
  assert.deepEqual(abandoned, [1]);
  assert.deepEqual((await Promise.all(replies)).map(answerOf), ["done", "done"]);
  listening.unsubscribe(resourceTopic("a:1"));
  assert.deepEqual(asked[2], { toolsListChanged: true, resourceSubscriptions: ["a:2"] });
  assert.equal(counts.gaps, 0, "nothing was missed between the two");
  const again = listening.subscribe(resourceTopic("a:1"));
  acknowledge(3);
  assert.deepEqual(asked[3], { toolsListChanged: true, resourceSubscriptions: ["a:2", "a:1"] });
  listening.unsubscribe(resourceTopic("a:1"));
  assert.equal(answerOf(await again), "the subscription was cancelled before the answer came");
});

test("D2 a subscription that the server does not honour fails without affecting others", async () => {
  const { listening, asked, acknowledge } = started();
  acknowledge(1);
  const replies = [listening.subscribe(resourceTopic("a:1"))];
  acknowledge(2, {});
  assert.deepEqual((await Promise.all(replies)).map(answerOf), ["the server does not report its changes"]);
  const next = listening.subscribe(resourceTopic("a:2"));
  assert.deepEqual(asked[2], { toolsListChanged: true, resourceSubscriptions: ["a:2"] });
  acknowledge(3);
  assert.equal(answerOf(await next), "done");
});

test("D2 a stream that is not acknowledged is given up, and the old one stays", async () => {
  const { listening, clock, abandoned, acknowledge } = started();
  acknowledge(1);
  const reply = listening.subscribe(resourceTopic("a:1"));
  await clock.advance(5_000);
  assert.match(answerOf(await reply), /not acknowledged in time/);
  assert.deepEqual(abandoned, [2]);
});

test("D2 a broken stream is reopened, later each time, and missed changes are requested", async () => {
  const { listening, clock, asked, counts, acknowledge } = started();
  acknowledge(1);
  listening.ended(1, BROKEN);
  await clock.advance(999);
  assert.equal(asked.length, 1);
  await clock.advance(1);
  assert.equal(asked.length, 2);
  listening.ended(2, BROKEN);
  await clock.advance(1_999);
  assert.equal(asked.length, 2);
  await clock.advance(1);
  acknowledge(3);
  assert.equal(counts.gaps, 1);
  await clock.advance(10_000);
  listening.ended(3, { result: {} });
  await clock.advance(1_000);
  assert.equal(asked.length, 4);
  void listening.subscribe(resourceTopic("a:1"));
  listening.ended(4, BROKEN);
  assert.equal(asked.length, 5, "what was wanted meanwhile is asked for at once");
  listening[Symbol.dispose]();
  listening.ended(5, BROKEN);
  listening.unsubscribe(resourceTopic("a:1"));
  assert.deepEqual([asked.length, clock.pendingTimers], [5, 0]);
});

test("D2 a server without streams is asked once, and subscriptions are refused", async () => {
  const { listening, clock, asked } = started();
  listening.ended(1, { error: { code: -32601, message: "Method not found" } });
  await clock.advance(120_000);
  assert.equal(asked.length, 1);
  assert.match(
    answerOf(await listening.subscribe(resourceTopic("a:1"))),
    /does not take the subscription: Method not found/,
  );
});

test("D2 a stream that ended is reopened once, though a subscription arrives before its time", async () => {
  const { listening, clock, asked, acknowledge } = started();
  acknowledge(1);
  listening.ended(1, BROKEN);
  const reply = listening.subscribe(resourceTopic("a:1"));
  acknowledge(2);
  assert.equal(answerOf(await reply), "done");
  await clock.advance(120_000);
  assert.equal(asked.length, 2);
});

test("D1 tasks are listened for next to resources, on the same stream", async () => {
  const { listening, asked, acknowledge } = started({});
  const replies = [listening.subscribe(resourceTopic("a:1")), listening.subscribe(taskTopic("t"))];
  acknowledge(1);
  acknowledge(2);
  assert.deepEqual(asked.at(-1), { resourceSubscriptions: ["a:1"], taskIds: ["t"] });
  assert.deepEqual((await Promise.all(replies)).map(answerOf), ["done", "done"]);
  listening.unsubscribe(resourceTopic("a:1"));
  assert.deepEqual(asked.at(-1), { taskIds: ["t"] });
  const refused = listening.subscribe(taskTopic("gone"));
  acknowledge(3);
  acknowledge(4, { taskIds: ["t"] });
  assert.equal(answerOf(await refused), "the server does not report its changes");
});
