// The HTTP front's sessions and the calls in them, and what it sends of its own: questions, notices, streams that listen.
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { test } from "node:test";
import { errorReply, LIMIT_REACHED, type Reply } from "../../../../src/gateway/json-rpc.ts";
import type { Authentication, GatewayRequest } from "../../../../src/gateway/middleware/middleware.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import {
  createBlockingTool,
  createScriptedGateway,
  objectOf,
  onlySession,
  text,
} from "../scripted-gateway.ts";
import { begin, callMessage, collect, eventsOf, initializeMessage, openFront, startRig } from "./http-rig.ts";

const user = (name: string, role = "any") =>
  ({ ok: true, principal: { kind: "user", name, roles: [role] } }) as const;

test("initialize opens a session with an unguessable id and the requested version", async (t) => {
  const { gateway, rig } = await openFront(t);
  for (const version of ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]) {
    const answer = await rig.post(initializeMessage(version));
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers["mcp-session-id"]), /^[\w-]{100,400}$/);
    const result = objectOf(answer.json()["result"]);
    assert.equal(result["protocolVersion"], version);
    assert.deepEqual(result["serverInfo"], { name: "scripted", version: "1" });
  }
  const other = await rig.post(initializeMessage("1999-01-01"));
  assert.equal(objectOf(other.json()["result"])["protocolVersion"], "2025-11-25");
  assert.deepEqual([rig.front.sessions, gateway.sessions.size], [5, 5]);
});

test("a request is served before notifications/initialized arrives, and answered as one JSON body", async () => {
  await using rig = await startRig(createScriptedGateway());
  const id = await rig.initialize();
  const answer = await rig.post(callMessage("a", "echo", { x: "ü" }), { "mcp-session-id": id });
  assert.equal(answer.headers["content-type"], "application/json");
  assert.equal(Number(answer.headers["content-length"]), Buffer.byteLength(answer.body));
  assert.deepEqual(answer.json(), {
    jsonrpc: "2.0",
    id: "a",
    result: { content: [{ type: "text", text: '{"x":"ü"}' }] },
  });
});

test("E4 an answer counts as bytes in flight until its client has read it", async () => {
  const gateway = createScriptedGateway();
  const counts: number[] = [];
  Object.assign(gateway, { unread: () => (bytes: number) => void counts.push(bytes) });
  gateway.handle = async () => text("x".repeat(1_000_000));
  await using rig = await startRig(gateway);
  const id = await rig.initialize();
  counts.length = 0;
  const { body } = await rig.post(callMessage(1, "echo"), { "mcp-session-id": id });
  await eventually(() => counts.at(-1) === 0);
  assert.equal(counts[0], body.length);
});

test("a missing id is 400, an unknown or ended one 404, a second initialize an error", async (t) => {
  const { gateway, rig } = await openFront(t);
  assert.equal((await rig.post(callMessage(1, "echo"))).status, 400);
  assert.equal((await rig.post(callMessage(1, "echo"), { "mcp-session-id": "nope" })).status, 404);
  const id = await rig.initialize();
  const again = await rig.post(initializeMessage(), { "mcp-session-id": id });
  assert.equal(objectOf(again.json()["error"])["code"], -32600);
  assert.equal((await rig.send("DELETE", "/mcp", {})).status, 400);
  assert.equal((await rig.send("DELETE", "/mcp", { "mcp-session-id": id })).status, 200);
  assert.equal(gateway.sessions.size, 0);
  assert.equal((await rig.post(callMessage(1, "echo"), { "mcp-session-id": id })).status, 404);
  assert.equal((await rig.send("DELETE", "/mcp", { "mcp-session-id": id })).status, 404);
});

test("any supported version header is accepted, another is 400", async () => {
  await using rig = await startRig(createScriptedGateway());
  const id = await rig.initialize();
  const headers = { "mcp-session-id": id };
  for (const version of ["2025-03-26", "2025-06-18", "2025-11-25"]) {
    const answer = await rig.post(callMessage(1, "x"), { ...headers, "mcp-protocol-version": version });
    assert.equal(answer.status, 200);
  }
  for (const version of ["2026-07-28", "1999-01-01"]) {
    const wrong = await rig.post(callMessage(1, "x"), { ...headers, "mcp-protocol-version": version });
    assert.deepEqual([wrong.status, wrong.json()["jsonrpc"]], [400, "2.0"]);
  }
});

