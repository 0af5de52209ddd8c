// Requests of protocol 2026-07-28 on a stream of lines.
import assert from "node:assert/strict";
import { test } from "node:test";
import { META, MODERN_VERSION } from "../../../../src/gateway/protocol.ts";
import { eventually } from "../../../support/eventually.ts";
import { callMessage, initializeMessage } from "../http/http-rig.ts";
import { createHeldTool, createScriptedGateway, objectOf, text } from "../scripted-gateway.ts";
import { startLine } from "./line-rig.ts";

function modernMessage(id: unknown, method: string, params: object = {}, meta: object = {}): object {
  const own = {
    [META.protocolVersion]: MODERN_VERSION,
    [META.clientCapabilities]: { elicitation: {} },
    ...meta,
  };
  return { jsonrpc: "2.0", id, method, params: { ...params, _meta: own } };
}

const modernCall = (id: unknown, name: string, meta: object = {}): object =>
  modernMessage(id, "tools/call", { name, arguments: { a: 1 } }, meta);

test("D1 D2 a client of 2026-07-28 discovers, lists and calls without a session", async () => {
  const gateway = createScriptedGateway({
    async noisy({ port }) {
      port.notify("notifications/progress", { progressToken: "x", progress: 1 });
      port.notify("notifications/message", { level: "info", data: "logged" });
      return text("done");
    },
  });
  await using line = startLine(gateway);
  line.send(modernMessage(1, "server/discover"), modernCall("two", "any"), modernMessage(3, "tools/list"));
  const discovered = objectOf((await line.answer(1))["result"]);
  assert.deepEqual(discovered["supportedVersions"], [MODERN_VERSION]);
  const called = objectOf((await line.answer("two"))["result"]);
  assert.equal(called["resultType"], "complete");
  assert.deepEqual(called["content"], [{ type: "text", text: '{"a":1}' }]);
  assert.equal(objectOf((await line.answer(3))["result"])["ttlMs"], 0);
  line.send(modernCall(4, "noisy", { progressToken: "p", [META.logLevel]: "info" }));
  await line.answer(4);
  const told = line.received.filter((one) => "method" in one);
  assert.deepEqual(
    told.map(({ method, params }) => [method, objectOf(params)["progressToken"]]),
    [
      ["notifications/progress", "p"],
      ["notifications/message", undefined],
    ],
  );
  assert.deepEqual([line.front.sessions, gateway.sessions.size], [0, 0]);
});

test("D1 D2 what a request lacks or has too much is said in the codes of 2026-07-28", async () => {
  await using line = startLine(createScriptedGateway());
  const incomplete = { [META.protocolVersion]: MODERN_VERSION };
  line.send(
    { jsonrpc: "2.0", id: 1, method: "server/discover" },
    { jsonrpc: "2.0", id: 2, method: "tools/list", params: { _meta: incomplete } },
    modernMessage(3, "tools/list", {}, { [META.protocolVersion]: "2027-01-01" }),
    modernMessage(4, "ping"),
    modernMessage(5, "initialize"),
  );
  const codes: unknown[] = [];
  for (const id of [1, 2, 3, 4, 5]) codes.push(objectOf((await line.answer(id))["error"])["code"]);
  assert.deepEqual(codes, [-32602, -32602, -32022, -32601, -32601]);
  // Whoever finds out that way goes on as it likes.
  line.send(initializeMessage());
  await line.answer(0);
  line.send(callMessage(6, "any"), modernCall(7, "any"));
  assert.ok("result" in (await line.answer(6)));
  assert.equal(objectOf((await line.answer(7))["error"])["code"], -32022);
});

