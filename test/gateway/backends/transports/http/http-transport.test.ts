// A link's requests: headers, sessions, many at once, cancelling, closing, and what is sent again where a connection ends.
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { Cookies } from "../../../../../src/gateway/backends/transports/http/cookies.ts";
import { UNSIGNED } from "../../../../../src/gateway/backends/transports/transport-authorization.ts";
import { isJsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { eventually } from "../../../../support/eventually.ts";
import { createManualClock } from "../../../../support/manual-clock.ts";
import { json, openEvents, startHttpServer, type Take } from "../../programs/http-server.ts";
import { connect, isEcho, result, startRaw, takeEcho, withEcho, withSession } from "./bench.ts";

test("headers: the configured ones, ours over them, session and version once they are known", async (t) => {
  const { echo, recorded } = await withSession(t, {
    headers: { Authorization: "Bearer s3cret", Accept: "text/html", "X-Own": "1", "Content-Length": "3" },
  });
  await recorded.ask("echo");
  const [first, second] = [echo.headers[0], echo.headers[echo.seen.indexOf("POST echo")]];
  assert.ok(first && second);
  assert.equal(first.authorization, "Bearer s3cret");
  assert.equal(first["x-own"], "1");
  assert.equal(first.accept, "application/json, text/event-stream");
  assert.equal(first["content-type"], "application/json");
  assert.match(first["user-agent"] ?? "", /^mountaineer\/\d+\.\d+\.\d+\S*$/);
  assert.equal(first["mcp-session-id"], undefined);
  assert.equal(first["mcp-protocol-version"], undefined);
  assert.equal(second["mcp-session-id"], "session-1");
  assert.equal(second["mcp-protocol-version"], "2025-11-25");
});

test("nothing overtakes notifications/initialized, which is waited for up to 5 s", async (t) => {
  const manual = createManualClock();
  let slow: ServerResponse | null = null;
  const take: Take = (message, response) => {
    if (message.method !== "notifications/initialized") return false;
    slow = response;
    return true;
  };
  const { echo, recorded } = await withSession(t, { take, clock: manual });
  const answer = recorded.ask("echo");
  await eventually(() => slow);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(echo.seen, ["POST initialize", "POST notifications/initialized"]);
  await manual.advance(5_000);
  await answer;
  assert.equal(recorded.failed.size, 0);
});

test("100 calls are in progress at once", async (t) => {
  const waiting: ServerResponse[] = [];
  const ids: unknown[] = [];
  const take = takeEcho((response, message) => {
    waiting.push(response);
    ids.push(message.id);
  });
  const { recorded } = await withSession(t, { take });
  const answers = Array.from({ length: 100 }, () => recorded.ask("echo"));
  await eventually(() => waiting.length === 100);
  waiting.reverse().forEach((response, index) => {
    response.setHeader("Content-Type", "application/json");
    response.end(result(ids[99 - index]));
  });
  await Promise.all(answers);
});

test("a lost session is reported as such; a new initialize begins another on the same transport", async (t) => {
  let forgotten = false;
  const take: Take = (message, response) => {
    if (!forgotten || !isEcho(message)) return false;
    forgotten = false;
    response.writeHead(404, { "Content-Type": "application/json" });
    response.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}');
    return true;
  };
  const { echo, recorded } = await withSession(t, { take });
  forgotten = true;
  assert.equal((await recorded.askInVain("echo")).kind, "session_lost");
  await recorded.initialize();
  await recorded.ask("echo");
  const again = echo.seen.lastIndexOf("POST initialize");
  assert.equal(echo.headers[again]?.["mcp-session-id"], undefined);
  assert.equal(echo.headers[echo.seen.lastIndexOf("POST echo")]?.["mcp-session-id"], "session-2");
  await eventually(() => echo.seen.includes("DELETE"));
  assert.equal(
    echo.headers[echo.seen.indexOf("DELETE")]?.["mcp-session-id"],
    "session-1",
    "it is left to no one",
  );
});

test("pausing one answer pauses no other", async (t) => {
  const { recorded } = await withSession(t, { answers: "events" });
  const gate = Promise.withResolvers<void>();
  recorded.hold = (message) =>
    isJsonObject(message) && message["method"] === "notifications/progress" ? gate.promise : null;
  const unanswered = recorded.ask("test/notices", { count: 3 });
  await eventually(() => recorded.received.length === 2);
  await recorded.ask("echo");
  gate.resolve();
  await unanswered;
});