test("a client that left before it was identified listens to nothing", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  const checked = Promise.withResolvers<Authentication>();
  let asked = 0;
  gateway.authenticate = () => {
    asked += 1;
    return checked.promise as unknown as Authentication;
  };
  const { port } = rig.listener;
  const request = httpRequest({ host: "127.0.0.1", port, path: "/mcp", headers }).on("error", () => {});
  request.end();
  await eventually(() => asked === 1);
  request.destroy();
  await eventually(() => rig.listener.connections === 0);
  checked.resolve({ ok: true, principal: onlySession(gateway).principal });
  await settle();
  assert.equal(onlySession(gateway).busy, false);
});

test("B11 a front that leaves ends each newly opened stream; one that stops refuses new requests, and says when to retry", async (t) => {
  const { rig, headers, blocking } = await begin(t);
  const call = rig.post(callMessage(1, "held"), headers);
  await eventually(() => blocking.started.length === 1);
  rig.front.leave();
  const listening = await rig.listen(headers);
  await eventually(listening.ended);
  const stopped = rig.front.stop(60_000);
  const refused = await rig.post(callMessage(2, "x"), headers);
  assert.deepEqual([refused.status, refused.headers["retry-after"]], [503, "2"]);
  blocking.release(text("done"));
  assert.equal((await call).status, 200);
  await stopped;
});

test("D2 a client that names an ended or foreign session begins a new one only with initialize", async (t) => {
  const { gateway, rig } = await openFront(t);
  const id = await rig.initialize();
  gateway.authenticate = () => user("ann");
  const begun = await rig.initialize();
  gateway.authenticate = () => user("bob");
  for (const stale of ["nope", begun]) {
    const headers = { "mcp-session-id": stale };
    assert.equal((await rig.post([callMessage(1, "echo")], headers)).status, 404);
    assert.equal((await rig.post({ jsonrpc: "2.0" }, headers)).status, 404);
    const answer = await rig.post(initializeMessage(), headers);
    const anew = String(answer.headers["mcp-session-id"]);
    assert.deepEqual([answer.status, [stale, id, "undefined"].includes(anew)], [200, false]);
    assert.equal((await rig.post(callMessage(1, "echo"), { "mcp-session-id": anew })).status, 200);
  }
  gateway.authenticate = () => user("ann");
  assert.equal((await rig.post(callMessage(1, "echo"), { "mcp-session-id": begun })).status, 200);
});

test("E1 a session belongs to its principal, whose roles are updated; one without a token belongs to the first user of it", async (t) => {
  const { gateway, rig } = await openFront(t);
  const id = await rig.initialize();
  const headers = { "mcp-session-id": id };
  gateway.authenticate = () => user("ann");
  assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 200);
  assert.equal(onlySession(gateway).principal.name, "ann");
  gateway.authenticate = () => user("ann", "admin");
  assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 200);
  assert.deepEqual(onlySession(gateway).principal.roles, ["admin"]);
  gateway.authenticate = () => user("bob");
  assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 404);
  assert.equal((await rig.send("DELETE", "/mcp", headers)).status, 404);
  assert.equal((await rig.send("GET", "/mcp", { ...headers, accept: "text/event-stream" })).status, 404);
  assert.equal(onlySession(gateway).principal.name, "ann");
  gateway.authenticate = () => ({ ok: false, reason: "a token is needed" });
  const refused = await rig.post(callMessage(1, "x"), headers);
  assert.deepEqual([refused.status, refused.headers["www-authenticate"]], [401, "Bearer"]);
  assert.equal(objectOf(refused.json()["error"])["message"], "a token is needed");
});

test("E4 a session beyond the limit takes the place in memory of the one idle for longest, which continues with its next request", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.sessionsAllowed = () => 5;
  const first = await rig.initialize();
  const second = await rig.initialize();
  for (let count = 2; count < 5; count++) await rig.initialize();
  // Used again: the second is the oldest now.
  await rig.post(callMessage(1, "x"), { "mcp-session-id": first });
  await rig.initialize();
  assert.equal(rig.front.sessions, 5);
  assert.deepEqual(gateway.continuedWith, []);
  assert.equal((await rig.post(callMessage(1, "x"), { "mcp-session-id": first })).status, 200);
  assert.deepEqual(gateway.continuedWith, []);
  assert.equal((await rig.post(callMessage(1, "x"), { "mcp-session-id": second })).status, 200);
  assert.deepEqual(gateway.continuedWith, [gateway.lists]);
  assert.equal(rig.front.sessions, 5);
});

