// Requests of protocol 2026-07-28 over HTTP: what is refused and how, what a call gets, and what ends one.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { errorReply } from "../../../../src/gateway/json-rpc.ts";
import type { GatewayRequest } from "../../../../src/gateway/middleware/middleware.ts";
import { paramHeadersOf } from "../../../../src/gateway/param-headers.ts";
import { META, MODERN_VERSION, SERVED_VERSIONS } from "../../../../src/gateway/protocol.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { callMessage, collect, eventsOf, openFront, type Rig, startRig } from "../http/http-rig.ts";
import { type createBlockingTool, createScriptedGateway, objectOf, text } from "../scripted-gateway.ts";
import { ENVELOPE, modernHeaders, modernMessage, openModern, postModern } from "./modern-rig.ts";

const SERVER = { name: "scripted", version: "1" };
const META_OF_RESULT = { [META.serverInfo]: SERVER };

test("D1 a request of 2026-07-28 is served without a session, whatever session it names, and its result is completed", async (t) => {
  const { gateway, rig } = await openFront(t);
  const params = { name: "echo", arguments: { x: "ü" } };
  const answer = await postModern(rig, "tools/call", params, { "mcp-session-id": "unknown" });
  assert.deepEqual([answer.status, answer.headers["content-type"]], [200, "application/json"]);
  assert.equal(answer.headers["mcp-session-id"], undefined);
  assert.deepEqual(answer.json(), {
    jsonrpc: "2.0",
    id: 1,
    result: {
      content: [{ type: "text", text: '{"x":"ü"}' }],
      resultType: "complete",
      _meta: META_OF_RESULT,
    },
  });
  const [request] = gateway.requests;
  assert.equal(request?.handle.client.protocolVersion, MODERN_VERSION);
  assert.deepEqual(objectOf(request?.params?.["_meta"])[META.protocolVersion], MODERN_VERSION);
  assert.equal(rig.front.sessions, 0);
});

test("G1 a request of 2026-07-28 over HTTP marks no caller: only machines of the fleet speak for their clients", async (t) => {
  const { gateway, rig } = await openFront(t);
  const mark = { "mountaineer/caller": "x".repeat(22) };
  await postModern(rig, "tools/call", { name: "echo", arguments: {}, _meta: mark });
  const meta = objectOf(gateway.requests[0]?.params?.["_meta"]);
  assert.equal(
    meta["mountaineer/caller"],
    mark["mountaineer/caller"],
    "a word of the client's, like any other",
  );
});

test("D1 a request of 2026-07-28: server/discover says what the gateway serves; lists and reads forbid caching", async () => {
  await using rig = await startRig(createScriptedGateway());
  const discovered = await postModern(rig, "server/discover");
  assert.deepEqual(discovered.json()["result"], {
    supportedVersions: SERVED_VERSIONS,
    capabilities: { tools: { listChanged: true }, logging: {} },
    ttlMs: 0,
    cacheScope: "private",
    resultType: "complete",
    _meta: META_OF_RESULT,
  });
  const lists = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];
  for (const method of lists) {
    const { ttlMs, cacheScope } = objectOf((await postModern(rig, method)).json()["result"]);
    assert.deepEqual([ttlMs, cacheScope], [0, "private"], method);
  }
});

test("D1 a request of 2026-07-28: a server's statement that a resource is public applies only where everyone may read it", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.handle = async () => ({ result: { contents: [], ttlMs: 50, cacheScope: "public" } });
  const read = async (more: object = {}): Promise<unknown[]> => {
    const result = objectOf(
      (await postModern(rig, "resources/read", { uri: "a:b", ...more })).json()["result"],
    );
    return [result["ttlMs"], result["cacheScope"]];
  };
  assert.deepEqual(await read(), [50, "public"]);
  gateway.authenticate = () => ({ ok: true, principal: { kind: "user", name: "ann", roles: [] } });
  assert.deepEqual(await read(), [50, "private"]);
});

