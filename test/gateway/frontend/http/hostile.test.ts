import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { isAllowedPage } from "../../../../src/gateway/frontend/http/other-pages.ts";
import { createHostGuard } from "../../../../src/runtime/http/host-guard.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { passTimeUntil } from "../../../support/pass-time.ts";
import {
  createBlockingTool,
  createScriptedGateway,
  objectOf,
  onlySession,
  text,
} from "../scripted-gateway.ts";
import { type Answer, BOTH_TYPES, callMessage, initializeMessage, openFront, startRig } from "./http-rig.ts";

const HEADERS = { "content-type": "application/json", accept: BOTH_TYPES };

test("bound to loopback, a Host is refused unless it is loopback's or the configured one", () => {
  const guard = createHostGuard(() => "127.0.0.1");
  for (const host of ["localhost", "LocalHost:9000", "127.0.0.1:9000", "127.9.9.9", "[::1]:80", "[::1]"])
    assert.equal(guard(host, undefined), null, host);
  for (const host of [
    undefined,
    "",
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1",
    "0.0.0.0:9000",
    "evil@localhost",
    "localhost:9000:1",
    "localhost/",
    "127.1",
    "[::1",
  ])
    assert.notEqual(guard(host, undefined), null, String(host));
  assert.equal(createHostGuard(() => "my-mac.local")("My-Mac.local:1", undefined), null);
});

test("bound beyond loopback, addresses and the configured name are accepted, other names are not", () => {
  const guard = createHostGuard(() => "0.0.0.0");
  for (const host of ["192.168.1.4:9000", "[fe80::1]:9000", "localhost", "0.0.0.0"])
    assert.equal(guard(host, undefined), null, host);
  assert.match(guard("mac.local", undefined) ?? "", /the name in \[server\]\.host/);
  const named = createHostGuard(() => "nas.lan");
  for (const origin of ["http://nas.lan:9000", "http://NAS.lan:9000"])
    assert.equal(named("nas.lan:9000", origin), null, origin);
  assert.equal(named("192.168.1.4", undefined), null);
  assert.notEqual(named("other.lan", undefined), null);
});

test("a change of the configured host applies from the next request on", () => {
  let host = "nas.lan";
  const guard = createHostGuard(() => host);
  assert.equal(guard("nas.lan", undefined), null);
  host = "127.0.0.1";
  assert.notEqual(guard("nas.lan", undefined), null);
});

test("E1 an Origin must be the very host's, unless pages of it are allowed", () => {
  const guard = createHostGuard(() => "0.0.0.0");
  const host = "192.168.1.4:9000";
  assert.equal(guard(host, `http://${host}`), null);
  const signedIn = { origins: ["https://app.example"], hasSignIn: true };
  for (const origin of [
    "http://localhost:3000",
    "https://127.0.0.1",
    "http://[::1]:5",
    "https://app.example",
  ]) {
    assert.notEqual(guard(host, origin), null, origin);
    assert.equal(guard(host, origin, isAllowedPage(origin, signedIn)), null, origin);
  }
  for (const origin of [
    "null",
    "https://app.example:444",
    "http://app.example",
    "",
    "http://evil.example",
    "http://192.168.1.4",
    "http://localhost.evil.example",
    "http://localhost@evil.example",
    "http://localhost:1/evil",
    "file://localhost",
    "http://localhost\\.evil.example",
  ])
    assert.notEqual(guard(host, origin, isAllowedPage(origin, signedIn)), null, origin);
});

test("a foreign Host or Origin is 403 with a JSON-RPC error and no CORS header, everywhere", async (t) => {
  const { rig } = await openFront(t);
  for (const path of ["/mcp", "/manage/v1/health", "/"]) {
    for (const headers of [{ host: "evil.example" }, { origin: "http://evil.example" }]) {
      const answer = await rig.send("POST", path, { ...HEADERS, ...headers }, "{}");
      assert.deepEqual([answer.status, objectOf(answer.json()["error"])["code"]], [403, -32000]);
      assert.ok(!Object.keys(answer.headers).some((name) => name.startsWith("access-control")));
    }
  }
});

const PAGE = "http://localhost:6274";
const PREFLIGHT = {
  origin: PAGE,
  "access-control-request-method": "POST",
  "access-control-request-headers": "content-type,mcp-session-id,mcp-param-city,x-other",
  "access-control-request-private-network": "true",
};

