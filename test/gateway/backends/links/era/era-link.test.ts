// The link to a server of 2026-07-28 at its edges: what is cancelled, late, refused and bounded, on a clock of its own.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LinkEvents, LinkFailure } from "../../../../../src/gateway/backends/links/backend-link.ts";
import { EraMemory, openEraLink } from "../../../../../src/gateway/backends/links/era/era-link.ts";
import {
  isJsonObject,
  type JsonObject,
  type RpcId,
  type RpcMessage,
} from "../../../../../src/gateway/json-rpc.ts";
import { silentLogger } from "../../../../../src/runtime/log/log.ts";
import { createManualClock, settle } from "../../../../support/manual-clock.ts";

const LISTEN = "subscriptions/listen";
const DISCOVERED = {
  supportedVersions: ["2026-07-28"],
  capabilities: { tools: { listChanged: true }, resources: { subscribe: true } },
};
const REFUSED: LinkFailure = { kind: "refused", message: "HTTP 404", hint: null, status: 404 };

/** A link to a server that does nothing by itself, and has been sent the first message. */
function startLink(isPinned: boolean) {
  const clock = createManualClock();
  const sent: RpcMessage[] = [];
  const abandoned: RpcId[] = [];
  const received: JsonObject[] = [];
  const failed = new Map<RpcId, LinkFailure>();
  let server: LinkEvents | null = null;
  const link = openEraLink({
    ...{ backend: "a", key: "key", memory: new EraMemory(), clock, logger: silentLogger },
    ...{ over: "http", isPinned },
    open(events) {
      server = events;
      return {
        ...{ pid: null, backlogBytes: 0, established() {}, close: async () => {} },
        send: (message) => void sent.push(message),
        stateless: {
          send: (message) => void sent.push(message),
          abandon: (id) => void abandoned.push(id),
        },
      };
    },
  })({
    onMessage(message) {
      if (isJsonObject(message)) received.push(message);
      return null;
    },
    onRequestFailed: (id, failure) => void failed.set(id, failure),
    onDoubt() {},
    onGap() {},
    onClosed() {},
    onLogLine() {},
  });
  const idsOf = (method: string): RpcId[] =>
    sent.flatMap((one) => ("method" in one && "id" in one && one.method === method ? [one.id] : []));
  const lastOf = (method: string): RpcId => idsOf(method).at(-1) ?? assert.fail(`no ${method} was sent`);
  const say = (message: JsonObject): void => void server?.onMessage({ jsonrpc: "2.0", ...message }, null);
  const self = {
    ...{ clock, link, abandoned, received, failed, idsOf, lastOf, say },
    answer: (method: string, reply: JsonObject): void => say({ id: lastOf(method), ...reply }),
    refuse: (id: RpcId, failure = REFUSED): void => server?.onRequestFailed(id, failure),
    request: (id: RpcId, method: string, params: JsonObject): void =>
      link.send({ jsonrpc: "2.0", id, method, params }),
    replyTo: (id: RpcId) => received.find((message) => message["id"] === id),
  };
  self.request(0, "initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: {} });
  return self;
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

test("D2 a question to a client whose call was cancelled is answered in vain", async () => {
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

test("D2 of a server whose tools have changed no more than a hundred pages are read", async () => {
  const { request, answer, idsOf } = await startModern();
  request(1, "tools/call", { name: "a" });
  answer("tools/call", { error: { code: -32_020, message: "headers" } });
  for (let page = 0; idsOf("tools/call").length === 1 && page < 200; page++) {
    answer("tools/list", { result: { tools: [], nextCursor: "more" } });
    await settle();
  }
  assert.deepEqual([idsOf("tools/list").length, idsOf("tools/call").length], [100, 2]);
});

test("D2 refusals that a server of another version would give have it asked once; without an answer they stand", async () => {
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

test("D2 a server that does not know how to be listened to leaves no timer", async () => {
  const { link, answer, clock } = await startModern();
  link.established("2026-07-28");
  answer(LISTEN, { error: { code: -32_601, message: "no such method" } });
  assert.equal(clock.pendingTimers, 0);
});

test("D2 at the end requests are dropped, subscriptions end and no timer is left", async () => {
  const { link, request, refuse, received, failed, clock, idsOf } = await startModern();
  link.established("2026-07-28");
  request(1, "resources/subscribe", { uri: "a:1" });
  request(2, "tools/call", { name: "a" });
  const [call] = idsOf("tools/call");
  const { length } = received;
  await link.close();
  refuse(call ?? -1);
  await settle();
  assert.deepEqual([received.length, failed.size, clock.pendingTimers], [length, 0, 0]);
});
