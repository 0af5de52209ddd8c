// How a backend's server is asked: which connection a request takes, how long one is kept, what goes out, and TLS.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { requestEvents } from "../../../../../src/gateway/backends/transports/http/body.ts";
import type { Response } from "../../../../../src/gateway/backends/transports/http/connections.ts";
import {
  createHttpTarget,
  type HttpTarget,
  type RequestInfo,
} from "../../../../../src/gateway/backends/transports/http/target.ts";
import { UNSIGNED } from "../../../../../src/gateway/backends/transports/transport-authorization.ts";
import { systemClock } from "../../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../../support/eventually.ts";
import { createManualClock } from "../../../../support/manual-clock.ts";
import { onLoopback } from "../../../../support/on-loopback.ts";
import { selfSigned } from "../../../../support/self-signed.ts";
import { startRaw } from "./bench.ts";

function targetOf(
  t: TestContext,
  url: string,
  {
    clock = systemClock,
    headers = {},
  }: { clock?: typeof systemClock; headers?: Record<string, string> } = {},
): HttpTarget {
  const target = createHttpTarget({ url, headers, clock, authorization: UNSIGNED });
  if ("kind" in target) throw new Error(target.message);
  t.after(() => target.destroy());
  return target;
}

/** The body; "failed: KIND" where none came whole. */
function ask(target: HttpTarget, question: Partial<RequestInfo> = {}): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const onResponse = (response: Response): void => {
    let text = "";
    response.read({
      onData: (piece) => {
        text += piece.toString();
      },
      onEnd: (end) => resolve(end === "complete" ? text : `failed: ${end}`),
    });
  };
  const whole: RequestInfo = { method: "POST", headers: {}, body: "{}", ...question };
  target.send(whole, { onResponse, onLost: (lost) => resolve(`failed: ${target.failure(lost).kind}`) });
  return promise;
}