/** The headers by which an answer lets a page in. */
function pageHeaders({ headers }: Answer): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("access-control")));
}

test("E1 without sign-in, an unnamed page of this machine is refused, and its preflight too", async (t) => {
  const { gateway, rig } = await openFront(t, {}, { pages: { origins: [`${PAGE}1`], hasSignIn: false } });
  const before = await rig.send("OPTIONS", "/mcp", PREFLIGHT);
  const post = await rig.post(initializeMessage(), { origin: PAGE });
  assert.deepEqual([before.status, post.status, gateway.requests.length], [403, 403, 0]);
  assert.deepEqual([pageHeaders(before), pageHeaders(post)], [{}, {}]);
  assert.match(post.body, /\[server\]\.allowed_origins/);
});

for (const pages of [
  { origins: [PAGE], hasSignIn: false },
  { origins: [], hasSignIn: true },
]) {
  const whose = pages.hasSignIn
    ? "any page of this machine where clients sign in"
    : "a page that a person named";
  test(`D2 ${whose} uses MCP, and no other path`, async (t) => {
    const { gateway, rig } = await openFront(t, {}, { pages });
    const before = await rig.send("OPTIONS", "/mcp", PREFLIGHT);
    assert.equal(before.status, 204);
    const { "access-control-allow-headers": names, ...others } = pageHeaders(before);
    assert.match(String(names), /Mcp-Session-Id.*, mcp-param-city$/);
    assert.deepEqual(others, {
      "access-control-allow-origin": PAGE,
      "access-control-allow-methods": "GET, POST, DELETE",
      "access-control-expose-headers": "Mcp-Session-Id, WWW-Authenticate, Retry-After",
      "access-control-max-age": "600",
    });
    const post = await rig.post(initializeMessage(), { origin: PAGE });
    assert.deepEqual(
      [post.status, post.headers["access-control-allow-origin"], post.headers.vary],
      [200, PAGE, "Origin"],
    );
    assert.match(String(post.headers["access-control-expose-headers"]), /Mcp-Session-Id/);
    for (const path of ["/metrics", "/manage/v1/health", "/"]) {
      const other = await rig.send("OPTIONS", path, PREFLIGHT);
      assert.deepEqual([other.status, pageHeaders(other)], [403, {}], path);
    }
    gateway.authenticate = () => ({ ok: false, reason: "a token is needed" });
    const refused = await rig.post(initializeMessage(), { origin: PAGE });
    assert.deepEqual([refused.status, refused.headers["access-control-allow-origin"]], [401, PAGE]);
    for (const origin of ["https://evil.example", "null"])
      assert.equal((await rig.send("OPTIONS", "/mcp", { ...PREFLIGHT, origin })).status, 403);
  });
}

test("D2 a target that names its host is served like another, and its host counts, whatever the Host header contains", async (t) => {
  const { rig } = await openFront(t);
  const asked = (target: string, headers: Record<string, string> = {}) =>
    rig.send("POST", target, { ...HEADERS, ...headers }, JSON.stringify(initializeMessage()));
  const { port } = rig.listener;
  for (const target of [rig.url, `HTTP://localhost:${port}/mcp?x=1`, `https://[::1]:${port}/mcp#x`])
    assert.equal((await asked(target)).status, 200, target);
  const host = "evil.example";
  assert.equal((await asked(rig.url, { host })).status, 200);
  assert.equal((await asked(rig.url, { origin: `http://${host}` })).status, 403);
  for (const target of [
    "http://evil.example/mcp",
    `http://evil.example:${port}/mcp`,
    "http://localhost@evil.example/mcp",
    "http:///mcp",
  ])
    assert.equal((await asked(target)).status, 403, target);
  for (const target of ["ftp://localhost/mcp", `http://localhost:${port}/nowhere`])
    assert.equal((await asked(target)).status, 404, target);
});

