import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../../../src/config/limits.ts";
import { type ClientHandle, machinePrincipal } from "../../../src/gateway/client-handle.ts";
import {
  isError,
  isJsonObject,
  type JsonObject,
  LIMIT_REACHED,
  type Reply,
} from "../../../src/gateway/json-rpc.ts";
import { PrincipalLimiter } from "../../../src/gateway/limits/principal-limits.ts";
import { jsonSize } from "../../../src/gateway/limits/result-size.ts";
import { MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { source } from "../catalog/sources.ts";
import { ask, callPort, client, recordingServices, servingSet, user } from "../middleware/requests.ts";

const LIMIT_BYTES = 10_000;

function limited(result: JsonObject) {
  const limiter = new PrincipalLimiter({ ...DEFAULT_LIMITS, resultBytes: LIMIT_BYTES }, createManualClock());
  const services = recordingServices(() => ({ result }));
  const served = servingSet([source("a", { tools: ["x"], resources: ["file:///big"] })], services, {
    limiter,
  });
  const call = (from: ClientHandle = client(user("ann"))): Promise<Reply> =>
    ask(served, "tools/call", { name: "x" }, from);
  const read = (): Promise<Reply> =>
    ask(served, "resources/read", { uri: "file:///big" }, client(user("ann")));
  /** Of a task that the tool began. */
  const get = (): Promise<Reply> => {
    const from: ClientHandle = { ...client(user("ann")), protocolVersion: MODERN_VERSION };
    const task = { backend: "a", tool: "x", originalTool: "x", id: "t", taskLocation: "h", mark: null };
    const declared = { extensions: { "io.modelcontextprotocol/tasks": {} } };
    const handle = { ...callPort(from), declared };
    const params = { taskId: services.taskIds.seal(task, from.principal) };
    const signal = new AbortController().signal;
    return served.handle({ method: "tasks/get", params, handle, signal, served, task });
  };
  /** As older versions ask for the result of a task that the tool began. */
  const resultOfTask = (from: ClientHandle): Promise<Reply> => {
    services.tasks.remember(from, "t", { backend: "a", tool: "x", originalTool: "x" });
    return ask(served, "tasks/result", { taskId: "t" }, from);
  };
  return { call, read, get, resultOfTask };
}

function contentOf(reply: Reply): readonly JsonObject[] {
  assert.ok(!isError(reply), JSON.stringify(reply));
  const { content } = reply.result;
  assert.ok(Array.isArray(content));
  return content.filter(isJsonObject);
}

const text = (value: string): JsonObject => ({ type: "text", text: value });

test("D5 D9 a client that ends its connection at a large message gets the beginning of the text, exactly within its limit", async () => {
  const whole = "\u0001€".repeat(5_000);
  const reply = await limited({ content: [text(whole)] }).call({
    ...client(user("ann")),
    messageLimitBytes: 9_000,
  });
  const [beginning, remark] = pluck(contentOf(reply), "text");
  assert.ok(typeof beginning === "string" && beginning.length > 600 && whole.startsWith(beginning));
  assert.match(String(remark), /more than the [\d.]+ MiB of a message to this client/);
  assert.ok(Buffer.byteLength(JSON.stringify(reply)) < 9_000);
});

test("E4 a result over the size is cut to it at a whole character, and a note says what is missing and which key allows more", async () => {
  const whole = "a🙂".repeat(8_000);
  const reply = await limited({ content: [text("in short"), text(whole)], isError: false }).call();
  const [short, beginning, remark, ...more] = pluck(contentOf(reply), "text").map(String);
  assert.equal(short, "in short");
  assert.ok(whole.startsWith(beginning ?? "-") && beginning?.isWellFormed(), "no character is cut");
  assert.match(remark ?? "", /tools\/call x has 0\.04?.* MiB.*\[limits\]\.result_mb; a text is cut\. .*done/);
  assert.deepEqual(more, []);
  const size = jsonSize(isError(reply) ? {} : reply.result);
  assert.ok(size <= LIMIT_BYTES && size > LIMIT_BYTES * 0.8, String(size));
});

test("E4 a result over the size: what fits is sent beside an image or a file that does not", async () => {
  const data = Buffer.alloc(20_000, "image").toString("base64");
  const file = { type: "resource", resource: { uri: "file:///a.png", mimeType: "image/png", blob: data } };
  for (const large of [{ type: "image", data, mimeType: "image/png" }, file]) {
    const reply = await limited({ content: [large, text("it is saved"), large] }).call();
    const [saved, remark] = contentOf(reply);
    assert.deepEqual(saved, text("it is saved"));
    assert.match(String(remark?.["text"]), /2 parts are left out/);
  }
});

test("E4 a result over the size in many small texts, or with much beside its content, stays within the size", async () => {
  const lines = Array.from({ length: 3_000 }, (_, at) => text(`line ${at}`));
  const many = await limited({ content: lines }).call();
  assert.ok(!isError(many) && jsonSize(many.result) <= LIMIT_BYTES);
  assert.deepEqual(contentOf(many)[0], lines[0]);
  const beside = limited({ content: [text("x")], _meta: { huge: "m".repeat(50_000) } });
  assert.ok(isError(await beside.call()), "its rest is too large by itself");
});

test("E4 a result over the size that is structured, or a resource, is refused with the size, the limit and the key", async () => {
  const large = "x".repeat(20_000);
  const structured = { content: [text(large)], structuredContent: { rows: [large] } };
  const contents = [{ uri: "file:///big", mimeType: "text/csv", text: large }];
  for (const [reply, message] of [
    [
      await limited(structured).call(),
      /0\.0382 MiB, more than the 0\.0095 MiB; structured.* \(\[limits\]\.result_mb\)/,
    ],
    [await limited({ contents }).read(), /resources\/read file:\/\/\/big has 0\.0192 MiB/],
    [await limited({ taskId: "t", status: "completed", result: structured }).get(), /of tasks\/get has/],
  ] as const) {
    assert.ok(isError(reply));
    assert.equal(reply.error.code, LIMIT_REACHED);
    assert.match(reply.error.message, message);
    assert.deepEqual(reply.error.data, { limit: "[limits].result_mb", allowed: LIMIT_BYTES });
  }
});

test("E4 G1 a result passes as the same object when it is within the size, to `mountaineer call`, and to another machine", async () => {
  const owner = client({ kind: "owner", name: "owner", roles: [] }, "owner");
  for (const [length, from] of [
    [9_000, client(user("ann"))],
    [20_000, owner],
    [20_000, client(machinePrincipal("laptop"))],
  ] as const) {
    const result = { content: [text("x".repeat(length))] };
    const reply = await limited(result).call(from);
    assert.equal(isError(reply) ? null : reply.result, result);
  }
});

test("the size of a result is about that of its JSON, and no nesting is too deep", () => {
  for (const value of [
    { content: [text("x".repeat(100_000))] },
    { content: [text("ü".repeat(100_000))] },
    { ids: Array.from({ length: 1_000 }, () => parseExactly("1234567890".repeat(3))) },
    {
      structuredContent: {
        rows: Array.from({ length: 5_000 }, (_, id) => ({ id, name: `row ${id}`, ok: true })),
      },
    },
  ]) {
    const ratio = jsonSize(value) / Buffer.byteLength(JSON.stringify(value));
    assert.ok(ratio > 0.8 && ratio < 1.3, String(ratio));
  }
  let deep: unknown = "x";
  for (let level = 0; level < 100_000; level++) deep = [deep];
  assert.ok(jsonSize(deep) > 0);
});

test("D1 the size of a result: a tool's answer within its task is treated like its direct answer", async () => {
  const result = { content: [text("x".repeat(30_000))] };
  const older = contentOf(await limited(result).resultOfTask(client(user("ann"))));
  assert.match(String(older[1]?.["text"]), /a text is cut/);
  const reply = await limited({ taskId: "t", status: "completed", result }).get();
  assert.ok(!isError(reply), JSON.stringify(reply));
  assert.equal(reply.result["status"], "completed");
  assert.ok(jsonSize(reply.result) < LIMIT_BYTES);
  const newer = contentOf({ result: reply.result["result"] as JsonObject });
  assert.deepEqual(newer[0], older[0]);
});
