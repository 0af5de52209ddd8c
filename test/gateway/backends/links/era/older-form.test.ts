import assert from "node:assert/strict";
import { test } from "node:test";
import {
  initializeResult,
  modernCapabilities,
  modernParams,
  olderReply,
  olderRequest,
  withoutSubscription,
} from "../../../../../src/gateway/backends/links/era/older-form.ts";
import type { JsonObject, RpcRequest } from "../../../../../src/gateway/json-rpc.ts";

const PREFIX = "io.modelcontextprotocol/";
const request = (params?: JsonObject): RpcRequest => ({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  ...(params !== undefined && { params }),
});

test("D2 what an older client sent reaches an older server untouched", () => {
  for (const message of [
    request(),
    request({ name: "a", _meta: { progressToken: 1 }, requestState: "own" }),
  ]) {
    assert.equal(olderRequest(message), message);
  }
});

test("D2 of a newer client's request an older server gets what it knows", () => {
  const modern = { [`${PREFIX}protocolVersion`]: "2026-07-28", [`${PREFIX}logLevel`]: "info" };
  const params = { name: "a", requestState: "s", inputResponses: {}, _meta: { ...modern, traceparent: "t" } };
  assert.deepEqual(olderRequest(request(params)), request({ name: "a", _meta: { traceparent: "t" } }));
  assert.deepEqual(olderRequest(request({ name: "a", _meta: modern })), request({ name: "a" }));
});

test("D2 a request to a newer server says who asks, what it can do, and which logs it wants", () => {
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

test("D2 capabilities in the words of 2026-07-28", () => {
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

test("D2 results lose what older clients do not know", () => {
  const _meta = { [`${PREFIX}serverInfo`]: { name: "s" }, own: 1 };
  const result = { resultType: "complete", ttlMs: 1, cacheScope: "public", contents: [], _meta };
  assert.deepEqual(olderReply("resources/read", { result }, false), {
    result: { contents: [], _meta: { own: 1 } },
  });
});

test("D2 a capability that is missing is told by its name", () => {
  const error = { code: -32021, message: "No.", data: { requiredCapabilities: { sampling: {} } } };
  const text = "No. (the client does not declare sampling, which the server needs for this)";
  const content = [{ type: "text", text }];
  assert.deepEqual(olderReply("tools/call", { error }, false), { result: { content, isError: true } });
  assert.deepEqual(olderReply("prompts/get", { error }, false), { error: { ...error, message: text } });
  const other = { error: { code: -32602, message: "no such tool" } };
  assert.equal(olderReply("tools/call", other, false), other);
});

test("D1 the answer to initialize comes of that to server/discover", () => {
  assert.deepEqual(initializeResult({ capabilities: { tools: {} }, instructions: "Do." }), {
    protocolVersion: "2026-07-28",
    capabilities: { tools: {} },
    serverInfo: {},
    instructions: "Do.",
  });
});

test("D2 what names the stream is left out of a notice", () => {
  const _meta = { [`${PREFIX}subscriptionId`]: 7 };
  assert.deepEqual(withoutSubscription({ uri: "a", _meta }), { uri: "a" });
  assert.deepEqual(withoutSubscription({ uri: "a", _meta: { ..._meta, own: 1 } }), {
    uri: "a",
    _meta: { own: 1 },
  });
  assert.equal(withoutSubscription(undefined), undefined);
});

test("D1 to an older client a task of 2026-07-28 is an error of the tool, and the gateway's own streams take tasks", () => {
  const reply = olderReply("tools/call", { result: { resultType: "task", taskId: "t" } }, false);
  assert.ok("result" in reply && reply.result["isError"] === true);
  const introduction = { clientInfo: undefined, capabilities: { extensions: { a: {} } }, logLevel: null };
  const declared = (takesTasks: boolean): unknown =>
    (modernParams({}, { ...introduction, takesTasks })["_meta"] as JsonObject)[`${PREFIX}clientCapabilities`];
  assert.deepEqual(declared(false), { extensions: { a: {} } });
  assert.deepEqual(declared(true), { extensions: { a: {}, [`${PREFIX}tasks`]: {} } });
});