test("close deletes the session, ends requests in progress, and waits for neither longer than a second", async (t) => {
  const manual = createManualClock();
  let disposed = 0;
  const authorize = () => ({ ...UNSIGNED, [Symbol.dispose]: () => void disposed++ });
  const { echo, recorded } = await withSession(t, { take: isEcho, clock: manual, authorize });
  recorded.link.send({ jsonrpc: "2.0", id: 5, method: "echo" });
  await eventually(() => echo.seen.includes("POST echo"));
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 5 } });
  await recorded.ask("test/heard");
  assert.equal(disposed, 0);
  await recorded.link.close();
  assert.deepEqual([disposed, manual.pendingTimers], [1, 0]);
  assert.equal(echo.headers[echo.seen.indexOf("DELETE")]?.["mcp-session-id"], "session-1");
  await eventually(
    () => new Promise((resolve) => echo.server.getConnections((_, count) => resolve(count === 0))),
  );
  assert.equal(recorded.failed.size, 0);

  const hanging = await withEcho(t, { clock: manual });
  hanging.echo.server.prependListener("request", (request, response) => {
    if (request.method === "DELETE") response.end = () => response;
  });
  await hanging.recorded.initialize();
  const closing = hanging.recorded.link.close();
  await eventually(() => hanging.echo.seen.includes("DELETE"));
  let isClosed = false;
  void closing.then(() => {
    isClosed = true;
  });
  await manual.advance(999);
  assert.equal(isClosed, false);
  await manual.advance(1);
  await closing;

  const unusable = connect(t, "file:///a", { clock: manual, authorize });
  assert.match((await unusable.untilClosed()).message, /not an http or https address/u);
  assert.equal(disposed, 2);
});

test("a server that ends each new connection without an answer is not tried again, though it might recover", async (t) => {
  let connections = 0;
  const url = await startRaw(t, (socket) => {
    connections += 1;
    socket.once("data", () => socket.end());
  });
  assert.equal((await connect(t, url).askInVain("ping")).kind, "closed");
  assert.equal(connections, 1);
});

test("a request repeats its trace in its headers, where it has one", async (t) => {
  const { echo, recorded } = await withEcho(t);
  const parent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  for (const [_meta, sent] of [
    [{ traceparent: parent, tracestate: "a=b" }, [parent, "a=b"]],
    [{ traceparent: parent, tracestate: "a\nb" }, [parent, undefined]],
    [{ traceparent: `${parent}\r\nx: y`, tracestate: "a=b" }, [undefined, undefined]],
    [{}, [undefined, undefined]],
  ] as const) {
    await recorded.ask("echo", { _meta });
    const { traceparent, tracestate } = echo.headers.at(-1) ?? {};
    assert.deepEqual([traceparent, tracestate], sent);
  }
});

test("a notification that is answered with a stream keeps no connection busy", async (t) => {
  const { echo, recorded } = await withSession(t, {
    take({ method }, response) {
      if (method === "notifications/x") openEvents(response).write(": hello\n\n");
      return method === "notifications/x";
    },
  });
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/x" });
  await eventually(() => echo.of("notifications/x")[0]?.isGone);
});

test("a cancelled request gives up its connection in the end", async (t) => {
  const manual = createManualClock();
  let closed = false;
  const { recorded } = await withSession(t, {
    take: takeEcho((response) => {
      response.on("close", () => {
        closed = true;
      });
    }),
    clock: manual,
  });
  recorded.link.send({ jsonrpc: "2.0", id: "slow", method: "echo" });
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "slow" } });
  await recorded.ask("test/heard");
  await manual.advance(4_999);
  assert.equal(closed, false);
  await manual.advance(1);
  await eventually(() => closed);
  assert.equal(recorded.failed.size, 0);
});

test("a kept connection that the server just ended is not a failure, but tools are never called twice", async (t) => {
  // It answers once on each connection, and resets it when the next request comes.
  const asked: string[] = [];
  const url = await startRaw(t, (socket) => {
    let answered = false;
    let text = "";
    socket.on("data", (data) => {
      if (answered) {
        socket.resetAndDestroy();
        return;
      }
      text += String(data);
      const body = /\r\n\r\n(.*\})$/s.exec(text)?.[1];
      if (body === undefined) return;
      answered = true;
      const { id, method } = JSON.parse(body);
      asked.push(method);
      const answer = result(id);
      socket.write(
        `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`,
      );
    });
  });
  const recorded = connect(t, url);
  await recorded.ask("ping");
  await new Promise((resolve) => setImmediate(resolve));
  await recorded.ask("tools/list");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await recorded.askInVain("tools/call")).kind, "closed");
  assert.deepEqual(asked, ["ping", "tools/list"]);
});

