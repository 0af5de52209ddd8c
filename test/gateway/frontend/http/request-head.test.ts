// What a request's head may say: with raw sockets, since clients do not send such requests.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { SseStream } from "../../../../src/gateway/frontend/http/sse-stream.ts";
import type { KeepAlive } from "../../../../src/gateway/frontend/session/paced-writer.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { ENVELOPE } from "../modern/modern-rig.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";
import { BOTH_TYPES, callMessage, initializeMessage, openFront, type Rig, startRig } from "./http-rig.ts";

/** The status line's number and the body's text. */
async function said(rig: Rig, bytes: string): Promise<{ status: number; text: string; answers: number }> {
  const text = await rig.raw(bytes);
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  return { status: statuses[0] ?? 0, text, answers: statuses.length };
}

function post(target: string, lines: readonly string[], body: string): string {
  const head = ["Content-Type: application/json", `Accept: ${BOTH_TYPES}`, "Connection: close", ...lines];
  return `POST ${target} HTTP/1.1\r\n${head.join("\r\n")}\r\n\r\n${body}`;
}

const INITIALIZE = JSON.stringify(initializeMessage());
const LENGTH = `Content-Length: ${INITIALIZE.length}`;

test("D2 a slash at the end of an address makes no difference", async () => {
  await using rig = await startRig(createScriptedGateway());
  const headers = { "content-type": "application/json", accept: BOTH_TYPES };
  const begun = await rig.send("POST", "/mcp/", headers, INITIALIZE);
  assert.equal(begun.status, 200);
  const id = begun.headers["mcp-session-id"];
  assert.ok(typeof id === "string");
  const call = JSON.stringify(callMessage(1, "any", { a: 1 }));
  const called = await rig.send("POST", "/mcp/?x=1", { ...headers, "mcp-session-id": id }, call);
  assert.equal(called.status, 200);
  assert.equal((await rig.send("GET", "/manage/v1/health/", {})).status, 200);
  assert.equal((await rig.send("GET", "/sse/", { accept: "application/json" })).status, 406);
  assert.equal((await rig.send("POST", "/messages/", headers, "{}")).status, 400);
  assert.equal((await rig.send("DELETE", "/mcp/", { "mcp-session-id": id })).status, 200);
  for (const path of ["/mcp//", "//mcp", "/mcp/x", "/", "/sse//"])
    assert.equal((await rig.send("POST", path, headers, INITIALIZE)).status, 404, path);
});

test("D2 a header that may be given once and is given twice is refused, whatever its values", async (t) => {
  const { gateway, rig } = await openFront(t);
  const { host } = new URL(rig.url);
  const cases: [name: string, first: string, second: string][] = [
    ["Host", host, host],
    ["Host", host, "evil.example"],
    ["host", "evil.example", host],
    ["Authorization", "Bearer one", "Bearer two"],
    ["Authorization", "Bearer one", "Bearer one"],
    ["Mcp-Session-Id", "a", "b"],
    ["MCP-Protocol-Version", "2025-11-25", "2025-11-25"],
    ["Origin", "http://localhost", "http://evil.example"],
    ["Mcp-Method", "initialize", "tools/call"],
    ["Mcp-Param-Region", "eu", "us"],
    ["Last-Event-ID", "a", "b"],
  ];
  for (const [name, first, second] of cases) {
    const own = name.toLowerCase() === "host" ? [] : [`Host: ${host}`];
    const lines = [...own, `${name}: ${first}`, "X-Other: 1", `${name.toUpperCase()}: ${second}`, LENGTH];
    for (const target of ["/mcp", "/messages?sessionId=1"]) {
      const { status, text, answers } = await said(rig, post(target, lines, INITIALIZE));
      assert.equal(status, 400, `${name} ${target}`);
      assert.match(text, new RegExp(`more than one ${name} header`, "i"));
      assert.equal(answers, 1);
    }
  }
  assert.deepEqual([gateway.requests.length, gateway.sessions.size], [0, 0]);
  assert.equal(gateway.turnedAwayRequests.length, cases.length * 2);
  const single = await said(
    rig,
    post("/mcp", [`Host: ${host}`, "Authorization: Bearer one", LENGTH], INITIALIZE),
  );
  assert.equal(single.status, 200);
});

test("D1 a call of 2026-07-28 with two names is refused under its id, also if its name has commas", async (t) => {
  const { rig } = await openFront(t);
  const params = { name: "a, b", arguments: {}, _meta: ENVELOPE };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method: "tools/call", params });
  const lines = [
    "MCP-Protocol-Version: 2026-07-28",
    "Mcp-Method: tools/call",
    `Content-Length: ${body.length}`,
  ];
  const own = [`Host: ${new URL(rig.url).host}`, ...lines];
  const { status, text } = await said(rig, post("/mcp", [...own, "Mcp-Name: a", "mcp-name: b"], body));
  assert.equal(status, 400);
  assert.match(text, /"id":7,"error":\{"code":-32020,.*more than once/);
  assert.equal((await said(rig, post("/mcp", [...own, "Mcp-Name: a, b"], body))).status, 200);
});