test("E4 the HTTP front's refusals by a limit of one call are 429 with Retry-After and a JSON-RPC error, even where a stream was expected", async () => {
  const gateway = createScriptedGateway();
  const refused = (retryAfterMs: number): Reply =>
    errorReply(LIMIT_REACHED, "too many", { limit: "[limits].calls_per_second", retryAfterMs });
  await using rig = await startRig(gateway);
  const headers = { "mcp-session-id": await rig.initialize() };
  for (const [ms, seconds, method] of [
    [1, "1", "tools/call"],
    [2_001, "3", "tools/list"],
  ] as const) {
    gateway.handle = async () => refused(ms);
    const answer = await rig.post({ jsonrpc: "2.0", id: 7, method, params: {} }, headers);
    assert.deepEqual([answer.status, answer.headers["retry-after"]], [429, seconds]);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.deepEqual([answer.json()["id"], answer.json()["error"]], [7, objectOf(refused(ms))["error"]]);
  }
  // Coming back does not help there.
  gateway.handle = async () => errorReply(LIMIT_REACHED, "too large", { limit: "[limits].result_mb" });
  assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 200);
});

test("E4 the HTTP front's refusals by a limit of a session name the principal, the number and the key", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.authenticate = () => user("ann");
  gateway.sessionsAllowed = () => 1;
  const id = await rig.initialize();
  const { response } = await rig.open("GET", { "mcp-session-id": id });
  const answer = await rig.post(initializeMessage());
  assert.deepEqual([answer.status, answer.headers["retry-after"]], [429, "10"]);
  const error = objectOf(answer.json()["error"]);
  assert.match(
    String(error["message"]),
    /user ann has 1 sessions, all of them in use \(\[limits\]\.sessions\)/,
  );
  assert.deepEqual(error["data"], { limit: "[limits].sessions", allowed: 1, retryAfterMs: 10_000 });
  gateway.authenticate = () => user("bob");
  await rig.initialize();
  response.destroy();
});

test("an HTTP call turns to an event stream at the first notification, with the answer as its last event", async (t) => {
  const { rig, headers } = await begin(
    t,
    {
      async noisy({ handle }) {
        handle.notify("notifications/progress", { progressToken: 1, progress: 1 });
        handle.notify("notifications/message", { level: "info", data: "x\ny" });
        return text("done");
      },
    },
    { version: "2025-06-18" },
  );
  const answer = await rig.post(callMessage(7, "noisy"), headers);
  assert.equal(answer.headers["content-type"], "text/event-stream");
  assert.equal(answer.headers["cache-control"], "no-store, no-transform");
  assert.equal(answer.headers["x-accel-buffering"], "no");
  assert.doesNotMatch(answer.body, /^(id|retry):/m);
  assertEach(eventsOf(answer.body), (message) => message["method"] ?? message["id"], [
    "notifications/progress",
    "notifications/message",
    7,
  ]);
});

test("a client that reads only one of the two kinds gets that one", async (t) => {
  const { rig, headers } = await begin(t, {
    async noisy({ handle, signal }) {
      handle.notify("notifications/progress", { progressToken: 1, progress: 1 });
      const reply = await handle.request("roots/list", undefined, signal);
      return text(reply === null ? "its stream is closed" : "asked");
    },
  });
  const json = await rig.post(callMessage(1, "noisy"), { ...headers, accept: "application/json" });
  assert.match(json.body, /its stream is closed/);
  assert.equal(json.headers["content-type"], "application/json");
  const events = await rig.post(callMessage(1, "x"), { ...headers, accept: "text/event-stream" });
  assert.equal(events.headers["content-type"], "text/event-stream");
  assert.equal(eventsOf(events.body)[0]?.["id"], 1);
  assert.equal((await rig.post(callMessage(1, "x"), { ...headers, accept: "text/html" })).status, 406);
  for (const [accept, type] of [
    ["*/*", "application/json"],
    ["application/*", "application/json"],
    ["text/*", "text/event-stream"],
  ] as const) {
    const answer = await rig.post(callMessage(1, "x"), { ...headers, accept });
    assert.deepEqual([answer.status, answer.headers["content-type"]], [200, type]);
  }
});

