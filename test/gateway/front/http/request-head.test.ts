// What a request's head may say: with raw sockets, since clients do not send such requests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createScriptedGateway } from "../scripted-gateway.ts";
import { BOTH_TYPES, callMessage, initializeMessage, type Rig, startRig } from "./http-rig.ts";

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

test("D2 a slash at the end of an address is the same place", async () => {
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
  for (const path of ["/mcp//", "//mcp", "/mcp/x", "/", "/sse//"]) {
    assert.equal((await rig.send("POST", path, headers, INITIALIZE)).status, 404, path);
  }
});

test("D2 what may be said once, and is said twice, is refused, whatever stands in it", async () => {
  const gateway = createScriptedGateway();
  await using rig = await startRig(gateway);
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
    ["Mcp-Name", "a", "b"],
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

test("D2 a target that names a host is meant for that host, whatever the Host header says", async () => {
  await using rig = await startRig(createScriptedGateway());
  const { host } = new URL(rig.url);
  const at = async (target: string, named: string): Promise<number> =>
    (await said(rig, post(target, [`Host: ${named}`, LENGTH], INITIALIZE))).status;
  assert.equal(await at(`http://${host}/mcp`, host), 200);
  assert.equal(await at(`HTTP://${host}/mcp/`, host), 200);
  assert.equal(await at("http://evil.example/mcp", host), 403);
  assert.equal(await at(`http://${host}/mcp`, "evil.example"), 200);
  assert.equal(await at(`http://${host}@evil.example/mcp`, host), 403);
  assert.equal(await at(`http://${host}/nowhere`, host), 404);
});

test("D2 conflicting lengths are refused before anything is read, and the connection ends", async () => {
  const gateway = createScriptedGateway();
  await using rig = await startRig(gateway);
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

test("D2 a request without a Host is no request to us", async () => {
  await using rig = await startRig(createScriptedGateway());
  assert.equal((await said(rig, post("/mcp", [LENGTH], INITIALIZE))).status, 400);
  const old = `GET /sse HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n`;
  assert.equal((await said(rig, old)).status, 403);
});

test("D2 the session's address answers what it does not take with the methods that it does", async () => {
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
