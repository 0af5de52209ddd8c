import assert from "node:assert/strict";
import { once } from "node:events";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { OWNER } from "../../../../src/gateway/client-handle.ts";
import type { ModernFront } from "../../../../src/gateway/frontend/modern/modern-front.ts";
import type { CallStream } from "../../../../src/gateway/frontend/session/client-stream.ts";
import { LinesFront } from "../../../../src/gateway/frontend/stdio/lines.ts";
import { META, MODERN_VERSION, SERVED_VERSIONS } from "../../../../src/gateway/protocol.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { pluck } from "../../../support/pluck.ts";
import { callMessage, createModern, initializeMessage } from "../http/http-rig.ts";
import { createScriptedGateway, objectOf, onlySession, text } from "../scripted-gateway.ts";
import { openLine } from "./line-rig.ts";

test("a stream of lines asks and cancels on it, and a cancelled call gets no answer", async (t) => {
  const { line, blocking } = openLine(t, {
    async ask({ handle, signal }) {
      return text(JSON.stringify(await handle.request("roots/list", undefined, signal)));
    },
  });
  line.send(initializeMessage(), callMessage(1, "held"), callMessage(2, "ask"));
  const question = (await line.expect(2))[1];
  assert.equal(question?.["method"], "roots/list");
  line.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
  line.send({ jsonrpc: "2.0", id: question["id"], result: { roots: [] } });
  const answers = await line.expect(3);
  assert.equal(answers[2]?.["id"], 2);
  assert.match(JSON.stringify(answers[2]), /roots/);
  assert.equal(blocking.started[0]?.signal.aborted, true);
  line.send({ jsonrpc: "2.0", id: 3, method: "ping" });
  assert.equal((await line.expect(4))[3]?.["id"], 3);
});

test("a stream of lines answers garbage, long lines and early requests, and continues", async (t) => {
  const { line } = openLine(t, {}, 2_000);
  line.client.write(Buffer.from([0xff, 0xfe, 0x0a]));
  line.client.write("{\n\n\r\n");
  line.client.write(`${"x".repeat(5_000)}\n`);
  line.send([], { jsonrpc: "2.0", id: 4, method: 5 }, callMessage(5, "early"));
  line.send({ jsonrpc: "2.0", id: 6, method: "server/discover" }, { jsonrpc: "2.0", id: 7, method: "ping" });
  line.client.write(JSON.stringify(initializeMessage()));
  line.client.write("\r\n");
  const answers = await line.expect(9);
  assertEach(answers, ({ id, error }) => [id, error === undefined ? null : objectOf(error)["code"]], [
    [null, -32700],
    [null, -32700],
    [null, -32600],
    [null, -32600],
    [4, -32600],
    [5, -32600],
    [6, -32602],
    [7, null],
    [0, null],
  ]);
});

test("a stream of lines takes a line in many pieces, cut inside of characters", async (t) => {
  const { line } = openLine(t);
  line.send(initializeMessage());
  const bytes = Buffer.from(`${JSON.stringify(callMessage(1, "echo", { x: "häß€😀" }))}\n`);
  for (const byte of bytes) line.client.write(Buffer.from([byte]));
  assert.match(JSON.stringify((await line.expect(2))[1]), /häß€😀/);
});

test("a stream of lines accepts batches in the version that had them", async (t) => {
  const { gateway, line } = openLine(t);
  line.send(initializeMessage("2025-03-26"));
  line.send([callMessage(1, "x"), 7, { jsonrpc: "2.0", method: "notifications/other" }, callMessage(2, "x")]);
  await eventually(() => line.received.length === 2);
  const [, answers = []] = line.received as unknown as { id: unknown }[][];
  assert.deepEqual(pluck(answers, "id"), [null, 1, 2]);
  assert.equal(gateway.heard.length, 1);
  line.send([7, { jsonrpc: "2.0", id: 3, method: 5 }], []);
  await eventually(() => line.received.length === 4);
  const [errors, refused] = line.received.slice(2);
  assert.deepEqual(
    (errors as unknown as { id: unknown; error: { code: number } }[]).map(({ id, error }) => [
      id,
      error.code,
    ]),
    [
      [null, -32600],
      [3, -32600],
    ],
  );
  assert.deepEqual(objectOf(objectOf(refused)["error"])["code"], -32600);
});

test("D2 a batch in another version fails each of its requests", async (t) => {
  const { line } = openLine(t);
  line.send(initializeMessage("2025-11-25"));
  line.send(
    [callMessage(1, "x"), { jsonrpc: "2.0", method: "notifications/other" }, callMessage(2, "x")],
    [7],
  );
  await eventually(() => line.received.length === 4);
  const answers = line.received.slice(1).map(objectOf);
  assert.deepEqual(pluck(answers, "id"), [1, 2, null]);
  for (const { error } of answers) assert.match(JSON.stringify(error), /-32600.*has no batches/);
});