test("a cancelled call is aborted with the reason, its response ends without a message", async (t) => {
  const { rig, headers, blocking } = await begin(t);
  const answer = rig.post(callMessage(5, "held"), headers);
  const request = await eventually(() => blocking.started[0]);
  const cancel = (requestId: unknown) => ({
    jsonrpc: "2.0",
    method: "notifications/cancelled",
    params: { requestId, reason: "the person left" },
  });
  await rig.post(cancel("5"), headers);
  assert.equal(request.signal.aborted, false);
  assert.equal((await rig.post(cancel(5), headers)).status, 202);
  const { status, body, headers: got } = await answer;
  assert.deepEqual([status, body, got["content-type"]], [200, "", "text/event-stream"]);
  assert.match(String(request.signal.reason), /the person left/);
  await eventually(() => rig.front.inFlight === 0);
  // Its id is free again.
  assert.equal((await rig.post(callMessage(5, "x"), headers)).status, 200);
});

test("a call that is cancelled while it waits for its backend is never served", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  const comes = Promise.withResolvers<void>();
  gateway.awaited = (_, { params }) => (params?.["name"] === "late" ? comes.promise : null);
  const answer = rig.post(callMessage(5, "late"), headers);
  await eventually(() => rig.front.inFlight === 1);
  await rig.post({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 5 } }, headers);
  assert.equal((await answer).body, "");
  comes.resolve();
  await rig.post(callMessage(6, "other"), headers);
  assertEach(gateway.requests, ({ params }) => params?.["name"], ["other"]);
});

test("the HTTP front refuses an id in flight and the 513th request, whose slots become free again", async (t) => {
  const { rig, headers, blocking } = await begin(t);
  const answers = Array.from({ length: 512 }, (_, id) => rig.post(callMessage(id, "held"), headers));
  await eventually(() => blocking.started.length === 512);
  const twice = await rig.post(callMessage(3, "x"), headers);
  assert.match(twice.body, /"code":-32600.*in flight/);
  const over = await rig.post(callMessage("more", "x"), headers);
  assert.match(over.body, /512 requests in flight/);
  assert.equal(over.status, 429);
  for (const _ of answers) blocking.release(text("ok"));
  await Promise.all(answers);
  assert.match((await rig.post(callMessage("more", "x"), headers)).body, /result/);
});

test("DELETE ends the session and answers requests in flight", async (t) => {
  const { rig, headers, blocking } = await begin(t);
  const answer = rig.post(callMessage(1, "held"), headers);
  const stream = await rig.listen(headers);
  await eventually(() => blocking.started.length === 1);
  await rig.send("DELETE", "/mcp", headers);
  assert.match((await answer).body, /the client ended the session/);
  assert.equal(blocking.started[0]?.signal.aborted, true);
  await eventually(stream.ended);
});

test("an answer that cannot be serialized, or a chain that rejects, becomes an error", async (t) => {
  let deep: unknown = 1;
  for (let depth = 0; depth < 200_000; depth++) deep = { deep };
  const loop: { self?: unknown } = {};
  loop.self = loop;
  const { rig, headers } = await begin(t, {
    deep: async () => ({ result: { deep } }),
    loop: async () => ({ result: { loop } }),
    async broken() {
      throw new Error("secret detail");
    },
  });
  assert.match((await rig.post(callMessage(1, "loop"), headers)).body, /"id":1,"error":.*-32603/);
  assert.equal((await rig.post(callMessage(1, "deep"), headers)).status, 200);
  const broken = await rig.post(callMessage(2, "broken"), headers);
  assert.match(broken.body, /-32603/);
  assert.doesNotMatch(broken.body, /secret/);
});

test("an internal error fails only its request", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  const broken = { ...gateway };
  gateway.authenticate = () => {
    throw new Error("secret detail");
  };
  const answer = await rig.post(callMessage(1, "x"), headers);
  assert.deepEqual([answer.status, objectOf(answer.json()["error"])["message"]], [500, "internal error"]);
  gateway.authenticate = broken.authenticate;
  gateway.handle = () => {
    throw new Error("secret detail");
  };
  assert.match((await rig.post(callMessage(1, "x"), headers)).body, /"id":1,"error":.*internal error/);
  gateway.handle = broken.handle;
  assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 200);
  assert.equal(rig.front.inFlight, 0);
});