test("D1 a request of 2026-07-28: an unknown resource is -32602, an unknown method 404 with -32601, a limit 429", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.handle = async () => errorReply(-32002, "Resource not found", { uri: "a:b" });
  const resource = await postModern(rig, "resources/read", { uri: "a:b" });
  assert.deepEqual(
    [resource.status, resource.json()["error"]],
    [200, { code: -32602, message: "Resource not found", data: { uri: "a:b" } }],
  );
  gateway.handle = async () => errorReply(-32601, "Method not found");
  assert.equal((await postModern(rig, "vendor/thing")).status, 404);
  gateway.handle = async () => errorReply(-32029, "too many", { retryAfterMs: 1_500 });
  const limited = await postModern(rig, "tools/call", { name: "x" });
  assert.deepEqual([limited.status, limited.headers["retry-after"]], [429, "2"]);
  gateway.handle = async () => errorReply(-32603, "broken");
  assert.equal((await postModern(rig, "tools/call", { name: "x" })).status, 200);
});

test("D1 a request of 2026-07-28: a method that this version has dropped is 404, initialize among them", async (t) => {
  const { gateway, rig } = await openFront(t);
  const ofSessions = ["initialize", "ping", "logging/setLevel", "resources/subscribe"];
  const ofTasks = ["tasks/result", "tasks/list", "tasks/watch", "tasks/unwatch"];
  for (const method of [...ofSessions, ...ofTasks]) {
    const answer = await postModern(rig, method, { protocolVersion: "2025-11-25" });
    assert.equal(answer.status, 404, method);
    assert.equal(objectOf(answer.json()["error"])["code"], -32601, method);
  }
  assert.equal(gateway.requests.length, 0);
});

test("D1 a request of 2026-07-28: a task answers only a call, and only a client that declares the extension", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.handle = async () => ({ result: { resultType: "task", taskId: "t" } });
  const declared = { extensions: { "io.modelcontextprotocol/tasks": {} } };
  const answer = async (method: string, capabilities: object): Promise<unknown> => {
    const _meta = { [META.clientCapabilities]: capabilities };
    const { result, error } = (await postModern(rig, method, { name: "x", _meta })).json();
    return result === undefined ? objectOf(error)["code"] : objectOf(result)["taskId"];
  };
  assert.equal(await answer("tools/call", declared), "t");
  assert.equal(await answer("tools/call", {}), -32603);
  assert.equal(await answer("prompts/get", declared), -32603);
});

test("D1 a request of 2026-07-28 is refused by the same guards as any: Host, Origin, token, scope; and all are counted", async (t) => {
  const { gateway, rig } = await openFront(t);
  assert.equal((await postModern(rig, "tools/list", {}, { host: "evil.example" })).status, 403);
  assert.equal((await postModern(rig, "tools/list", {}, { origin: "http://evil.example" })).status, 403);
  gateway.missingScope = () => ({ ok: false, status: 403, reason: "a scope is missing", scope: "s" });
  assert.equal((await postModern(rig, "tools/list")).status, 403);
  gateway.authenticate = () => ({ ok: false, reason: "a token is needed" });
  assert.equal((await postModern(rig, "tools/list")).status, 401);
  assert.deepEqual(pluck(gateway.turnedAwayRequests, "status"), [403, 403, 403, 401]);
  assert.equal(gateway.requests.length, 0);
});

test("D1 a request of 2026-07-28: GET and DELETE of this version are 405, answers of clients 400, notifications 202", async () => {
  await using rig = await startRig(createScriptedGateway());
  const headers = { "mcp-protocol-version": MODERN_VERSION };
  for (const method of ["GET", "DELETE"]) {
    const answer = await rig.send(method, "/mcp", { ...headers, accept: "text/event-stream" });
    assert.deepEqual([answer.status, answer.headers["allow"]], [405, "POST"]);
  }
  assert.equal((await rig.post({ jsonrpc: "2.0", id: 1, result: {} }, headers)).status, 400);
  const notice = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } };
  assert.equal((await rig.post(notice, headers)).status, 202);
  assert.equal((await rig.post(notice, { ...headers, "mcp-method": "other" })).status, 400);
});