test("health needs no token, other paths are 404, other methods 405 with Allow", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.authenticate = () => ({ ok: false, reason: "no" });
  const health = await rig.send("GET", "/manage/v1/health?x=1", {});
  assert.deepEqual([health.status, health.json()], [200, { status: "ok", backends: {} }]);
  assert.equal((await rig.send("POST", "/manage/v1/health", {}, "")).headers["allow"], "GET, HEAD");
  const probed = await rig.send("HEAD", "/manage/v1/health", {});
  assert.deepEqual([probed.status, probed.body], [200, ""]);
  for (const path of ["/", "/mcp//", "/mcpx", "/manage/v1/status", "//mcp", "http://localhost"]) {
    const answer = await rig.send("GET", path, {});
    assert.deepEqual([answer.status, answer.json()["jsonrpc"]], [404, "2.0"], path);
  }
  for (const method of ["OPTIONS", "PUT", "PATCH", "HEAD", "TRACE"]) {
    const answer = await rig.send(method, "/mcp", {});
    assert.deepEqual([answer.status, answer.headers["allow"]], [405, "GET, POST, DELETE"], method);
  }
  assert.equal((await rig.post(initializeMessage())).status, 401);
});

test("wrong types, garbage and wrong messages are answered as the specification says", async () => {
  await using rig = await startRig(createScriptedGateway());
  const headers = { ...HEADERS, "mcp-session-id": await rig.initialize() };
  const wrongType = await rig.send("POST", "/mcp", { ...headers, "content-type": "text/plain" }, "{}");
  assert.equal(wrongType.status, 415);
  const zipped = await rig.send("POST", "/mcp", { ...headers, "content-encoding": "gzip" }, gzipSync("{}"));
  assert.equal(zipped.status, 415);
  assert.match(zipped.body, /compressed/);
  const charset = { ...headers, "content-type": "Application/JSON; charset=utf-8" };
  assert.equal((await rig.send("POST", "/mcp", charset, JSON.stringify(callMessage(1, "x")))).status, 200);
  const bodies: readonly (readonly [string | Buffer, number])[] = [
    ["", -32700],
    ["{", -32700],
    ["\ufeff{}", -32700],
    [Buffer.from([0x22, 0xff, 0x22]), -32700],
    ["[".repeat(200_000), -32700],
    ["{}", -32600],
    ["null", -32600],
    ["7", -32600],
    ['{"jsonrpc":"1.0","id":1,"method":"x"}', -32600],
    ['{"jsonrpc":"2.0","id":null,"method":"x"}', -32600],
    ['{"jsonrpc":"2.0","id":{},"method":"x"}', -32600],
    ['{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}', -32600],
    ['{"jsonrpc":"2.0","id":1}', -32600],
  ];
  for (const [body, code] of bodies) {
    const answer = await rig.send("POST", "/mcp", headers, body);
    const found = [answer.status, objectOf(answer.json()["error"])["code"]];
    assert.deepEqual(found, [400, code], String(body).slice(0, 50));
  }
  const deep = `{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":${"[".repeat(1e5)}${"]".repeat(1e5)}}}`;
  assert.equal((await rig.send("POST", "/mcp", headers, deep)).status, 200);
  const proto = '{"jsonrpc":"2.0","id":"__proto__","method":"tools/call","params":{"__proto__":{"x":1}}}';
  assert.equal((await rig.send("POST", "/mcp", headers, proto)).json()["id"], "__proto__");
  const noVersion = await rig.post({ jsonrpc: "2.0", id: 1, method: "initialize" });
  assert.deepEqual([noVersion.status, objectOf(noVersion.json()["error"])["code"]], [200, -32602]);
  assert.equal(noVersion.headers["mcp-session-id"], undefined);
});

test("E4 clients with endless statements about themselves: none of it is stored as long as their session", async (t) => {
  const { gateway, rig } = await openFront(t);
  const introduced = (capabilities: object, clientInfo: object): ReturnType<typeof rig.post> =>
    rig.post({
      jsonrpc: "2.0",
      id: 1,
      method: "initialize",
      params: { protocolVersion: "2025-11-25", capabilities, clientInfo },
    });
  const much = { name: "n", version: "1", description: "x".repeat(70_000) };
  const refused = await introduced(much, {});
  assert.deepEqual([objectOf(refused.json()["error"])["code"], gateway.sessions.size], [-32602, 0]);
  assert.equal((await introduced({}, much)).status, 200);
  assert.deepEqual(onlySession(gateway).clientInfo, {});
});

