// The link to a server of 2026-07-28 at its edges: what is cancelled, late, refused and bounded, on a clock of its own.
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  TransportEvents,
  TransportFailure,
} from "../../../../../src/gateway/backends/transports/backend-transport.ts";
import {
  openVersionAdapter,
  VersionCache,
} from "../../../../../src/gateway/backends/transports/versions/version-adapter.ts";
import {
  isJsonObject,
  type JsonObject,
  type RpcId,
  type RpcMessage,
} from "../../../../../src/gateway/json-rpc.ts";
import { noopLogger } from "../../../../../src/runtime/log/log.ts";
import { createManualClock, settle } from "../../../../support/manual-clock.ts";

const DISCOVERED = {
  supportedVersions: ["2026-07-28"],
  capabilities: { tools: { listChanged: true }, resources: { subscribe: true } },
};
const REFUSED: TransportFailure = { kind: "refused", message: "HTTP 404", hint: null, status: 404 };

/** A link to a server that does nothing by itself, and has been sent the first message. */
function startLink(isPinned: boolean) {
  const rig = startUnder("http", DISCOVERED, isPinned);
  rig.initialize(0);
  return {
    ...rig,
    idsOf: (method: string) => rig.idsOf(0, method),
    lastOf: (method: string) => rig.lastOf(0, method),
    answer: (method: string, reply: JsonObject) => rig.answer(0, method, reply),
    say: (message: JsonObject) => void rig.at(0).events.onMessage({ jsonrpc: "2.0", ...message }, null),
    refuse: (id: RpcId, why = REFUSED) => rig.at(0).events.onRequestFailed(id, why),
  };
}

/** The server has said that it speaks 2026-07-28. */
async function startModern() {
  const self = startLink(true);
  self.answer("server/discover", { result: DISCOVERED });
  await settle();
  assert.ok(self.replyTo(0) !== undefined);
  return self;
}

test("D2 a server that does not answer the probe is not waited for at its stream either", async () => {
  const { clock, abandoned, lastOf, idsOf } = startLink(false);
  await clock.advance(2_000);
  assert.deepEqual([abandoned, idsOf("initialize")], [[lastOf("server/discover")], [0]]);
});

test("D2 another machine's server gets a mark of the older client that calls; a client of 2026-07-28 has no session to mark", async () => {
  const rig = startUnder("http", DISCOVERED, true, ({ sessionId }) => `mark of ${sessionId}`);
  await rig.found();
  rig.request(1, "tools/call", { name: "a" }, SENDER);
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  rig.request(2, "tools/call", { name: "a", _meta }, SENDER);
  const calls = rig.at(0).sent.filter((one) => "method" in one && one.method === "tools/call");
  assert.deepEqual(
    calls.map((one) => JSON.stringify(one).match(/mark of [\w-]+/)?.[0]),
    [`mark of ${SENDER.sessionId}`, undefined],
  );
});

test("D2 a question to a client whose call was cancelled gets no answer", async () => {
  const { request, answer, received, link, idsOf } = await startModern();
  request(1, "tools/call", { name: "a" });
  const inputRequests = { a: { method: "elicitation/create", params: { mode: "form", message: "?" } } };
  answer("tools/call", { result: { resultType: "input_required", inputRequests } });
  const question = received.find(({ method }) => method === "elicitation/create");
  assert.ok(typeof question?.["id"] === "number");
  link.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
  link.send({ jsonrpc: "2.0", id: question["id"], result: { action: "accept" } });
  assert.equal(idsOf("tools/call").length, 1);
});

test("D2 a page that a client was asked to visit counts as visited when the server continues", async () => {
  const { request, answer, received, link } = await startModern();
  request(1, "tools/call", { name: "a" });
  const params = { mode: "url", url: "https://a.example", message: "?" };
  const inputRequests = { a: { method: "elicitation/create", params } };
  answer("tools/call", { result: { resultType: "input_required", inputRequests } });
  const question = received.at(-1);
  const asked = isJsonObject(question?.["params"]) ? question["params"] : {};
  link.send({ jsonrpc: "2.0", id: question?.["id"] as RpcId, result: { action: "accept" } });
  answer("tools/call", { result: { content: [] } });
  assert.deepEqual(received.slice(-2), [
    {
      ...{ jsonrpc: "2.0", method: "notifications/elicitation/complete" },
      params: { elicitationId: asked["elicitationId"] },
    },
    { jsonrpc: "2.0", id: 1, result: { content: [] } },
  ]);
});