async function start(
  t: TestContext,
  serve: (request: IncomingMessage, response: ServerResponse, connection: number) => unknown,
) {
  const sockets: Socket[] = [];
  const server = createServer((request, response) => {
    request.resume();
    request.once("end", () => serve(request, response, sockets.indexOf(request.socket)));
  });
  server.keepAliveTimeout = 0;
  server.on("connection", (socket) => sockets.push(socket));
  return { url: `http://127.0.0.1:${await onLoopback(t, server)}/mcp`, sockets };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("the last used connection is used again; one that is idle for 4 s is ended", async (t) => {
  const clock = createManualClock();
  const unanswered: ServerResponse[] = [];
  const { url, sockets } = await start(t, (_, response, connection) => {
    if (unanswered.length < 2) unanswered.push(response);
    else response.end(String(connection));
  });
  const target = targetOf(t, url, { clock });
  const both = [ask(target), ask(target)];
  await eventually(() => unanswered.length === 2);
  const [first, second] = unanswered;
  second?.end("two");
  assert.equal(await Promise.race(both), "two");
  await nextTurn();
  first?.end("one");
  await Promise.all(both);
  await nextTurn();
  const last = sockets.indexOf(first?.req.socket as Socket);
  for (let index = 0; index < 3; index++) {
    await clock.advance(1_500);
    assert.equal(await ask(target), String(last));
    await nextTurn();
  }
  const other = sockets[1 - last];
  await eventually(() => other?.destroyed);
  assert.equal(sockets[last]?.destroyed, false);
  await clock.advance(4_000);
  await eventually(() => sockets.every((socket) => socket.destroyed));
  assert.equal(clock.pendingTimers, 0);
  await ask(target);
  assert.equal(sockets.length, 3);
});

test("a server that declares a shorter idle time is believed", async (t) => {
  const clock = createManualClock();
  const { url, sockets } = await start(t, (request, response) =>
    response.writeHead(200, { "keep-alive": String(request.headers["x-keep"]) }).end(),
  );
  const target = targetOf(t, url, { clock });
  await ask(target, { headers: { "x-keep": "timeout=3, max=100" } });
  await nextTurn();
  await clock.advance(1_999);
  await ask(target, { headers: { "x-keep": "timeout=3" } });
  assert.equal(sockets.length, 1);
  await nextTurn();
  await clock.advance(2_000);
  await eventually(() => sockets[0]?.destroyed);
  await ask(target, { headers: { "x-keep": "timeout=1" } });
  await eventually(() => sockets[1]?.destroyed);
  await Promise.all([
    ask(target, { headers: { "x-keep": "timeout=5" } }),
    ask(target, { headers: { "x-keep": "timeout=2" } }),
  ]);
  await nextTurn();
  await clock.advance(1_000);
  await Promise.all([ask(target), ask(target)]);
  assert.equal(sockets.length, 5);
});

test("256 requests are in progress at once; others wait for a connection, unless they are withdrawn", async (t) => {
  const unanswered: ServerResponse[] = [];
  const paths: string[] = [];
  const { url, sockets } = await start(t, (request, response) => {
    unanswered.push(response);
    paths.push(request.url ?? "");
  });
  const target = targetOf(t, url);
  const all = Array.from({ length: 256 }, () => ask(target));
  const events = { onResponse() {}, onLost() {} };
  const taken = target.send({ method: "GET", headers: {}, path: "/taken-back" }, events);
  const late = [ask(target, { path: "/late" }), ask(target, { path: "/later" })];
  await eventually(() => unanswered.length === 256);
  taken.destroy();
  unanswered[0]?.end();
  await eventually(() => unanswered.length === 257);
  // Also in the place of one that broke.
  unanswered[1]?.destroy();
  await eventually(() => unanswered.length === 258);
  for (const response of unanswered) response.end();
  assert.deepEqual(new Set(await Promise.all(all)), new Set(["", "failed: closed"]));
  assert.deepEqual(await Promise.all(late), ["", ""]);
  assert.deepEqual(paths.slice(256), ["/late", "/later"]);
  assert.equal(sockets.length, 257);
  const { length } = unanswered;
  for (let asked = 0; asked < 257; asked++) target.send({ method: "GET", headers: {} }, events);
  await eventually(() => unanswered.length === length + 256);
  target.destroy();
  await eventually(() => sockets.every(({ destroyed }) => destroyed));
  assert.equal(unanswered.length, length + 256, "nothing that waited is sent after the end");
});

test("bytes beyond an answer are not an answer to the next request", async (t) => {
  const answer = (text: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
  let connections = 0;
  const url = await startRaw(t, (socket) => {
    connections += 1;
    const own = connections;
    socket.on("data", () => socket.write(answer(`own ${own}`) + (own === 1 ? answer("forged") : "")));
  });
  const target = targetOf(t, url);
  assert.equal(await ask(target), "own 1");
  assert.equal(await ask(target), "own 2");
  assert.equal(await ask(target), "own 2");
  assert.equal(connections, 2);
});

for (const how of ["ends", "breaks"])
  test(`data that arrived before the connection ${how} is delivered, even after a pause`, async (t) => {
    const sockets: Socket[] = [];
    const chunks = ["one", "two", "six"].map((text) => `3\r\n${text}\r\n`).join("");
    const url = await startRaw(t, (socket) => {
      sockets.push(socket);
      const more = sockets.length > 1 ? "" : "Transfer-Encoding: chunked\r\n";
      const body = sockets.length > 1 ? "Content-Length: 0\r\n\r\n" : `\r\n${chunks}0\r\n\r\n`;
      socket.on("data", () => socket.write(`HTTP/1.1 200 OK\r\n${more}${body}`));
    });
    const target = targetOf(t, url);
    const events: string[] = [];
    const unanswered = Promise.withResolvers<Response>();
    const onResponse = (response: Response): void =>
      response.read({
        onData(piece) {
          events.push(piece.toString());
          response.pause();
          unanswered.resolve(response);
        },
        onEnd: (end) => events.push(end),
      });
    target.send({ method: "GET", headers: {} }, { onResponse, onLost() {} });
    const response = await unanswered.promise;
    if (how === "ends") sockets[0]?.end();
    else sockets[0]?.resetAndDestroy();
    await eventually(() => sockets[0]?.destroyed);
    for (let index = 0; index < 3; index++) assert.equal(await ask(target), "");
    for (let index = 0; index < 3; index++) response.resume();
    assert.deepEqual(events, ["one", "two", "six", "complete"]);
    assert.equal(await ask(target), "");
    assert.equal(sockets.length, 2);
  });

test("a response that is abandoned while paused ends as broken, even when its connection is closed", async (t) => {
  const sockets: Socket[] = [];
  const url = await startRaw(t, (socket) => {
    sockets.push(socket);
    socket.on("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"));
  });
  const target = targetOf(t, url);
  const ended = Promise.withResolvers<string>();
  const unanswered = Promise.withResolvers<Response>();
  const onResponse = (response: Response): void =>
    response.read({
      onData() {
        response.pause();
        unanswered.resolve(response);
      },
      onEnd: ended.resolve,
    });
  target.send({ method: "GET", headers: {} }, { onResponse, onLost() {} });
  const response = await unanswered.promise;
  await eventually(() => sockets[0]?.destroyed);
  assert.equal(await ask(target), "failed: broken");
  response.destroy();
  assert.equal(await ended.promise, "broken");
});

test("a connection whose server answers before it has read the request is ended", async (t) => {
  const clock = createManualClock();
  const sockets: Socket[] = [];
  const url = await startRaw(t, (socket) => {
    sockets.push(socket);
    socket.once("data", () => {
      socket.pause();
      socket.write("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge");
    });
  });
  const target = targetOf(t, url, { clock });
  assert.equal(await ask(target, { body: "x".repeat(16_000_000) }), "large");
  sockets[0]?.resume();
  await eventually(() => sockets[0]?.destroyed);
  assert.equal(clock.pendingTimers, 0);
});

test("a refused stream keeps its connection, unless the refusal does not end", async (t) => {
  const sockets: Socket[] = [];
  const url = await startRaw(t, (socket) => {
    sockets.push(socket);
    const rest = sockets.length < 2 ? "2\r\nno\r\n0\r\n\r\n" : "2\r\nno\r\n";
    socket.on("data", () => socket.write(`HTTP/1.1 405 No\r\nTransfer-Encoding: chunked\r\n\r\n${rest}`));
  });
  const refused = (target: HttpTarget): Promise<number> =>
    new Promise((resolve) => {
      requestEvents(target, {}, { onOpen() {}, onRefused: resolve, onFailed() {} });
    });
  const clock = createManualClock();
  const target = targetOf(t, url, { clock });
  for (let index = 0; index < 2; index++) {
    assert.equal(await refused(target), 405);
    await nextTurn();
  }
  assert.equal(sockets.length, 1);
  assert.equal(await refused(targetOf(t, url, { clock })), 405);
  await eventually(() => sockets[1]?.destroyed);
});

test("a user in the address signs the request, unless a header does", async (t) => {
  const { url } = await start(t, ({ headers }, response) => response.end(headers.authorization));
  const named = url.replace("//", "//me:p%40ss@");
  const basic = `Basic ${Buffer.from("me:p@ss").toString("base64")}`;
  assert.equal(await ask(targetOf(t, named)), basic);
  assert.equal(await ask(targetOf(t, named), { authorization: "Bearer one" }), "Bearer one");
  const configured = targetOf(t, named, { headers: { Authorization: "Bearer two" } });
  assert.equal(await ask(configured), "Bearer two");
  assert.equal(await ask(configured, { authorization: "Bearer one" }), "Bearer one");
  assert.throws(
    () => targetOf(t, url.replace("//", "//me:50%@")),
    /user in its `url` is not percent-encoded/,
  );
});

test("a header that HTTP forbids throws, whatever was sent before", async (t) => {
  const { url } = await start(t, (_, response) => response.end());
  const target = targetOf(t, url);
  const events = { onResponse() {}, onLost() {} };
  const forbidden: Partial<RequestInfo>[] = [
    { headers: { "x-a": "b\r\nx-c: d" } },
    { headers: { "x a": "b" } },
    { authorization: "Bearer t\r\nx-c: d" },
  ];
  for (const question of forbidden)
    for (let index = 0; index < 2; index++)
      assert.throws(
        () => target.send({ method: "GET", headers: {}, ...question }, events),
        /Invalid|must be a valid/,
      );
});

test("a head is rebuilt when it differs, and no header is sent twice", async (t) => {
  const { url } = await start(t, ({ rawHeaders, url, method }, response) =>
    response.end(JSON.stringify([method, url, rawHeaders.join(" ")])),
  );
  const target = targetOf(t, url, { headers: { "X-Own": "1", Host: "other.example" } });
  const headers = { "X-OWN": "2" };
  assert.match(await ask(target, { headers }), /"POST","\/mcp","host other.example .*x-own 2 .*length 2"/);
  assert.match(await ask(target, { headers, path: "/x" }), /"POST","\/x",.*x-own 2 /);
  assert.match(await ask(target, { headers, authorization: "Bearer t" }), /x-own 2 .*Bearer t/);
  const again = await ask(target, { headers: { "x-own": "3" }, body: "four" });
  assert.match(again, /"POST","\/mcp",.*x-own 3 .*length 4"/);
  assert.doesNotMatch(again, /x-own 2|Bearer/);
});

test("over TLS the server proves to be the requested one, and a session is resumed", async (t) => {
  const tls = process.getBuiltinModule("node:tls");
  const pair = selfSigned(["127.0.0.1", "named.example"]);
  const before = tls.getCACertificates("default");
  tls.setDefaultCACertificates([pair.cert]);
  t.after(() => tls.setDefaultCACertificates(before));
  const seen: (readonly [name: string | false | null, isResumed: boolean])[] = [];
  const server = process.getBuiltinModule("node:https").createServer(pair, (request, response) => {
    const socket = request.socket as ReturnType<typeof tls.connect> & { servername: string | false };
    seen.push([socket.servername, socket.isSessionReused()]);
    response.writeHead(200, { connection: "close" }).end("secure");
  });
  const port = await onLoopback(t, server);
  const target = targetOf(t, `https://127.0.0.1:${port}/`);
  assert.equal(await ask(target), "secure");
  assert.equal(await ask(target), "secure");
  assert.deepEqual(seen, [
    [false, false],
    [false, true],
  ]);
  const named = targetOf(t, `https://127.0.0.1:${port}/`, { headers: { Host: `named.example:${port}` } });
  assert.equal(await ask(named), "secure");
  assert.deepEqual(seen[2], ["named.example", false]);
  const wrong = targetOf(t, `https://127.0.0.1:${port}/`, { headers: { Host: "other.example" } });
  assert.equal(await ask(wrong), "failed: unreachable");
  tls.setDefaultCACertificates([]);
  assert.equal(await ask(targetOf(t, `https://127.0.0.1:${port}/`)), "failed: unreachable");
  assert.equal(seen.length, 3);
});
