// What a request's head may say: with raw sockets, since clients do not send such requests.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { createServer, IncomingMessage, ServerResponse } from "node:http";
import { type AddressInfo, Socket } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { test } from "node:test";
import type { Refusal } from "../../../../src/gateway/frontend/http/answer.ts";
import { Forwarding, type SessionPeers } from "../../../../src/gateway/frontend/http/forwarding.ts";
import { SseStream } from "../../../../src/gateway/frontend/http/sse-stream.ts";
import type { KeepAlive } from "../../../../src/gateway/frontend/session/paced-writer.ts";
import { newSessionId } from "../../../../src/gateway/frontend/session/session-record.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { createBlockingTool, createScriptedGateway, withdraw } from "../scripted-gateway.ts";
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

// What another machine may answer to a request that was passed on to it: nothing of it costs more than that request.

async function passed(words: string): Promise<{ readonly status: number; readonly text: string }> {
  const forwarding = new Forwarding({
    logger: noopLogger,
    clock: systemClock,
    peers: () => ({ machine: "laptop", shares: () => true, connect: async () => answering(words) }),
    refuse: ({ response }, { status, message }) => void response.writeHead(status).end(message),
  });
  await using server = createServer((request, response) => {
    const principal = { kind: "user", name: "ann", roles: [] } as const;
    forwarding.pass({ request, response, principal }, "nas", newSessionId("nas"), Buffer.from("{}"));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: "POST",
    body: "{}",
    signal: AbortSignal.timeout(5_000),
  });
  const found = { status: answer.status, text: await answer.text() };
  server.closeAllConnections();
  return found;
}

function answering(words: string): Duplex {
  const [ours, theirs] = duplexPair();
  theirs.on("error", () => {});
  theirs.once("data", () => void theirs.end(words));
  return ours;
}

test("a machine's answer is returned to the client", async () => {
  const words = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok";
  assert.deepEqual(await passed(words), { status: 202, text: "ok" });
});

for (const status of ["000", "099", "101", "600"])
  test(`a machine that answers with status ${status} fails only that request`, async () => {
    const head = status === "101" ? "Connection: upgrade\r\nUpgrade: x\r\n" : "";
    const { status: told, text } = await passed(`HTTP/1.1 ${status} No\r\n${head}Content-Length: 0\r\n\r\n`);
    assert.equal(told, 502);
    assert.match(text, /it is not known whether the message took effect/);
  });

/** Requests that are passed on to a machine which `peer.connect` reaches, without a connection to their client. */
function forwarder() {
  const clock = createManualClock();
  const refused: Refusal[] = [];
  const peer = { reach: (): Promise<Duplex | null> => new Promise(() => {}) };
  const forwarding = new Forwarding({
    logger: noopLogger,
    clock,
    peers: () => ({ machine: "laptop", shares: () => true, connect: () => peer.reach() }),
    refuse: ({ response }, refusal) => {
      refused.push(refusal);
      response.destroy();
    },
  });
  const pass = (name: string, body: Buffer | null = null, id = newSessionId("nas"), method = "POST") => {
    const request = new IncomingMessage(new Socket());
    Object.assign(request, { method, url: "/mcp" });
    const response = new ServerResponse(request);
    forwarding.pass({ request, response, principal: { kind: "user", name, roles: [] } }, "nas", id, body);
    return response;
  };
  /** The status of the refusal, or null; the client is then gone. */
  const statusOf = async (name: string, id?: string): Promise<number | null> => {
    const before = refused.length;
    const response = pass(name, null, id);
    await settle();
    response.destroy();
    return refused[before]?.status ?? null;
  };
  return { clock, peer, forwarding, refused, pass, statusOf };
}

test("no more than a bound waits for other machines: requests and bytes of one client, and of all", async () => {
  const mebibytes = (size: number): Buffer => Buffer.alloc(size * 1024 * 1024);
  const rows = [
    { most: 512, body: null, fits: ["bob"] },
    { most: 2, body: mebibytes(30), fits: ["bob"] },
    { most: 1, body: mebibytes(60), fits: ["bob", "carl", "dora"] },
  ];
  for (const { most, body, fits } of rows) {
    const { forwarding, refused, pass } = forwarder();
    const open = Array.from({ length: most }, () => pass("ann", body));
    assert.deepEqual([refused.length, forwarding.inFlight], [0, most]);
    pass("ann", body);
    assert.equal(refused.pop()?.status, 503, `${most} of one client`);
    for (const name of fits) for (let count = 0; count < most; count++) pass(name, body);
    const isFull = body === null || most === 1;
    pass("eve", body);
    assert.equal(refused.length, isFull ? 1 : 0, `${most} of each of ${fits.length + 1} clients`);
    open[0]?.destroy();
    await settle();
    refused.length = 0;
    pass("eve", body);
    assert.equal(refused.length, 0);
  }
});

test("a single body may be larger than the limit of waiting bytes per client", () => {
  const { refused, pass } = forwarder();
  pass("ann", Buffer.alloc(65 * 1024 * 1024));
  assert.deepEqual(refused, []);
});