test("D2 of a server whose tools have changed at most a hundred pages are read", async () => {
  const { request, answer, idsOf } = await startModern();
  request(1, "tools/call", { name: "a" });
  answer("tools/call", { error: { code: -32_020, message: "headers" } });
  for (let page = 0; idsOf("tools/call").length === 1 && page < 200; page++) {
    answer("tools/list", { result: { tools: [], nextCursor: "more" } });
    await settle();
  }
  assert.deepEqual([idsOf("tools/list").length, idsOf("tools/call").length], [100, 2]);
});

test("D2 refusals that suggest a server of another version cause one probe; without an answer they stand", async () => {
  const { request, refuse, failed, clock, idsOf, lastOf, abandoned } = await startModern();
  for (const id of [1, 2]) request(id, "tools/call", { name: "a" });
  for (const id of idsOf("tools/call")) refuse(id);
  await settle();
  assert.equal(idsOf("server/discover").length, 2, "once at the start, once now");
  await clock.advance(5_000);
  assert.deepEqual([...failed.values()], [REFUSED, REFUSED]);
  assert.deepEqual(abandoned, [lastOf("server/discover")]);
  assert.equal(clock.pendingTimers, 0);
});

test("D2 at the end requests are dropped, subscriptions end and no timer is left", async () => {
  const { link, request, answer, refuse, received, failed, clock, idsOf } = await startModern();
  link.established("2026-07-28");
  request(1, "resources/subscribe", { uri: "a:1" });
  request(2, "tools/call", { name: "a" });
  const [call] = idsOf("tools/call");
  request(3, "tools/call", { name: "b" });
  const inputRequests = { a: { method: "roots/list" } };
  answer("tools/call", { result: { resultType: "input_required", inputRequests } });
  const { length } = received;
  const question = received.at(-1)?.["id"];
  assert.ok(typeof question === "number");
  await link.close();
  refuse(call ?? -1);
  link.send({ jsonrpc: "2.0", id: question, result: { roots: [] } });
  await settle();
  assert.deepEqual([received.length, failed.size, clock.pendingTimers], [length, 0, 0]);
  assert.equal(idsOf("tools/call").length, 2);
});

/** One link beneath, with what it was sent. */
interface Under {
  readonly events: TransportEvents;
  readonly sent: RpcMessage[];
  isClosed: boolean;
}

const OLDER = { protocolVersion: "2025-11-25", capabilities: {} };
const SENDER = { sessionId: "s", capabilities: {}, logLevel: null };

