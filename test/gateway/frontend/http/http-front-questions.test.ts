// What the HTTP front sends of its own: questions to clients, notices, streams that listen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorReply } from "../../../../src/gateway/json-rpc.ts";
import type { GatewayRequest } from "../../../../src/gateway/middleware/middleware.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import {
  createBlockingTool,
  createScriptedGateway,
  objectOf,
  onlySession,
  text,
} from "../scripted-gateway.ts";
import { begin, callMessage, collect, openFront, startRig } from "./http-rig.ts";

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