const { [META.protocolVersion]: _, ...unversioned } = ENVELOPE;
const { [META.clientCapabilities]: __, ...incapable } = ENVELOPE;
const named = { name: "echo", arguments: { region: "eu", count: 3, note: "å" } };
const good = {
  ...modernHeaders("tools/call", named),
  "mcp-param-region": "eu",
  "mcp-param-count": "3",
  "mcp-param-note": "=?base64?w6U=?=",
};
const without = (key: string): Record<string, string> => {
  const { [key]: _gone, ...rest } = good as Record<string, string>;
  return rest;
};
const call = (meta: object): object => ({
  jsonrpc: "2.0",
  id: 7,
  method: "tools/call",
  params: { ...named, _meta: meta },
});
const whole = call(ENVELOPE);
const cases: readonly (readonly [string, unknown, Record<string, string>, number | null])[] = [
  ["nothing is wrong", whole, good, null],
  ["spaces around a header", whole, { ...good, "mcp-param-region": " eu\t" }, null],
  ["another number's form", whole, { ...good, "mcp-param-count": "3.0" }, null],
  ["a header that no tool asks for", whole, { ...good, "mcp-param-other": "x" }, null],
  ["a name in base64", whole, { ...good, "mcp-name": "=?base64?ZWNobw==?=" }, null],
  ["no capabilities", call(incapable), good, -32602],
  ["no version in the body", call(unversioned), good, -32602],
  ["no _meta", { ...whole, params: named }, good, -32602],
  ["capabilities that are none", call({ ...ENVELOPE, [META.clientCapabilities]: 1 }), good, -32602],
  ["a level that is none", call({ ...ENVELOPE, [META.logLevel]: "loud" }), good, -32602],
  [
    "a version not spoken",
    call({ ...ENVELOPE, [META.protocolVersion]: "2030-01-01" }),
    { ...good, "mcp-protocol-version": "2030-01-01" },
    -32022,
  ],
  [
    "an older version in _meta",
    call({ ...ENVELOPE, [META.protocolVersion]: "2025-11-25" }),
    { ...good, "mcp-protocol-version": "2025-11-25" },
    -32022,
  ],
  ["another version in the header", whole, { ...good, "mcp-protocol-version": "2025-11-25" }, -32020],
  ["no version header", whole, without("mcp-protocol-version"), -32020],
  ["no Mcp-Method", whole, without("mcp-method"), -32020],
  ["another Mcp-Method", whole, { ...good, "mcp-method": "tools/list" }, -32020],
  ["no Mcp-Name", whole, without("mcp-name"), -32020],
  ["an Mcp-Name without a name", { ...whole, params: { _meta: ENVELOPE } }, good, -32020],
  ["two Mcp-Names", whole, { ...good, "mcp-name": "echo, echo" }, -32020],
  ["another Mcp-Name", whole, { ...good, "mcp-name": "Echo" }, -32020],
  ["an Mcp-Name that is no base64", whole, { ...good, "mcp-name": "=?base64?ZWNobw?=" }, -32020],
  ["no Mcp-Param", whole, without("mcp-param-region"), -32020],
  ["another Mcp-Param", whole, { ...good, "mcp-param-region": "us" }, -32020],
  ["another number", whole, { ...good, "mcp-param-count": "4" }, -32020],
  ["an Mcp-Param that is no base64", whole, { ...good, "mcp-param-note": "=?base64?w6?=" }, -32020],
  [
    "initialize of an older version",
    { jsonrpc: "2.0", id: 7, method: "initialize", params: {} },
    good,
    -32020,
  ],
  ["an id without end", { ...whole, id: "x".repeat(1_025) }, good, -32600],
  ["a token without end", call({ ...ENVELOPE, progressToken: "x".repeat(1_025) }), good, -32602],
  ["an id of many digits", { ...whole, id: 1e300 }, good, null],
  ["a batch", [whole], good, -32600],
  ["no request", { jsonrpc: "2.0", id: 7 }, good, -32600],
  ["no JSON", "{", good, -32700],
];
for (const [what, body, headers, code] of cases)
  test(`D1 a request of 2026-07-28 that is invalid: ${what}: ${code ?? "served"}`, async () => {
    const gateway = createScriptedGateway();
    const inputSchema = {
      properties: {
        region: { type: "string", "x-mcp-header": "Region" },
        count: { type: "integer", "x-mcp-header": "Count" },
        note: { type: "string", "x-mcp-header": "Note" },
        absent: { type: "string", "x-mcp-header": "Absent" },
      },
    };
    const declared = paramHeadersOf(inputSchema);
    assert.ok(!("fault" in declared));
    gateway.paramHeaders = new Map([["echo", declared]]);
    await using rig = await startRig(gateway);
    const answer = await rig.post(body, headers);
    const error = answer.json()["error"];
    assert.equal(answer.status, code === null ? 200 : 400, answer.body);
    assert.equal(error === undefined ? null : objectOf(error)["code"], code);
    assert.equal(gateway.requests.length, code === null ? 1 : 0);
    if (code === -32022) {
      const { supported, requested } = objectOf(objectOf(error)["data"]);
      assert.deepEqual([supported, requested], [SERVED_VERSIONS, headers["mcp-protocol-version"]]);
    }
  });