test("ping is answered here, and other notifications reach the gateway", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  const ping = await rig.post({ jsonrpc: "2.0", id: 1, method: "ping" }, headers);
  assert.deepEqual(ping.json(), { jsonrpc: "2.0", id: 1, result: {} });
  const told = await rig.post({ jsonrpc: "2.0", method: "notifications/roots/list_changed" }, headers);
  assert.equal(told.status, 202);
  await rig.post({ jsonrpc: "2.0", method: "notifications/initialized" }, headers);
  assert.deepEqual(pluck(gateway.heard, "method"), ["notifications/roots/list_changed"]);
  assert.equal(gateway.requests.length, 0);
});

/** A tool that tells what its client answered to its question. */
const ASKING = {
  async ask({ handle, signal }: GatewayRequest) {
    return text(JSON.stringify(await handle.request("roots/list", { a: 1 }, signal)));
  },
};

test("a question travels on its call's stream, and the client's POST settles it", async (t) => {
  const { rig, headers } = await begin(t, ASKING);
  const stream = collect((await rig.open("POST", headers, callMessage(1, "ask"))).response);
  const question = await eventually(() => stream.messages[0]);
  const { id } = question;
  assert.match(String(id), /^m[\w-]{8}-1$/);
  assert.deepEqual(question, { jsonrpc: "2.0", id, method: "roots/list", params: { a: 1 } });
  const unknown = await rig.post({ jsonrpc: "2.0", id: `${id}9`, result: {} }, headers);
  assert.deepEqual([unknown.status, unknown.body], [202, ""]);
  const told = await rig.post({ jsonrpc: "2.0", id, result: { role: "user" } }, headers);
  assert.equal(told.status, 202);
  await eventually(stream.ended);
  assert.match(JSON.stringify(stream.messages[1]), /role.*user/);
});

test("an answer that is not a response settles its question with an error", async (t) => {
  const { rig, headers } = await begin(t, ASKING);
  const stream = collect((await rig.open("POST", headers, callMessage(1, "ask"))).response);
  await eventually(() => stream.messages.length === 1);
  const answer = await rig.post({ jsonrpc: "2.0", id: stream.messages[0]?.["id"], result: null }, headers);
  assert.equal(answer.status, 400);
  await eventually(stream.ended);
  assert.match(JSON.stringify(stream.messages[1]), /-32600.*not a JSON-RPC response/);
});

test("E1 a client that is no longer admitted gets no messages and questions outside of calls, until it identifies itself", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  const stream = await rig.listen(headers);
  const session = onlySession(gateway);
  session.admit(false);
  session.notify("notifications/message", { level: "error", data: "secret" });
  const asked = await session.request("roots/list", undefined, new AbortController().signal);
  assert.ok("error" in asked);
  await rig.post({ jsonrpc: "2.0", id: 1, method: "ping" }, headers);
  session.notify("notifications/message", { level: "error", data: "for all" });
  await eventually(() => stream.messages.length > 0);
  assert.match(JSON.stringify(stream.messages), /for all/);
  assert.doesNotMatch(JSON.stringify(stream.messages), /secret/);
});

test("a resource's changes are reported as the present rules allow", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.mayBeNotified = (_, uri) => uri === "x://open";
  const headers = { "mcp-session-id": await rig.initialize() };
  const stream = await rig.listen(headers);
  for (const uri of ["x://secret", "x://open"])
    onlySession(gateway).notify("notifications/resources/updated", { uri });
  await eventually(() => stream.messages.length > 0);
  assert.deepEqual(pluck(stream.messages, "params"), [{ uri: "x://open" }]);
});

test("questions of two sessions never have the same id, and no answer of another session settles one", async (t) => {
  const { rig } = await openFront(t, ASKING);
  const ask = async () => {
    const headers = { "mcp-session-id": await rig.initialize() };
    const stream = collect((await rig.open("POST", headers, callMessage(1, "ask"))).response);
    // A client may have outlived the daemon that asked.
    const { id } = await eventually(() => stream.messages[0]);
    return { headers, stream, id };
  };
  const [one, two, three] = [await ask(), await ask(), await ask()];
  assert.equal(new Set([one.id, two.id, three.id]).size, 3);
  await rig.post({ jsonrpc: "2.0", id: one.id, result: { from: "two" } }, two.headers);
  await rig.post({ jsonrpc: "2.0", id: one.id, result: { from: "one" } }, one.headers);
  await eventually(one.stream.ended);
  assert.match(JSON.stringify(one.stream.messages[1]), /from.*one/);
});