test("D1 D2 a request is taken back by its client's notice, and gets no answer", async () => {
  const held = createHeldTool();
  await using line = startLine(createScriptedGateway({ held: held.tool }));
  line.send(modernCall(1, "held"), modernCall(2, "held"));
  await eventually(() => held.started.length === 2);
  line.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
  await eventually(() => held.started[0]?.signal.aborted === true);
  assert.equal(held.started[1]?.signal.aborted, false);
  line.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 17 } });
  held.release(text("late"));
  held.release(text("done"));
  await line.answer(2);
  assert.equal(
    line.received.some(({ id }) => id === 1),
    false,
  );
  // Its id is free again.
  line.send(modernCall(1, "any"));
  assert.ok("result" in (await line.answer(1)));
});

test("D1 D2 an id in flight is not begun again, and so many requests are in flight at most", async () => {
  const held = createHeldTool();
  await using line = startLine(createScriptedGateway({ held: held.tool }));
  for (let id = 1; id <= 513; id++) line.send(modernCall(id, "held"));
  assert.equal(objectOf((await line.answer(513))["error"])["code"], -32029);
  line.send(modernCall(1, "any"));
  assert.equal(objectOf((await line.answer(1))["error"])["code"], -32600);
  await eventually(() => held.started.length === 512);
  line.stream.destroy();
  await line.front.closed;
  await eventually(() => held.started.every(({ signal }) => signal.aborted));
  await eventually(() => line.modern.inFlight === 0);
});

test("D1 D2 a question is an answer that asks for input, and the retry on the same stream completes", async () => {
  const gateway = createScriptedGateway({
    async asks({ port, signal }) {
      const reply = await port.request("elicitation/create", { message: "name?" }, signal);
      return text(JSON.stringify(reply));
    },
  });
  await using line = startLine(gateway);
  line.send(modernCall(1, "asks"));
  const { resultType, inputRequests, requestState } = objectOf((await line.answer(1))["result"]);
  assert.equal(resultType, "input_required");
  const [key] = Object.keys(objectOf(inputRequests));
  assert.ok(key);
  const answers = { inputResponses: { [key]: { action: "accept", content: { name: "ann" } } }, requestState };
  line.send(modernMessage(2, "tools/call", { name: "asks", arguments: { a: 1 }, ...answers }));
  assert.match(JSON.stringify(await line.answer(2)), /ann/);
});

test("D1 D2 several listen on one stream, each told under its own id, until it takes that back", async () => {
  const gateway = createScriptedGateway();
  await using line = startLine(gateway);
  const listen = (id: string, notifications: object): object =>
    modernMessage(id, "subscriptions/listen", { notifications });
  line.send(listen("a", { toolsListChanged: true }), listen("b", { promptsListChanged: true }));
  await eventually(() => line.received.length === 2);
  for (const session of gateway.sessions) {
    session.listChanged("tools");
    session.listChanged("prompts");
  }
  await eventually(() => line.received.length === 4);
  const told = line.received
    .slice(2)
    .map(({ method, params }) => [method, objectOf(objectOf(params)["_meta"])[META.subscriptionId]]);
  assert.deepEqual(told.sort(), [
    ["notifications/prompts/list_changed", "b"],
    ["notifications/tools/list_changed", "a"],
  ]);
  line.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "a" } });
  await eventually(() => gateway.sessions.size === 1);
  line.client.end();
  await line.front.closed;
  await eventually(() => gateway.sessions.size === 0);
});

test("D1 D2 who says no more still gets its answers, and a stop waits for them", async () => {
  const held = createHeldTool();
  await using line = startLine(createScriptedGateway({ held: held.tool }));
  line.send(
    modernCall(1, "held"),
    modernMessage(9, "subscriptions/listen", { notifications: { toolsListChanged: true } }),
  );
  await eventually(() => held.started.length === 1);
  line.client.end();
  held.release(text("late"));
  assert.match(JSON.stringify(await line.answer(1)), /late/);
  await line.front.closed;

  await using other = startLine(createScriptedGateway({ held: held.tool }));
  other.send(modernCall(1, "held"));
  await eventually(() => held.started.length === 2);
  const stopped = other.front.stop(10_000);
  held.release(text("at last"));
  assert.match(JSON.stringify(await other.answer(1)), /at last/);
  await stopped;
});