test("D1 a request of 2026-07-28 that is invalid cannot pass through an older session, in a batch or on its own", async (t) => {
  const { gateway, rig } = await openFront(t);
  const session = { "mcp-session-id": await rig.initialize("2025-03-26") };
  const alone = await rig.post(modernMessage("tools/call", { name: "x" }), session);
  assert.equal(objectOf(alone.json()["error"])["code"], -32020);
  const batch = await rig.post([modernMessage("tools/call", { name: "x" }), callMessage(2, "y")], session);
  const answers: readonly unknown[] = JSON.parse(batch.body);
  assertEach(answers, (answer) => Object.hasOwn(objectOf(answer), "error"), [true, false]);
  assert.equal(gateway.requests.length, 1);
});

test("D1 a call of 2026-07-28 in flight is answered as a stream from the first notification on, with its own progress token and logs", async (t) => {
  const tool = async ({ handle }: GatewayRequest) => {
    handle.notify("notifications/progress", { progressToken: "p", progress: 1 });
    handle.notify("notifications/message", { level: "debug", data: "d" });
    handle.notify("notifications/message", { level: "warning", data: "w" });
    handle.notify("notifications/tools/list_changed", {});
    handle.notify("notifications/subscriptions/acknowledged", { notifications: {} });
    return text("done");
  };
  const { rig } = await openFront(t, { tool });
  const sent = async (meta: object): Promise<unknown[]> => {
    const answer = await postModern(rig, "tools/call", { name: "tool", _meta: meta });
    if (answer.headers["content-type"] === "application/json") return ["json"];
    assert.equal(answer.headers["x-accel-buffering"], "no");
    return eventsOf(answer.body).map(({ method, params }) => [method, objectOf(params ?? {})["level"]]);
  };
  assert.deepEqual(await sent({}), ["json"]);
  assert.deepEqual(await sent({ progressToken: "p" }), [
    ["notifications/progress", undefined],
    [undefined, undefined],
  ]);
  assert.deepEqual(await sent({ [META.logLevel]: "info" }), [
    ["notifications/message", "warning"],
    [undefined, undefined],
  ]);
});

test("D1 a call of 2026-07-28 in flight that is silent for long gets a stream, which keeps its connection alive", async (t) => {
  const clock = createManualClock();
  const { rig, blocking } = await openFront(t, {}, { clock });
  const opening = openModern(rig, "tools/call", { name: "held" });
  const onlyJson = postModern(rig, "tools/call", { name: "held" }, { accept: "application/json" });
  await eventually(() => blocking.started.length === 2);
  await clock.advance(30_000);
  const { response } = await opening;
  const stream = collect(response);
  await clock.advance(15_000);
  await eventually(() => stream.text().includes(": \n\n"));
  assert.equal(stream.messages.length, 0);
  blocking.release(text("done"));
  blocking.release(text("done"));
  await eventually(() => stream.ended());
  assert.equal(stream.messages.length, 1);
  assert.equal((await onlyJson).headers["content-type"], "application/json");
  await clock.advance(15_000);
  assert.equal(clock.pendingTimers, 1);
});

test("D1 a call of 2026-07-28 in flight: its requested level is set at backends while it lasts", async (t) => {
  const { gateway, rig, blocking } = await openFront(t);
  const answer = postModern(rig, "tools/call", { name: "held", _meta: { [META.logLevel]: "debug" } });
  await eventually(() => blocking.started.length === 1);
  assert.deepEqual([...gateway.levels], [{ level: "debug" }]);
  blocking.release(text("done"));
  assert.equal((await answer).status, 200);
  assert.equal(gateway.levels.size, 0);
});