test("a client's progress on a question reaches the asking server, until it is answered", async (t) => {
  const seen: unknown[] = [];
  const { gateway, rig, headers } = await begin(t, {
    async ask({ handle, signal }) {
      const params = { _meta: { progressToken: "t-1" } };
      const reply = await handle.request("sampling/createMessage", params, signal, (told) => seen.push(told));
      return text(JSON.stringify(reply));
    },
  });
  const stream = collect((await rig.open("POST", headers, callMessage(1, "ask"))).response);
  await eventually(() => stream.messages.length === 1);
  const progress = (token: unknown) => ({
    jsonrpc: "2.0",
    method: "notifications/progress",
    params: { progressToken: token, progress: 1 },
  });
  await rig.post(progress("t-1"), headers);
  await rig.post(progress("t-2"), headers);
  await rig.post({ jsonrpc: "2.0", id: stream.messages[0]?.["id"], result: {} }, headers);
  await rig.post(progress("t-1"), headers);
  assert.deepEqual(seen, [{ progressToken: "t-1", progress: 1 }]);
  assert.deepEqual(gateway.heard, []);
});

test("cancelling a call withdraws its question on the same stream before that ends", async (t) => {
  const { rig, headers } = await begin(t, {
    async ask({ handle, signal }) {
      return (await handle.request("elicitation/create", {}, signal)) ?? text("its stream closed");
    },
  });
  const stream = collect((await rig.open("POST", headers, callMessage(5, "ask"))).response);
  await eventually(() => stream.messages.length === 1);
  await rig.post(
    { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 5, reason: "no" } },
    headers,
  );
  await eventually(stream.ended);
  const requestId = stream.messages[0]?.["id"];
  assert.deepEqual(stream.messages.slice(1), [
    { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId, reason: "no" } },
  ]);
});

test("a question that outlives its call's stream is withdrawn on the one the client listens on", async (t) => {
  const abort = new AbortController();
  const { rig, headers } = await begin(t, {
    async ask({ handle }) {
      void handle.request("elicitation/create", {}, abort.signal);
      return text("asked");
    },
  });
  const listening = await rig.listen(headers);
  const call = collect((await rig.open("POST", headers, callMessage(5, "ask"))).response);
  await eventually(call.ended);
  const requestId = call.messages[0]?.["id"];
  assert.equal(typeof requestId, "string");
  abort.abort(new Error("not needed"));
  const { method, params } = await eventually(() => listening.messages[0]);
  assert.equal(method, "notifications/cancelled");
  assert.deepEqual(params, { requestId, reason: "not needed" });
});

test("a client that disconnects cancels nothing, yet its questions are over, and withdrawn on its listening stream", async (t) => {
  const blocking = createBlockingTool();
  let replied: unknown;
  const { rig, headers } = await begin(
    t,
    {
      held: blocking.tool,
      async ask({ handle, signal }) {
        replied = await handle.request("roots/list", undefined, signal);
        return text("asked");
      },
    },
    { version: "2025-06-18" },
  );
  const listening = await rig.open("GET", headers);
  const stream = collect(listening.response);
  const { request } = await rig.open("POST", headers, callMessage(1, "ask"));
  request.destroy();
  await eventually(() => replied !== undefined);
  assert.equal(replied, null);
  const { method, params } = await eventually(() => stream.messages[0]);
  assert.equal(method, "notifications/cancelled");
  assert.match(String(objectOf(params)["requestId"]), /^m[\w-]{8}-1$/);
  listening.response.destroy();
  const socketGone = rig.post(callMessage(2, "held"), headers).catch(() => "gone");
  const call = await eventually(() => blocking.started[0]);
  assert.equal(call.signal.aborted, false);
  blocking.release(text("late"));
  await socketGone;
  await eventually(() => rig.front.inFlight === 0);
});