/** How often a server may get it. */
const TIMES: Readonly<Record<string, number>> = {
  "tools/list": 2,
  "resources/read": 2,
  "prompts/get": 2,
  "completion/complete": 2,
  "tools/call": 1,
  "tasks/update": 1,
  "tasks/cancel": 1,
  "resources/subscribe": 1,
  "acme/charge": 1,
};

const HALF = '{"jsonrpc":"2.0",';
/** What was written arrives first. */
const ARRIVES_MS = 20;
const reset = ({ socket }: IncomingMessage): void => void socket.resetAndDestroy();

/** Where the connection ends, once what comes before it was sent. */
const POINTS: Readonly<
  Record<string, { readonly begun: boolean; readonly end: (to: ServerResponse, of: IncomingMessage) => void }>
> = {
  "as it goes out": { begun: false, end: (_response, request) => reset(request) },
  "after the answer's head": {
    begun: true,
    end: (response, request) => {
      response.setHeader("content-type", "application/json");
      response.flushHeaders();
      setTimeout(reset, ARRIVES_MS, request);
    },
  },
  "within the answer": {
    begun: true,
    end: (response, request) => {
      response.setHeader("content-type", "application/json");
      response.write(HALF, () => setTimeout(reset, ARRIVES_MS, request));
    },
  },
  "within a stream's event": {
    begun: true,
    end: (response, request) => {
      response.setHeader("content-type", "text/event-stream");
      response.write(`data: ${HALF}`, () => setTimeout(reset, ARRIVES_MS, request));
    },
  },
};

for (const [point, { begun, end }] of Object.entries(POINTS))
  for (const [method, times] of Object.entries(TIMES)) {
    const most = begun ? 1 : times;
    test(`D5 ${method} reaches a server ${most === 1 ? "once" : "twice at most"} where its connection ends ${point}`, async (t) => {
      const server = await startHttpServer(t, (posted) => {
        const { method: asked, response, request } = posted;
        if (asked !== "ping" && server.of(asked).length === 1) end(response, request);
        else json(posted, { result: {} });
      });
      const recorded = connect(t, server.url);
      await recorded.ask("ping");
      const id = 4711;
      recorded.link.send({ jsonrpc: "2.0", id, method, params: {} });
      const isAnswered = (): boolean =>
        recorded.failed.has(id) ||
        recorded.received.some(({ message }) => (message as { readonly id?: unknown }).id === id);
      await eventually(isAnswered);
      const asked = server.posted.map((posted) => posted.method);
      assert.deepEqual(asked, ["ping", ...Array.from({ length: most }, () => method)]);
      assert.equal(recorded.failed.has(id), most === 1);
    });
  }

test("D9 cookies are kept by name, also from joined headers with dates, until they expire", () => {
  const cookies = new Cookies();
  for (const [given, header] of [
    [
      "AWSALB=a/b+c=; Expires=Thu, 03 Dec 2026 10:00:00 GMT; Path=/, AWSALBCORS=d; SameSite=None; Secure",
      "AWSALB=a/b+c=; AWSALBCORS=d",
    ],
    ["AWSALB=e; Path=/", "AWSALBCORS=d; AWSALB=e"],
    ["AWSALBCORS=; Path=/", "AWSALB=e"],
    ["x=1; Max-Age=0", "AWSALB=e"],
    ["no name, b=\u0000; y", "AWSALB=e"],
    [`long=${"x".repeat(5_000)}`, "AWSALB=e"],
    ["AWSALB=e; max-age=-1", null],
  ] as const) {
    cookies.take(given);
    assert.equal(cookies.header, header, given);
  }
  for (let count = 0; count < 30; count += 1) cookies.take(`c${count}=1`);
  assert.equal(cookies.header?.split("; ").length, 20);
  for (let count = 0; count < 30; count += 1) cookies.take(`long${count}=${"x".repeat(3_000)}`);
  assert.deepEqual(cookies.header?.match(/long\d+(?==)/g), ["long28", "long29"]);
});