test("a body that was sent to another machine no longer counts as waiting", async () => {
  const { peer, refused, pass } = forwarder();
  const [ours, theirs] = duplexPair();
  let bytes = 0;
  theirs.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  peer.reach = async () => ours;
  const body = Buffer.alloc(40 * 1024 * 1024);
  pass("ann", body);
  await eventually(() => bytes > body.length);
  await settle();
  pass("ann", body);
  assert.deepEqual(refused, []);
});

test("unknown sessions may be requested thirty times in ten seconds; a client that has gone does not count", async () => {
  const { clock, peer, statusOf, pass } = forwarder();
  const known = newSessionId("nas");
  peer.reach = async () => answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
  const answered = pass("ann", null, known);
  await eventually(() => answered.headersSent);
  const away = Promise.withResolvers<null>();
  peer.reach = () => away.promise;
  for (let count = 0; count < 30; count++) pass("ann").destroy();
  await settle();
  away.resolve(null);
  peer.reach = async () => null;
  for (let count = 0; count < 30; count++) assert.equal(await statusOf("ann"), 404, `${count}`);
  assert.equal(await statusOf("ann"), 429);
  assert.equal(await statusOf("bob"), 404);
  assert.deepEqual([await statusOf("ann", known), await statusOf("ann", known)], [404, 429]);
  await clock.advance(9_999);
  assert.equal(await statusOf("ann"), 429);
  await clock.advance(1);
  assert.equal(await statusOf("ann"), 404);
});

test("a session that the other machine does not know counts as unknown", async () => {
  const { peer, pass, statusOf } = forwarder();
  peer.reach = async () => answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  const asked = Array.from({ length: 30 }, () => pass("ann"));
  await eventually(() => asked.every(({ headersSent }) => headersSent));
  assert.equal(await statusOf("ann"), 429);
});

test("the rate of requests for unknown sessions is recorded only for the last 1,024 clients", async () => {
  const { peer, statusOf, pass } = forwarder();
  peer.reach = async () => null;
  for (let count = 0; count < 30; count++) pass("ann");
  await settle();
  assert.equal(await statusOf("ann"), 429);
  for (let count = 0; count < 1_024; count++) pass(`client ${count}`);
  await settle();
  assert.equal(await statusOf("ann"), 404);
});

test("a stream that another machine opens too late is closed, and the interrupted message is reported by its id", async () => {
  const { peer, refused, pass } = forwarder();
  const late = Promise.withResolvers<Duplex>();
  const [ours] = duplexPair();
  peer.reach = () => late.promise;
  pass("ann").destroy();
  await settle();
  late.resolve(ours);
  await settle();
  assert.ok(ours.destroyed);
  const [reached] = duplexPair();
  peer.reach = async () => reached;
  const left = pass("ann");
  await settle();
  assert.ok(!reached.destroyed);
  left.destroy();
  await settle();
  assert.ok(reached.destroyed, "its work there is cancelled");
  peer.reach = async () => answering("");
  for (const [length, id] of [
    [10, 7],
    [64 * 1024, null],
  ] as const) {
    pass("ann", Buffer.from(JSON.stringify({ id: 7, text: "x".repeat(length) })));
    const refusal = await eventually(() => refused.pop());
    assert.deepEqual([refusal.status, refusal.id], [502, id]);
  }
  pass("ann", null, newSessionId("nas"), "DELETE");
  assert.equal((await eventually(() => refused.pop())).status, 404, "no message may have taken effect");
});

test("a daemon that leaves ends the listening streams that other machines answer, even those answered later", async () => {
  const { peer, forwarding, pass } = forwarder();
  const stream = (): Duplex => {
    const [ours, theirs] = duplexPair();
    theirs.once(
      "data",
      () => void theirs.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"),
    );
    return ours;
  };
  peer.reach = async () => stream();
  const early = pass("ann", null, newSessionId("nas"), "GET");
  await eventually(() => early.headersSent);
  const reached = Promise.withResolvers<Duplex>();
  peer.reach = () => reached.promise;
  const later = pass("ann", null, newSessionId("nas"), "GET");
  peer.reach = async () => stream();
  const call = pass("ann", Buffer.from("{}"));
  await eventually(() => call.headersSent);
  forwarding.leave();
  assert.deepEqual([early.writableEnded, later.writableEnded], [true, false]);
  assert.equal(call.writableEnded, false, "its answer is still to come");
  const second = pass("ann", Buffer.from("{}"));
  await eventually(() => second.headersSent);
  assert.equal(second.writableEnded, false);
  reached.resolve(stream());
  await eventually(() => later.writableEnded);
});

test("at the end, requests at other machines are waited for, and those still running then are cut off", async () => {
  for (const isAnswered of [true, false]) {
    const { clock, forwarding, pass } = forwarder();
    const response = pass("ann");
    let hasEnded = false;
    const ending = forwarding.end(3_000).then(() => {
      hasEnded = true;
    });
    await clock.advance(2_999);
    assert.deepEqual([hasEnded, response.destroyed], [false, false]);
    if (isAnswered) response.destroy();
    else await clock.advance(1);
    await ending;
    assert.ok(response.destroyed);
  }
});