test("the HTTP front sends a change notice only to the newest stream, and stores it, once per kind, while there is none", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  const session = onlySession(gateway);
  session.listChanged("tools");
  session.listChanged("tools");
  session.listChanged("prompts");
  const first = await rig.open("GET", headers);
  const one = collect(first.response);
  await eventually(() => one.messages.length === 2);
  const second = await rig.open("GET", headers);
  const two = collect(second.response);
  session.listChanged("resources");
  await eventually(() => two.messages.length === 1);
  second.request.destroy();
  await eventually(() => {
    session.notify("notifications/message", { level: "info" });
    return one.messages.length > 2;
  });
  assert.deepEqual(pluck(one.messages.slice(0, 3), "method"), [
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/message",
  ]);
  assert.deepEqual(two.messages, [{ jsonrpc: "2.0", method: "notifications/resources/list_changed" }]);
  first.request.destroy();
});

test("the fifth stream of a session ends the first", async (t) => {
  const { rig, headers } = await begin(t);
  const streams: ReturnType<typeof collect>[] = [];
  for (let count = 0; count < 5; count++) streams.push(collect((await rig.open("GET", headers)).response));
  await eventually(() => streams[0]?.ended());
  assertEach(streams, (stream) => stream.ended(), [true, false, false, false, false]);
});

test("a question outside of calls goes there, is withdrawn there, and is an error without it", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  const session = onlySession(gateway);
  const never = new AbortController();
  assert.match(JSON.stringify(await session.request("ping", undefined, never.signal)), /no open stream/);
  const stream = await rig.listen(headers);
  const asked = session.request("ping", undefined, never.signal);
  const question = await eventually(() => stream.messages[0]);
  await rig.post({ jsonrpc: "2.0", id: question["id"], error: { code: 1, message: "no" } }, headers);
  assert.deepEqual(await asked, errorReply(1, "no"));
  const withdrawn = session.request("ping", undefined, never.signal);
  never.abort(new Error("not needed"));
  assert.match(JSON.stringify(await withdrawn), /withdrawn/);
  await eventually(() => stream.messages.length === 3);
  assert.deepEqual(objectOf(stream.messages[2]?.["params"])["reason"], "not needed");
});

test("a listening stream sends a comment every 15 s, and needs an id and the right Accept", async (t) => {
  const clock = createManualClock();
  const { rig, headers } = await begin(t, {}, { clock });
  assert.equal((await rig.send("GET", "/mcp", { accept: "text/event-stream" })).status, 400);
  assert.equal((await rig.send("GET", "/mcp", { ...headers, accept: "application/json" })).status, 406);
  const stream = await rig.listen(headers);
  await clock.advance(15_000);
  await clock.advance(15_000);
  await eventually(() => stream.text() === ": \n\n: \n\n");
});

// Ids beyond what a double holds: clients write and read text here.

const LONG = "9007199254740993";
/** The same double. */
const NEIGHBOUR = "9007199254740992";
const call = (id: string, name: string): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}"}}`;

test("an id that a double cannot represent returns with its digits, wherever a request ends", async () => {
  await using rig = await startRig(createScriptedGateway());
  const initialize = `{"jsonrpc":"2.0","id":${LONG},"method":"initialize","params":{"protocolVersion":"2025-03-26",
      "capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`;
  const opened = await rig.post(initialize);
  const headers = { "mcp-session-id": String(opened.headers["mcp-session-id"]) };
  const answers = [
    opened,
    await rig.post(call(LONG, "echo"), headers),
    await rig.post(`[${call(LONG, "echo")}]`, headers),
    await rig.post(`{"jsonrpc":"2.0","id":${LONG},"method":5}`, headers),
    await rig.post(call(LONG, "echo"), { ...headers, accept: "text/event-stream" }),
  ];
  for (const { body } of answers) assert.match(body, new RegExp(`"id":${LONG}\\b`));
});

test("an id that a double cannot represent differs from its neighbour's: each is in flight once, and cancelled separately", async (t) => {
  const { rig, headers, blocking } = await begin(t);
  const neighbour = rig.post(call(NEIGHBOUR, "held"), headers);
  await eventually(() => blocking.started.length === 1);
  const long = rig.post(call(LONG, "held"), headers);
  await eventually(() => blocking.started.length === 2);
  assert.match((await rig.post(call(LONG, "held"), headers)).body, /with this id is in flight/);
  const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${LONG}}}`;
  await rig.post(cancel, headers);
  assert.equal((await long).body, "");
  assertEach(blocking.started, ({ signal }) => signal.aborted, [false, true]);
  blocking.release(text("done"));
  assert.match((await neighbour).body, new RegExp(`"id":${NEIGHBOUR}\\b`));
});