test("D2 conflicting lengths are refused before anything is read, and the connection ends", async (t) => {
  const { gateway, rig } = await openFront(t);
  const { host } = new URL(rig.url);
  const smuggled = `GET /manage/v1/health HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  const cases: [what: string, lines: string[]][] = [
    ["two lengths", [LENGTH, "Content-Length: 3"]],
    ["the same length twice", [LENGTH, LENGTH]],
    ["a list of lengths", [`Content-Length: ${INITIALIZE.length}, ${INITIALIZE.length}`]],
    ["a length and chunks", [LENGTH, "Transfer-Encoding: chunked"]],
    ["chunks and a length", ["Transfer-Encoding: chunked", LENGTH]],
    ["two codings", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"]],
    ["no number", ["Content-Length: abc"]],
    ["a sign", ["Content-Length: +3"]],
  ];
  for (const [what, lines] of cases) {
    const { status, answers } = await said(
      rig,
      post("/mcp", [`Host: ${host}`, ...lines], INITIALIZE + smuggled),
    );
    assert.equal(status, 400, what);
    assert.equal(answers, 1, what);
  }
  assert.equal(gateway.sessions.size, 0);
});

test("D2 a request without a Host is not a request to us", async () => {
  await using rig = await startRig(createScriptedGateway());
  assert.equal((await said(rig, post("/mcp", [LENGTH], INITIALIZE))).status, 400);
  const old = `GET /sse HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n`;
  assert.equal((await said(rig, old)).status, 403);
});

test("D2 the session's address answers unsupported methods with the supported ones", async () => {
  await using rig = await startRig(createScriptedGateway());
  const cases: [method: string, path: string, allow: string][] = [
    ["POST", "/sse", "GET"],
    ["DELETE", "/sse", "GET"],
    ["GET", "/messages", "POST"],
    ["PUT", "/mcp", "GET, POST, DELETE"],
  ];
  for (const [method, path, allow] of cases) {
    const answer = await rig.send(method, path, { "content-type": "application/json" }, "{}");
    assert.equal(answer.status, 405, path);
    assert.equal(answer.headers.allow, allow);
  }
});

/** A client that takes what is written when the test says so. */
class Reader extends EventEmitter {
  destroyed = false;
  text = "";
  #waiting: (() => void)[] = [];
  writeHead(): void {}
  flushHeaders(): void {}
  write(chunk: string, taken: () => void): boolean {
    this.text += chunk;
    this.#waiting.push(taken);
    return true;
  }
  take(): void {
    for (const taken of this.#waiting.splice(0)) taken();
  }
  end(): void {}
  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

function opened() {
  const reader = new Reader();
  const kept = new Set<unknown>();
  let closed = 0;
  const keepAlive = {
    add: (stream: unknown) => void kept.add(stream),
    delete: (stream: unknown) => kept.delete(stream),
  } as unknown as KeepAlive;
  const stream = new SseStream(
    { clock: createManualClock(), keepAlive },
    reader as unknown as ServerResponse,
    () => void closed++,
  );
  return { reader, kept, stream, closed: () => closed };
}

test("a stream whose response breaks is closed, and nothing else breaks with it", () => {
  const { reader, kept, closed } = opened();
  reader.emit("error", new Error("made to fail"));
  assert.deepEqual([closed(), kept.size], [1, 0]);
});

test("D2 a stream is kept alive while nothing is unread, and until it ends", () => {
  const { reader, stream } = opened();
  stream.keepAlive();
  assert.equal(reader.text, ": \n\n");
  stream.keepAlive();
  assert.equal(reader.text, ": \n\n", "the first is not read yet");
  reader.take();
  stream.keepAlive();
  assert.equal(reader.text, ": \n\n: \n\n");
  reader.take();
  stream.end();
  stream.keepAlive();
  assert.equal(reader.text, ": \n\n: \n\n");
});

test("D2 nothing is written to a stream that has ended or whose client has gone, and this is reported once", () => {
  for (const over of ["end", "destroy"] as const) {
    const { reader, stream, kept, closed } = opened();
    assert.ok(stream.send('{"a":1}'));
    assert.equal(kept.size, 1);
    stream[over]();
    const { text } = reader;
    stream.sendAnyway("{}");
    assert.equal(reader.text, text);
    stream.end();
    stream.destroy();
    reader.emit("close");
    assert.deepEqual([closed(), kept.size], [1, 0], over);
  }
});