test("a stream of lines settles a question with an error when its answer in a batch is invalid", async (t) => {
  const { gateway, line } = openLine(t);
  line.send(initializeMessage("2025-03-26"));
  await line.expect(1);
  const asked = onlySession(gateway).request("roots/list", undefined, new AbortController().signal);
  const [, question] = await line.expect(2);
  line.send([{ jsonrpc: "2.0", id: question?.["id"], result: null }]);
  assert.match(JSON.stringify(await asked), /is not a JSON-RPC response/);
});

test("a stream of lines answers the requests in flight of a client that has closed its input, then ends", async (t) => {
  const { gateway, line, blocking } = openLine(t);
  line.send(initializeMessage(), callMessage(1, "held"));
  line.client.end();
  await eventually(() => blocking.started.length === 1);
  blocking.release(text("late"));
  assert.match(JSON.stringify((await line.expect(2))[1]), /late/);
  await line.front.closed;
  assert.equal(gateway.sessions.size, 0);
});

test("a stream of lines answers a last request without its line's end", async (t) => {
  const { line } = openLine(t);
  line.client.write(`${JSON.stringify(initializeMessage())}\n${JSON.stringify(callMessage(2, "echo"))}`);
  line.client.end();
  const [, answer] = await line.expect(2);
  assert.equal(answer?.["id"], 2);
  await line.front.closed;
});

test("a stream of lines asks a client nothing after its input is closed", async (t) => {
  const { line } = openLine(t, {
    async ask({ handle, signal }) {
      const first = await handle.request("roots/list", undefined, signal);
      const second = await handle.request("roots/list", undefined, signal);
      return text(JSON.stringify([first, second]));
    },
  });
  line.send(initializeMessage(), callMessage(1, "ask"));
  await line.expect(2);
  line.client.end();
  const [, question, answer] = await line.expect(3);
  assert.equal(question?.["method"], "roots/list");
  assert.match(JSON.stringify(answer), /input has ended.*input has ended/);
  await line.front.closed;
});

test("a stream of lines aborts requests in flight when the stream is destroyed", async (t) => {
  const { line, blocking } = openLine(t);
  line.send(initializeMessage(), callMessage(1, "held"));
  await eventually(() => blocking.started.length === 1);
  line.stream.destroy();
  await line.front.closed;
  assert.deepEqual([blocking.started[0]?.signal.aborted, line.front.sessions], [true, 0]);
});