/** A link to a server whose every word is the test's; over HTTP a second one may be opened beneath. */
function startUnder(
  over: "process" | "http" = "http",
  discovered: JsonObject = DISCOVERED,
  isFixed = false,
  callerMarks?: (client: { readonly sessionId: string }) => string,
) {
  const clock = createManualClock();
  const under: Under[] = [];
  const abandoned: RpcId[] = [];
  const received: JsonObject[] = [];
  const failed = new Map<RpcId, TransportFailure>();
  const link = openVersionAdapter({
    ...{ backend: "a", key: "key", memory: new VersionCache(), clock, logger: noopLogger },
    ...{ over, isFixed, ...(callerMarks !== undefined && { callerMarks }) },
    open(events) {
      const one: Under = { events, sent: [], isClosed: false };
      under.push(one);
      const send = (message: RpcMessage): void => void one.sent.push(message);
      return {
        ...{ pid: null, backlogBytes: under.length, established() {}, send },
        ...(over === "http" && { stateless: { send, abandon: (id: RpcId) => void abandoned.push(id) } }),
        close: async () => {
          one.isClosed = true;
        },
      };
    },
  })({
    onMessage(message) {
      if (isJsonObject(message)) received.push(message);
      return null;
    },
    onRequestFailed: (id, failure) => void failed.set(id, failure),
    onSuspect() {},
    onGap() {},
    onClosed() {},
    onQuirk() {},
    onLogLine() {},
  });
  const at = (index: number): Under => under[index] ?? assert.fail(`no link ${index} was opened`);
  const self = {
    ...{ clock, link, abandoned, received, failed, at },
    /** The ids of what that link was sent. */
    idsOf: (index: number, method: string): RpcId[] =>
      at(index).sent.flatMap((one) =>
        "method" in one && "id" in one && one.method === method ? [one.id] : [],
      ),
    lastOf: (index: number, method: string): RpcId =>
      self.idsOf(index, method).at(-1) ?? assert.fail(`no ${method} was sent`),
    answer(index: number, method: string, reply: JsonObject): void {
      const message = { jsonrpc: "2.0", id: self.lastOf(index, method), ...reply };
      void at(index).events.onMessage(message, null);
    },
    fail: (index: number, method: string, failure: TransportFailure): void =>
      at(index).events.onRequestFailed(self.lastOf(index, method), failure),
    request: (
      id: RpcId,
      method: string,
      params: JsonObject = {},
      sender: typeof SENDER | null = null,
    ): void => link.send({ jsonrpc: "2.0", id, method, params }, sender),
    initialize: (id: RpcId): void =>
      self.request(id, "initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: {} }),
    replyTo: (id: RpcId) => received.find((message) => message["id"] === id),
    /** It is found to speak 2026-07-28, and is asked for a session of 2025-11-25, too. */
    async found() {
      self.initialize(0);
      self.answer(0, "server/discover", { result: discovered });
      await settle();
    },
    /** It has both. */
    async both(result: JsonObject = OLDER) {
      await self.found();
      self.answer(1, "initialize", { result });
      await settle();
      assert.ok(self.replyTo(0) !== undefined);
    },
  };
  return self;
}

const failure = (kind: TransportFailure["kind"], status?: number): TransportFailure => ({
  ...{ kind, message: "no", hint: null },
  ...(status !== undefined && { status }),
});

test("D1 a server whose older version is unavailable at the start is used in the newer one, whatever the reason", async () => {
  type Rig = ReturnType<typeof startUnder>;
  const reasons: readonly (readonly [string, (rig: Rig) => unknown])[] = [
    ["away", (rig) => rig.fail(1, "initialize", failure("refused", 503))],
    ["refused", (rig) => rig.answer(1, "initialize", { error: { code: -32601, message: "no" } })],
    ["another version", (rig) => rig.answer(1, "initialize", { result: { protocolVersion: "1999-01-01" } })],
    ["silent", (rig) => rig.clock.advance(5_000)],
    ["its link ends", (rig) => rig.at(1).events.onClosed(failure("closed"))],
  ];
  for (const [what, happen] of reasons) {
    const rig = startUnder();
    await rig.found();
    assert.equal(rig.replyTo(0), undefined, what);
    await happen(rig);
    await settle();
    assert.ok(rig.replyTo(0) !== undefined, what);
    assert.equal(rig.at(1).isClosed, true, what);
    rig.request(1, "tools/call", { name: "a" }, SENDER);
    assert.equal(rig.idsOf(0, "tools/call").length, 1, what);
    assert.equal(rig.clock.pendingTimers, 0, what);
  }
});

test("D1 an older session that cannot be restarted is waited for where the server is away, else given up", async () => {
  for (const [reason, isAway] of [
    [failure("closed"), true],
    [failure("refused", 500), true],
    [failure("unreachable"), true],
    [failure("refused", 401), true],
    [failure("refused", 404), false],
    [failure("protocol"), false],
  ] as const) {
    const rig = startUnder();
    await rig.both();
    rig.initialize(7);
    rig.fail(1, "initialize", reason);
    await settle();
    const what = `${reason.kind} ${reason.status}`;
    assert.deepEqual(
      [rig.failed.get(7), rig.replyTo(7) === undefined],
      isAway ? [reason, true] : [undefined, false],
      what,
    );
    assert.equal(rig.at(1).isClosed, !isAway, what);
  }
});

test("D1 an unfinished session is not answered once the transport is closed, or the server detected again", async () => {
  const closed = startUnder();
  await closed.found();
  await closed.link.close();
  await settle();
  assert.deepEqual([closed.received, closed.clock.pendingTimers], [[], 0]);
  const anew = startUnder();
  await anew.found();
  anew.request(5, "tools/list");
  anew.fail(0, "tools/list", failure("session_lost"));
  anew.initialize(9);
  await settle();
  assert.equal(anew.replyTo(0), undefined);
  anew.answer(0, "server/discover", { result: DISCOVERED });
  await settle();
  anew.answer(2, "initialize", { result: OLDER });
  await settle();
  assert.ok(anew.replyTo(9) !== undefined);
});

test("D2 subscriptions go to the older session where only that has them, and log levels to both", async () => {
  const subscribes = { resources: { subscribe: true } };
  for (const [newer, older, index] of [
    [{ tools: {} }, subscribes, 1],
    [subscribes, subscribes, 0],
    [subscribes, { tools: {} }, 0],
  ] as const) {
    const rig = startUnder("http", { ...DISCOVERED, capabilities: newer });
    await rig.both({ ...OLDER, capabilities: older });
    assert.equal(rig.link.backlogBytes, 3);
    rig.request(1, "resources/subscribe", { uri: "a:1" });
    assert.equal(rig.idsOf(1, "resources/subscribe").length, index);
    assert.equal(rig.idsOf(0, "subscriptions/listen").length, 1 - index);
    rig.request(2, "logging/setLevel", { level: "info" });
    rig.request(3, "logging/setLevel", { level: "error" });
    const [first] = rig.idsOf(1, "logging/setLevel");
    void rig.at(1).events.onMessage({ jsonrpc: "2.0", id: first, result: {} }, null);
    rig.fail(1, "logging/setLevel", failure("closed"));
    await settle();
    assert.deepEqual([rig.failed.size, rig.received.filter(({ id }) => id === first)], [0, []]);
    assert.ok(rig.replyTo(2) !== undefined);
  }
});

test("D2 an older client's call goes to the older session, except for a tool whose output it would not understand", async () => {
  const rig = startUnder();
  await rig.both();
  rig.request(1, "tools/list");
  const tools = [{ name: "wrapped", inputSchema: {}, outputSchema: { type: "array" } }];
  rig.answer(0, "tools/list", { result: { tools } });
  rig.request(2, "tools/call", { name: "plain" }, SENDER);
  rig.request(3, "tools/call", { name: "wrapped" }, SENDER);
  assert.deepEqual([rig.idsOf(1, "tools/call"), rig.idsOf(0, "tools/call").length], [[2], 1]);
});

test("D2 a question of the older session is answered there, once", async () => {
  const rig = startUnder();
  await rig.both();
  void rig.at(1).events.onMessage({ jsonrpc: "2.0", id: "q", method: "roots/list" }, null);
  for (const _ of ["once", "once more"]) rig.link.send({ jsonrpc: "2.0", id: "q", result: { roots: [] } });
  assert.equal(rig.at(1).sent.filter((one) => "id" in one && one.id === "q").length, 1);
});

test("D1 a program that refuses initialize is asked once for its version, and its refusal stands", async () => {
  const rig = startUnder("process");
  rig.initialize(0);
  const refusal = { error: { code: -32601, message: "no" } };
  rig.answer(0, "initialize", refusal);
  rig.answer(0, "server/discover", refusal);
  assert.deepEqual(rig.replyTo(0), { jsonrpc: "2.0", id: 0, ...refusal });
  assert.equal(rig.idsOf(0, "server/discover").length, 1);
});

test("D1 a program that speaks only 2026-07-28 may send no request, which it learns", async () => {
  const rig = startUnder("process");
  rig.initialize(0);
  rig.answer(0, "initialize", { error: { code: -32601, message: "no" } });
  rig.answer(0, "server/discover", { result: DISCOVERED });
  await settle();
  void rig.at(0).events.onMessage({ jsonrpc: "2.0", id: "q", method: "roots/list" }, null);
  const error = { code: -32601, message: "servers of 2026-07-28 send no requests" };
  assert.deepEqual(rig.at(0).sent.at(-1), { jsonrpc: "2.0", id: "q", error });
});

test("D1 a program of an older version may answer with any error, and a transport that closes leaves no timer", async () => {
  const rig = startUnder("process");
  rig.initialize(0);
  rig.answer(0, "initialize", { result: OLDER });
  rig.request(1, "tools/list");
  const error = { code: -32022, message: "its own" };
  rig.answer(0, "tools/list", { error });
  assert.deepEqual([rig.replyTo(1)?.["error"], rig.failed.size], [error, 0]);
  const probed = startUnder();
  probed.initialize(0);
  probed.at(0).events.onClosed(failure("closed"));
  assert.equal(probed.clock.pendingTimers, 0);
});