/** A further call of the held tool, which has told of its progress. */
async function streaming(rig: Rig, blocking: ReturnType<typeof createBlockingTool>) {
  const before = blocking.started.length;
  const opening = openModern(rig, "tools/call", { name: "held", _meta: { progressToken: 1 } });
  const { handle } = await eventually(() => blocking.started[before]);
  handle.notify("notifications/progress", { progress: 1 });
  return opening;
}

test("D1 a call of 2026-07-28 in flight ends when its client closes the connection, before and after there is a stream", async (t) => {
  const { rig, blocking } = await openFront(t);
  const body = JSON.stringify(modernMessage("tools/call", { name: "held" }));
  const head = { "content-type": "application/json", ...modernHeaders("tools/call", { name: "held" }) };
  const silent = connect(Number(new URL(rig.url).port), "127.0.0.1");
  const lines = Object.entries({ host: "127.0.0.1", "content-length": body.length, ...head });
  silent.write(
    `POST /mcp HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}`).join("\r\n")}\r\n\r\n`,
  );
  silent.write(body);
  await eventually(() => blocking.started.length === 1);
  blocking.started[0]?.handle.notify("notifications/message", { level: "info", data: "not wanted" });
  silent.destroy();
  await eventually(() => blocking.started[0]?.signal.aborted === true);
  (await streaming(rig, blocking)).response.destroy();
  await eventually(() => blocking.started[1]?.signal.aborted === true);
  await eventually(() => rig.modern.inFlight === 0);
});

test("D1 a call of 2026-07-28 in flight: two at once are two identities; one after the other is the same, unless it was withdrawn", async (t) => {
  const { gateway, rig, blocking } = await openFront(t);
  const closed = new Set<unknown>();
  gateway.closed = (session) => void closed.add(session);
  const call = (): Promise<unknown> => postModern(rig, "tools/call", { name: "held" });
  const first = call();
  await eventually(() => blocking.started.length === 1);
  const second = call();
  await eventually(() => blocking.started.length === 2);
  const [one, other] = blocking.started.map(({ handle }) => handle.client);
  assert.notEqual(one, other);
  blocking.release(text("1"));
  await first;
  blocking.release(text("2"));
  await second;
  const third = call();
  await eventually(() => blocking.started.length === 3);
  assert.equal(blocking.started[2]?.handle.client, other);
  blocking.release(text("3"));
  await third;
  (await streaming(rig, blocking)).response.destroy();
  await eventually(() => closed.size === 1);
  assert.deepEqual([...closed], [other]);
});

test("D1 a call of 2026-07-28 in flight: a stop lets it finish, and answers unfinished ones", async (t) => {
  const { rig, blocking } = await openFront(t);
  const answer = postModern(rig, "tools/call", { name: "held" });
  await eventually(() => blocking.started.length === 1);
  // Much longer than anybody waits: the end of the call ends it.
  const stopped = rig.modern.end(600_000, "the gateway is stopping");
  blocking.release(text("done"));
  assert.equal((await answer).status, 200);
  await stopped;
  assert.equal(rig.modern.inFlight, 0);
});

test("D1 a call of 2026-07-28 that waits for its backend at a stop without grace is never served", async (t) => {
  const { gateway, rig } = await openFront(t);
  const comes = Promise.withResolvers<void>();
  gateway.awaited = () => comes.promise;
  const answer = postModern(rig, "tools/call", { name: "late" });
  await eventually(() => rig.modern.inFlight === 1);
  await rig.modern.end(0, "the gateway is stopping");
  assert.match((await answer).body, /the gateway is stopping/);
  comes.resolve();
  await eventually(() => rig.modern.inFlight === 0);
  assert.deepEqual(gateway.requests, []);
});

test("D1 a call of 2026-07-28 in flight at a stop without grace it gets an error", async (t) => {
  const { rig, blocking } = await openFront(t);
  const stream = collect((await streaming(rig, blocking)).response);
  await rig.modern.end(0, "the gateway is stopping");
  await eventually(() => stream.ended());
  assert.equal(objectOf(stream.messages.at(-1)?.["error"])["message"], "the gateway is stopping");
  assert.equal(blocking.started[0]?.signal.aborted, true);
});