test("a stream of lines does not read from a client that does not read its answers", async () => {
  const large = "x".repeat(512 * 1024);
  const gateway = createScriptedGateway({ large: async () => text(large) });
  const [client, stream] = duplexPair({ highWaterMark: 1024 });
  const clock = systemClock;
  const modern = createModern(gateway);
  const options = {
    gateway,
    modern,
    clock,
    logger: noopLogger,
    principal: OWNER,
    bodyLimitBytes: () => 1e6,
  };
  await using front = new LinesFront(stream, options);
  client.write(`${JSON.stringify(initializeMessage())}\n`);
  for (let id = 1; id <= 50; id++) {
    client.write(`${JSON.stringify(callMessage(id, "large"))}\n`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(gateway.requests.length < 20, `${gateway.requests.length} were taken`);
  let bytes = 0;
  client.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await eventually(() => gateway.requests.length === 50 && bytes > 50 * large.length);
  assert.equal(front.inFlight, 0);
});

test("a stream of lines stops within its grace, with the answers written", async (t) => {
  const { line, blocking } = openLine(t);
  line.send(initializeMessage(), callMessage(1, "held"));
  await eventually(() => blocking.started.length === 1);
  const stopped = line.front.stop(60_000);
  line.send(callMessage(2, "late"));
  assert.match(JSON.stringify((await line.expect(2))[1]), /is stopping/);
  blocking.release(text("in time"));
  await stopped;
  assert.match(JSON.stringify(line.received[2]), /in time/);
  if (!line.stream.closed) await once(line.stream, "close");
});

test("a stream of lines answers requests in flight with the gateway's stop when its grace is over", async (t) => {
  const { line, blocking } = openLine(t);
  line.send(initializeMessage(), callMessage(1, "held"));
  await eventually(() => blocking.started.length === 1);
  await line.front.stop(0);
  assert.match(JSON.stringify((await line.expect(2))[1]), /the gateway is stopping/);
});

// Requests of protocol 2026-07-28 on a stream of lines.

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

test("a stream of lines accepts no batch while the gateway stops, nor more notices than may wait to be read", async (t) => {
  const stopping = openLine(t);
  stopping.line.send(initializeMessage("2025-03-26"), callMessage(1, "held"));
  await eventually(() => stopping.blocking.started.length === 1);
  const stopped = stopping.line.front.stop(60_000);
  stopping.line.send([callMessage(2, "x"), callMessage(3, "x")]);
  await eventually(() => stopping.line.received.length === 2);
  const answers = stopping.line.received[1] as unknown as { id: number; error: { message: string } }[];
  assertEach(answers, ({ id, error }) => [id, error.message], [
    [2, "the gateway is stopping"],
    [3, "the gateway is stopping"],
  ]);
  stopping.blocking.release(text("done"));
  await stopped;

  const flooded = openLine(t);
  flooded.line.send(initializeMessage());
  await flooded.line.expect(1);
  flooded.line.client.pause();
  const session = onlySession(flooded.gateway);
  for (let count = 0; count < 12; count++)
    session.notify("notifications/x", { much: "x".repeat(1024 * 1024) });
  await flooded.line.front.closed;
  assert.equal(session.ended.aborted, true);
});

test("D4 a stream of lines belongs to one group: chosen before anything else, and only where none is set", async (t) => {
  const choose = (id: number, name: string) => ({
    ...{ jsonrpc: "2.0", id, method: "mountaineer/group" },
    params: { name },
  });
  const codeOf = (answer: Record<string, unknown>): unknown =>
    answer["error"] === undefined ? null : objectOf(answer["error"])["code"];
  const free = openLine(t);
  free.gateway.hasGroup = (name) => name === "work";
  free.line.send(choose(1, "other"), choose(2, "work"), modernMessage(3, "tools/list"), choose(4, "work"));
  await free.line.expect(4);
  const codes = await Promise.all([1, 2, 3, 4].map(async (id) => codeOf(await free.line.answer(id))));
  assert.deepEqual(codes, [-32602, null, null, -32600]);
  const set = openLine(t, {}, 1e6, { group: "play" });
  set.gateway.hasGroup = () => true;
  set.line.send(choose(1, "work"));
  assert.equal(codeOf(await set.line.answer(1)), -32600);
});

test("B11 a stream of lines announces a handover to a client that has begun, even to one of 2026-07-28, and ends for others", async (t) => {
  const begun = openLine(t);
  begun.line.send(modernMessage(1, "tools/list"));
  await begun.line.expect(1);
  begun.line.front.moveOn();
  assert.equal((await begun.line.expect(2))[1]?.["method"], "notifications/mountaineer/handover");
  const silent = openLine(t);
  silent.line.front.moveOn();
  await silent.line.front.closed;
});

test("D2 an answer that crosses the cancellation of its request is not passed on", async (t) => {
  const streams: CallStream[] = [];
  const modern = {
    inFlight: 0,
    serve(_request: unknown, stream: CallStream) {
      streams.push(stream);
      return () => {};
    },
  };
  const { line } = openLine(t, {}, 1e6, { modern: modern as unknown as ModernFront });
  line.send(modernMessage(1, "tools/list"));
  line.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
  await eventually(() => streams.length === 1 && line.front.inFlight === 0);
  line.send({ jsonrpc: "2.0", id: 2, method: "ping" });
  await line.expect(1);
  streams[0]?.answer(1, { result: {} });
  line.send({ jsonrpc: "2.0", id: 3, method: "ping" });
  assert.deepEqual(pluck(await line.expect(2), "id"), [2, 3]);
});

test("D1 D2 a client of 2026-07-28 discovers, lists and calls without a session", async (t) => {
  const { gateway, line } = openLine(t, {
    async noisy({ handle }) {
      handle.notify("notifications/progress", { progressToken: "x", progress: 1 });
      handle.notify("notifications/message", { level: "info", data: "logged" });
      return text("done");
    },
  });
  line.send(modernMessage(1, "server/discover"), modernCall("two", "any"), modernMessage(3, "tools/list"));
  const discovered = objectOf((await line.answer(1))["result"]);
  assert.deepEqual(discovered["supportedVersions"], SERVED_VERSIONS);
  const called = objectOf((await line.answer("two"))["result"]);
  assert.equal(called["resultType"], "complete");
  assert.deepEqual(called["content"], [{ type: "text", text: '{"a":1}' }]);
  assert.equal(objectOf((await line.answer(3))["result"])["ttlMs"], 0);
  line.send(modernCall(4, "noisy", { progressToken: "p", [META.logLevel]: "info" }));
  await line.answer(4);
  const told = line.received.filter((one) => "method" in one);
  assertEach(told, ({ method, params }) => [method, objectOf(params)["progressToken"]], [
    ["notifications/progress", "p"],
    ["notifications/message", undefined],
  ]);
  assert.deepEqual([line.front.sessions, gateway.sessions.size], [0, 0]);
});

test("D1 D2 missing and surplus members of a request are reported with the codes of 2026-07-28", async (t) => {
  const { line } = openLine(t);
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

test("D1 D2 a request is withdrawn by its client's notice, and gets no answer", async (t) => {
  const { line, blocking } = openLine(t);
  line.send(modernCall(1, "held"), modernCall(2, "held"));
  await eventually(() => blocking.started.length === 2);
  line.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
  await eventually(() => blocking.started[0]?.signal.aborted === true);
  assert.equal(blocking.started[1]?.signal.aborted, false);
  line.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 17 } });
  blocking.release(text("late"));
  blocking.release(text("done"));
  await line.answer(2);
  assert.equal(
    line.received.some(({ id }) => id === 1),
    false,
  );
  // Its id is free again.
  line.send(modernCall(1, "any"));
  assert.ok("result" in (await line.answer(1)));
});

test("D1 D2 an id in flight is not begun again, and the number of requests in flight is limited", async (t) => {
  const { line, blocking } = openLine(t);
  for (let id = 1; id <= 513; id++) line.send(modernCall(id, "held"));
  assert.equal(objectOf((await line.answer(513))["error"])["code"], -32029);
  line.send(modernCall(1, "any"));
  assert.equal(objectOf((await line.answer(1))["error"])["code"], -32600);
  await eventually(() => blocking.started.length === 512);
  line.stream.destroy();
  await line.front.closed;
  await eventually(() => blocking.started.every(({ signal }) => signal.aborted));
  await eventually(() => line.modern.inFlight === 0);
});

test("D1 D2 a question is an answer that asks for input, and the retry on the same stream completes", async (t) => {
  const { line } = openLine(t, {
    async asks({ handle, signal }) {
      const reply = await handle.request("elicitation/create", { message: "name?" }, signal);
      return text(JSON.stringify(reply));
    },
  });
  line.send(modernCall(1, "asks"));
  const { resultType, inputRequests, requestState } = objectOf((await line.answer(1))["result"]);
  assert.equal(resultType, "input_required");
  const [key] = Object.keys(objectOf(inputRequests));
  assert.ok(key);
  const answers = { inputResponses: { [key]: { action: "accept", content: { name: "ann" } } }, requestState };
  line.send(modernMessage(2, "tools/call", { name: "asks", arguments: { a: 1 }, ...answers }));
  assert.match(JSON.stringify(await line.answer(2)), /ann/);
});

test("D1 D2 several listen on one stream, each notified under its own id, until it withdraws that", async (t) => {
  const { gateway, line } = openLine(t);
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

test("D1 D2 a client that has closed its input still gets its answers, and a stop waits for them", async (t) => {
  const { line, blocking } = openLine(t);
  line.send(
    modernCall(1, "held"),
    modernMessage(9, "subscriptions/listen", { notifications: { toolsListChanged: true } }),
  );
  await eventually(() => blocking.started.length === 1);
  line.client.end();
  blocking.release(text("late"));
  assert.match(JSON.stringify(await line.answer(1)), /late/);
  await line.front.closed;

  const other = openLine(t);
  other.line.send(modernCall(1, "held"));
  await eventually(() => other.blocking.started.length === 1);
  const stopped = other.line.front.stop(10_000);
  other.blocking.release(text("at last"));
  assert.match(JSON.stringify(await other.line.answer(1)), /at last/);
  await stopped;
});

test("D7 the owner's client may report its folder before it begins; no other may", async (t) => {
  const tell = (id: number, path: unknown) => ({
    jsonrpc: "2.0",
    id,
    method: "mountaineer/folder",
    params: { path },
  });
  const { gateway, line } = openLine(t);
  line.send(
    tell(1, "relative"),
    tell(2, 7),
    tell(3, "/a\nb"),
    tell(4, `/${"x".repeat(5_000)}`),
    tell(5, "/work/project"),
  );
  line.send(initializeMessage());
  const codes = (await line.expect(6)).map((one) =>
    "error" in one ? objectOf(one["error"])["code"] : undefined,
  );
  assert.deepEqual(codes, [-32602, -32602, -32602, -32602, undefined, undefined]);
  assert.equal(onlySession(gateway).folder, "/work/project");
  const machine = { kind: "machine", name: "fleet:b", roles: [] } as const;
  const { line: theirs } = openLine(t, {}, 1_000_000, { principal: machine });
  theirs.send(tell(1, "/work/project"));
  assert.equal(objectOf((await theirs.answer(1))["error"])["code"], -32600);
});