/** A whole request within a session. */
function rawPost(id: string, message: object): string {
  const body = JSON.stringify(message);
  return `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: ${id}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const open = async (port: number): Promise<{ socket: Socket; read: () => string }> => {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  let received = "";
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
  });
  await once(socket, "connect");
  return { socket, read: () => received };
};

test("the listener against input that is not HTTP, and giant headers: an error in JSON, and the connection closed", async () => {
  await using rig = await startRig(createScriptedGateway());
  assert.match(await rig.raw("\x16\x03\x01 no HTTP\r\n\r\n"), /^HTTP\/1\.1 400 [\s\S]*"jsonrpc":"2.0"/);
  const giant = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(40_000)}\r\n\r\n`;
  assert.match(await rig.raw(giant), /^HTTP\/1\.1 431 [\s\S]*"jsonrpc":"2.0"/);
  assert.match(await rig.raw("GET /mcp HTTP/1.1\r\nConnection: close\r\n\r\n"), /^HTTP\/1\.1 40[03] /);
  const both =
    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
  assert.match(await rig.raw(both), /^HTTP\/1\.1 400 /);
  assert.equal((await rig.send("GET", "/manage/v1/health", {})).status, 200);
});

test("the listener against input that is not HTTP behind another response: the connection closed, without text that could be taken for a part of it", async () => {
  await using rig = await startRig(createScriptedGateway());
  const { socket, read } = await open(rig.listener.port);
  socket.write("GET /manage/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await eventually(() => read().startsWith("HTTP/1.1 200 "));
  const before = read();
  const closed = once(socket, "close");
  socket.write("\x16\x03\x01 no HTTP\r\n\r\n");
  await closed;
  assert.equal(read(), before);
});

test("the listener against a body that breaks off: nothing is left behind", async (t) => {
  const { gateway, rig } = await openFront(t);
  const id = await rig.initialize();
  const { socket } = await open(rig.listener.port);
  socket.write(
    `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: ${id}\r\nContent-Length: 500\r\n\r\n{"jsonrpc"`,
  );
  await eventually(() => rig.listener.connections === 1);
  socket.destroy();
  await eventually(() => rig.listener.connections === 0);
  assert.equal(gateway.requests.length, 0);
});

test("the listener against pipelined requests: answered in their order", async (t) => {
  const blocking = createBlockingTool();
  const { gateway, rig } = await openFront(t, {
    slow: blocking.tool,
    async noisy({ handle }) {
      handle.notify("notifications/message", {});
      return text("noisy");
    },
  });
  const id = await rig.initialize();
  const { socket, read } = await open(rig.listener.port);
  const one = (message: object): string => rawPost(id, message);
  socket.write(
    one(callMessage(1, "slow")) +
      one(callMessage(2, "x")) +
      one(callMessage(3, "noisy")) +
      one(callMessage(4, "x")),
  );
  await eventually(() => gateway.requests.length === 4);
  blocking.release(text("slow"));
  await eventually(() => read().includes('"id":4'));
  const order = [...read().matchAll(/"id":(\d)/g)].map((match) => match[1]);
  assert.deepEqual(order, ["1", "2", "3", "4"]);
  socket.destroy();
});

test("the listener against large answers to pipelined requests: all of them arrive", async (t) => {
  const { gateway, rig } = await openFront(t, { large: async () => text("x".repeat(3_000_000)) });
  const id = await rig.initialize();
  const { socket, read } = await open(rig.listener.port);
  socket.pause();
  for (let request = 1; request <= 6; request++) {
    socket.write(rawPost(id, callMessage(request, request % 2 === 0 ? "x" : "large")));
  }
  await eventually(() => gateway.requests.length > 0);
  socket.resume();
  await eventually(() => read().includes('"id":6'));
  const order = [...read().matchAll(/"id":(\d)/g)].map((match) => match[1]);
  assert.deepEqual(order, ["1", "2", "3", "4", "5", "6"]);
  assert.ok(read().length > 9_000_000);
  socket.destroy();
});

test("the listener against a reader of many small answers that reads none: cut after a minute", async (t) => {
  const clock = createManualClock();
  const { gateway, rig } = await openFront(t, { some: async () => text("x".repeat(100_000)) }, { clock });
  const id = await rig.initialize();
  const { socket } = await open(rig.listener.port);
  socket.pause();
  for (let request = 0; request < 200; request++) {
    socket.write(rawPost(id, callMessage(request, "some")));
  }
  await eventually(() => gateway.requests.length > 20);
  // The system may still take a few of them for a while, which begins the minute anew.
  await passTimeUntil(clock, () => rig.listener.connections === 0, 15_000);
  assert.equal(rig.front.inFlight, 0);
  socket.destroy();
});