test("a session belongs to another machine if both are in one fleet, and that one shares its sessions", () => {
  const id = newSessionId("nas");
  const holder = (peers?: SessionPeers): string | null =>
    new Forwarding({
      logger: noopLogger,
      clock: systemClock,
      peers: peers && (() => peers),
      refuse() {},
    }).holder(id);
  const peers = { machine: "laptop", shares: () => true, connect: async () => null };
  assert.equal(holder(peers), "nas");
  assert.equal(holder(), null);
  assert.equal(holder({ ...peers, machine: null }), null);
  assert.equal(holder({ ...peers, machine: "nas" }), null);
  assert.equal(holder({ ...peers, shares: (machine) => machine !== "nas" }), null);
});

test("a session that began under this machine's earlier name still belongs to this machine", async () => {
  const peers = { machine: "laptop", shares: () => true, connect: async () => null };
  await using rig = await startRig(createScriptedGateway(), { peers: () => peers });
  const id = await rig.initialize();
  peers.machine = "desktop";
  const { status } = await rig.post(callMessage(1, "one"), { "mcp-session-id": id });
  assert.equal(status, 200);
});

test("requests that wait for another machine are in flight, next to those answered here", async () => {
  const peers = { machine: "laptop", shares: () => true, connect: async () => duplexPair()[0] };
  const blocking = createBlockingTool();
  const gateway = createScriptedGateway({ held: blocking.tool });
  await using rig = await startRig(gateway, { peers: () => peers });
  const here = await rig.initialize();
  const calls = [newSessionId("nas"), newSessionId("nas"), here].map((id) =>
    rig.post(callMessage(1, "held"), { "mcp-session-id": id }).catch(() => {}),
  );
  await eventually(() => rig.front.inFlight === 3);
  await eventually(() => blocking.started.length === 1);
  assert.equal(rig.front.inFlight, 3);
  withdraw(gateway);
  rig.front.endWithdrawn();
  await eventually(() => rig.front.inFlight === 1);
  await rig.front.stop(0);
  await Promise.all(calls);
});

test("a stream of another machine contains one request, whatever else it sends ahead", async (t) => {
  const gateway = createScriptedGateway();
  const rig = await startRig(gateway);
  t.after(() => rig[Symbol.asyncDispose]());
  const caller = Buffer.from(JSON.stringify({ kind: "user", name: "ann", roles: [] })).toString("base64url");
  const head = `Host: localhost\r\nMountaineer-Session: ${"a".repeat(64)}\r\nMountaineer-Caller: ${caller}`;
  const [ours, theirs] = duplexPair();
  rig.front.serveForwarded(theirs);
  ours.write(`GET /mcp HTTP/1.1\r\n${head}\r\n\r\n`.repeat(3));
  let said = "";
  for await (const chunk of ours) said += String(chunk);
  assert.deepEqual(said.match(/^HTTP\/1.1 \d+/gmu), ["HTTP/1.1 404"]);
  assert.equal(gateway.turnedAwayRequests.length, 1, "the others are not even looked at");
});

test("a stream of another machine without HTTP ends without an answer, which a client would take for its own", async (t) => {
  const rig = await startRig(createScriptedGateway());
  t.after(() => rig[Symbol.asyncDispose]());
  const [ours, theirs] = duplexPair();
  rig.front.serveForwarded(theirs);
  ours.write("no HTTP\r\n\r\n");
  let said = "";
  for await (const chunk of ours) said += String(chunk);
  assert.equal(said, "");
});

test("a stream of another machine serves only a session's request, and is waited for until it closes", async (t) => {
  const clock = createManualClock();
  const rig = await startRig(createScriptedGateway(), { clock });
  t.after(() => rig[Symbol.asyncDispose]());
  const caller = Buffer.from(JSON.stringify({ kind: "user", name: "ann", roles: [] })).toString("base64url");
  const head = `Host: localhost\r\nMountaineer-Session: ${"a".repeat(64)}\r\nMountaineer-Caller: ${caller}`;
  const [ours, theirs] = duplexPair();
  rig.front.serveForwarded(theirs);
  const answered = rig.front.forwardedAnswered();
  ours.write(`GET /sse HTTP/1.1\r\n${head}\r\n\r\n`);
  let said = "";
  ours.on("data", (chunk: Buffer) => {
    said += String(chunk);
  });
  await eventually(() => /^HTTP\/1.1 400[\s\S]*not a request for a session/u.test(said));
  theirs.destroy();
  await answered;
  const timers = clock.pendingTimers;
  const [, gone] = duplexPair();
  rig.front.serveForwarded(gone);
  gone.destroy();
  await rig.front.forwardedAnswered();
  assert.equal(clock.pendingTimers, timers);
  const [, silent] = duplexPair();
  rig.front.serveForwarded(silent);
  await clock.advance(14_999);
  assert.ok(!silent.destroyed);
  await clock.advance(1);
  assert.ok(silent.destroyed);
  const [, late] = duplexPair();
  rig.front.serveForwarded(late);
  const stopping = rig.front.stop(0);
  await settle();
  await clock.advance(0);
  await stopping;
  assert.ok(late.destroyed);
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
