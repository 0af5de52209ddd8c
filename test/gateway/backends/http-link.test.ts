import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import { type HttpLinkOptions, openHttpLink } from "../../../src/gateway/backends/http-link.ts";
import { isJsonObject } from "../../../src/gateway/json-rpc.ts";
import { systemClock as clock } from "../../../src/runtime/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { openRecorded, type RecordedLink } from "./link-recorder.ts";
import { type HttpEcho, type HttpEchoOptions, startHttpEcho } from "./programs/link-http-echo.ts";

type Take = NonNullable<HttpEchoOptions["take"]>;

function connect(t: TestContext, url: string, more: Partial<HttpLinkOptions> = {}): RecordedLink {
  const recorded = openRecorded(openHttpLink({ url, headers: {}, clock, ...more }));
  t.after(() => recorded.link.close());
  return recorded;
}

async function withEcho(
  t: TestContext,
  options: Partial<HttpEchoOptions> = {},
  more: Partial<HttpLinkOptions> = {},
): Promise<{ echo: HttpEcho; recorded: RecordedLink }> {
  const echo = await startHttpEcho(t, { answers: "json", ...options });
  return { echo, recorded: connect(t, echo.url, more) };
}

const isEcho = (message: { method?: string }): boolean => message.method === "echo";
const openEvents = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
const result = (id: unknown): string => JSON.stringify({ jsonrpc: "2.0", id, result: { late: true } });

/** A server of bytes; what it gets is let go. */
async function startRaw(t: TestContext, onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: TcpServer = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return `http://127.0.0.1:${address.port}/mcp?key=s3cret`;
}

test("headers: the configured ones, ours over them, session and version once they are known", async (t) => {
  const { echo, recorded } = await withEcho(
    t,
    {},
    { headers: { Authorization: "Bearer s3cret", Accept: "text/html", "X-Own": "1", "Content-Length": "3" } },
  );
  await recorded.initialize();
  await recorded.ask("echo");
  const [first, second] = [echo.headers[0], echo.headers[echo.seen.indexOf("POST echo")]];
  assert.ok(first && second);
  assert.equal(first.authorization, "Bearer s3cret");
  assert.equal(first["x-own"], "1");
  assert.equal(first.accept, "application/json, text/event-stream");
  assert.equal(first["content-type"], "application/json");
  assert.equal(first["mcp-session-id"], undefined);
  assert.equal(first["mcp-protocol-version"], undefined);
  assert.equal(second["mcp-session-id"], "session-1");
  assert.equal(second["mcp-protocol-version"], "2025-11-25");
});

test("nothing overtakes notifications/initialized, which is not waited for beyond 5 s", async (t) => {
  const manual = createManualClock();
  let slow: ServerResponse | null = null;
  const take: Take = (message, response) => {
    if (message.method !== "notifications/initialized") return false;
    slow = response;
    return true;
  };
  const { echo, recorded } = await withEcho(t, { take }, { clock: manual });
  await recorded.initialize();
  const answer = recorded.ask("echo");
  await eventually(() => slow, 5_000);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(echo.seen, ["POST initialize", "POST notifications/initialized"]);
  await manual.advance(5_000);
  await answer;
  assert.equal(recorded.failed.size, 0);
});

test("100 calls are under way at once", async (t) => {
  const waiting: ServerResponse[] = [];
  const ids: unknown[] = [];
  const take: Take = (message, response) => {
    if (!isEcho(message)) return false;
    waiting.push(response);
    ids.push(message.id);
    return true;
  };
  const { recorded } = await withEcho(t, { take });
  await recorded.initialize();
  const answers = Array.from({ length: 100 }, () => recorded.ask("echo"));
  await eventually(() => waiting.length === 100, 5_000);
  waiting.reverse().forEach((response, index) => {
    response.setHeader("Content-Type", "application/json");
    response.end(result(ids[99 - index]));
  });
  await Promise.all(answers);
});

test("a lost session is told as such; a new initialize begins another on the same link", async (t) => {
  let forgotten = false;
  const take: Take = (message, response) => {
    if (!forgotten || !isEcho(message)) return false;
    forgotten = false;
    response.writeHead(404, { "Content-Type": "application/json" });
    response.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}');
    return true;
  };
  const { echo, recorded } = await withEcho(t, { take });
  await recorded.initialize();
  forgotten = true;
  assert.equal((await recorded.askInVain("echo")).kind, "session_lost");
  await recorded.initialize();
  await recorded.ask("echo");
  const again = echo.seen.lastIndexOf("POST initialize");
  assert.equal(echo.headers[again]?.["mcp-session-id"], undefined);
  assert.equal(echo.headers[echo.seen.lastIndexOf("POST echo")]?.["mcp-session-id"], "session-2");
});

test("servers that answer 400 to an unknown session are understood; without a session 404 is a refusal", async (t) => {
  const take: Take = (message, response) => {
    if (!isEcho(message)) return false;
    response.writeHead(400, { "Content-Type": "application/json" });
    response.end(
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}',
    );
    return true;
  };
  const { recorded } = await withEcho(t, { take });
  await recorded.initialize();
  assert.equal((await recorded.askInVain("echo")).kind, "session_lost");
  const wrong = await withEcho(t, { take: (_, response) => Boolean(response.writeHead(404).end()) });
  const failure = await wrong.recorded.askInVain("initialize");
  assert.equal(failure.kind, "refused");
  assert.match(failure.hint ?? "", /url/);
});

test("refusals name the status and never a secret", async (t) => {
  const answers: [status: number, body: string, headers: Record<string, string>, words: RegExp][] = [
    [401, "no", {}, /answered HTTP 401$/],
    [
      503,
      '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"busy: s3cret"}}',
      {},
      /HTTP 503: busy: \[redacted\]$/,
    ],
    [
      307,
      "",
      { Location: "https://user:pw@other.example/mcp/?key=1" },
      /redirects to https:\/\/other\.example\/mcp\/ \(HTTP 307\)/,
    ],
    [502, "<html>".repeat(50_000), {}, /HTTP 502$/],
  ];
  for (const [status, body, headers, words] of answers) {
    const take: Take = (_, response) => Boolean(response.writeHead(status, headers).end(body));
    const { recorded } = await withEcho(t, { take }, { headers: { "X-Key": "s3cret" }, secrets: ["s3cret"] });
    const failure = await recorded.askInVain("echo");
    assert.equal(failure.kind, "refused");
    assert.match(failure.message, words);
    assert.doesNotMatch(failure.message, /s3cret|pw@/);
  }
});

test("an error status whose body answers this very request is its answer", async (t) => {
  const take: Take = (message, response) => {
    response.writeHead(400, { "Content-Type": "application/json" });
    response.end(
      JSON.stringify({ jsonrpc: "2.0", id: message.id, error: { code: -32602, message: "wrong" } }),
    );
    return true;
  };
  const { recorded } = await withEcho(t, { take });
  recorded.link.send({ jsonrpc: "2.0", id: 9, method: "echo" });
  const { message, streamOf } = await eventually(() => recorded.received[0], 5_000);
  assert.equal(streamOf, 9);
  assert.ok(isJsonObject(message) && message["id"] === 9);
  assert.equal(recorded.failed.size, 0);
});

test("what is no MCP is told as such", async (t) => {
  const answers: [type: string, body: string, status: number][] = [
    ["text/html", "<html>", 200],
    ["application/json", "{", 200],
    ["application/json", "{}", 200],
    ["application/json", "[]", 200],
    ["application/json", result("another"), 200],
    ["", "", 202],
    ["text/event-stream", "data: nonsense\n\n", 200],
  ];
  for (const [type, body, status] of answers) {
    const take: Take = (_, response) =>
      Boolean(response.writeHead(status, type === "" ? {} : { "Content-Type": type }).end(body));
    const { recorded } = await withEcho(t, { take });
    assert.equal((await recorded.askInVain("echo")).kind, "protocol", `${type} ${body}`);
  }
});

test("a server that speaks no HTTP, ends connections, or breaks off within the answer", async (t) => {
  const cases: [answer: string, kind: string][] = [
    ["SSH-2.0-OpenSSH_9.2\r\n", "protocol"],
    ["", "closed"],
    ["HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", "closed"],
    ["HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {", "closed"],
  ];
  for (const [answer, kind] of cases) {
    const url = await startRaw(t, (socket) => socket.once("data", () => socket.end(answer)));
    const failure = await connect(t, url).askInVain("tools/call");
    assert.equal(failure.kind, kind, answer);
    assert.doesNotMatch(failure.message, /s3cret/);
  }
});

test("a connection that does not come about ends after its deadline", async (t) => {
  const url = await startRaw(t, () => {});
  // An address for documentation: no answer, or no route at once.
  const blackhole = "http://192.0.2.1:9/mcp";
  const manual = createManualClock();
  const recorded = connect(t, blackhole, { clock: manual });
  recorded.link.send({ jsonrpc: "2.0", id: 1, method: "initialize" });
  await new Promise((resolve) => setImmediate(resolve));
  await manual.advance(5_000);
  const failure = await eventually(() => recorded.failed.get(1), 5_000);
  assert.equal(failure.kind, "unreachable");
  // An established connection has no deadline of ours.
  const silent = connect(t, url, { clock: manual });
  silent.link.send({ jsonrpc: "2.0", id: 1, method: "initialize" });
  await eventually(() => silent.link.backlogBytes === 0, 5_000);
  await manual.advance(100_000);
  assert.equal(silent.failed.size, 0);
});

test("an address or header that cannot be used closes the link", async (t) => {
  for (const [url, headers] of [
    ["nonsense", {}],
    ["ftp://x/", {}],
    ["http://127.0.0.1/", { "X-Key": "a\r\nb" }],
    ["http://127.0.0.1/", { "no name": "x" }],
  ] as const) {
    const failure = await connect(t, url, { headers }).untilClosed();
    assert.equal(failure.kind, "unreachable");
    assert.doesNotMatch(failure.message, /a\r/);
  }
});

test("an answer beyond the limit is overloaded: JSON, one event, and not many small events", async (t) => {
  const large = `{"x":"${"x".repeat(5_000)}"}`;
  for (const type of ["application/json", "text/event-stream"]) {
    const take: Take = (_, response) =>
      Boolean(response.writeHead(200, { "Content-Type": type }).end(`data: ${large}\n\n`));
    const { recorded } = await withEcho(t, { take }, { responseLimitBytes: 1_000 });
    assert.equal((await recorded.askInVain("echo")).kind, "overloaded");
  }
  const { recorded } = await withEcho(t, { answers: "events" }, { responseLimitBytes: 1_000 });
  await recorded.ask("test/notices", { count: 100 });
});

test("a broken stream is taken up again from its last event, after the time the server asks for", async (t) => {
  let gets = 0;
  let lastId: unknown;
  const { recorded } = await withEcho(t, {
    take(message, response) {
      if (!isEcho(message)) return false;
      lastId = message.id;
      openEvents(response).end("id: 1\nretry: 20\ndata:\n\n");
      return true;
    },
    onGet(request, response) {
      if (request.headers["last-event-id"] === undefined) response.writeHead(405).end();
      else if (request.headers["last-event-id"] === "1") {
        gets += 1;
        if (gets < 3) response.writeHead(503).end();
        else openEvents(response).end('id: 2\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n');
      } else openEvents(response).end(`data: ${result(lastId)}\n\n`);
    },
  });
  await recorded.initialize();
  assert.deepEqual(await recorded.ask("echo"), { late: true });
  assert.deepEqual(
    recorded.received.map(({ streamOf }) => streamOf),
    [1, 2, 2],
  );
});

test("a server that wishes for no wait, and ends each stream after one event, is not asked without pause", async (t) => {
  const manual = createManualClock();
  const notice = 'id: 1\nretry: 0\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n';
  const answeredAt: number[] = [];
  const answer = (response: ServerResponse): void => {
    answeredAt.push(manual.monotonicMs());
    openEvents(response).end(notice);
  };
  const { recorded } = await withEcho(
    t,
    {
      take(message, response) {
        if (!isEcho(message)) return false;
        answer(response);
        return true;
      },
      onGet(request, response) {
        if (request.headers["last-event-id"] === undefined) response.writeHead(405).end();
        else answer(response);
      },
    },
    { clock: manual },
  );
  await recorded.initialize();
  recorded.link.send({ jsonrpc: "2.0", id: 5, method: "echo" });
  await eventually(async () => {
    await manual.advance(10);
    return answeredAt.length > 5;
  }, 5_000);
  for (const [index, atMs] of answeredAt.slice(1).entries()) {
    assert.ok(atMs - (answeredAt[index] ?? 0) >= 50, `at ${answeredAt}`);
  }
});

test("a stream that cannot be taken up fails the request, after a bounded number of tries", async (t) => {
  for (const refuse of [
    (response: ServerResponse) => response.writeHead(405).end(),
    (response: ServerResponse) => response.writeHead(503).end(),
    (response: ServerResponse) => openEvents(response).end(),
    (response: ServerResponse) => response.destroy(),
  ]) {
    let gets = 0;
    const { recorded } = await withEcho(t, {
      take: (message, response) =>
        isEcho(message) && Boolean(openEvents(response).end("id: 1\nretry: 1\ndata:\n\n")),
      onGet(request, response) {
        if (request.headers["last-event-id"] !== undefined) gets += 1;
        refuse(response);
      },
    });
    recorded.link.send({ jsonrpc: "2.0", id: 5, method: "echo" });
    const failure = await eventually(() => recorded.failed.get(5), 5_000);
    assert.equal(failure.kind, "closed");
    assert.ok(gets >= 1 && gets <= 5);
  }
});

test("a stream without event ids that ends too soon fails the request at once", async (t) => {
  const { echo, recorded } = await withEcho(t, {
    take: (message, response) => isEcho(message) && Boolean(openEvents(response).end(": nothing\n\n")),
  });
  assert.equal((await recorded.askInVain("echo")).kind, "closed");
  assert.deepEqual(echo.seen, ["POST echo"]);
});

test("a server that leaves a stream open after the answer keeps no connection busy", async (t) => {
  const manual = createManualClock();
  let closed = false;
  const { recorded } = await withEcho(
    t,
    {
      take(message, response) {
        if (!isEcho(message)) return false;
        response.on("close", () => {
          closed = true;
        });
        openEvents(response).write(`data: ${result(message.id)}\n\n`);
        return true;
      },
    },
    { clock: manual },
  );
  await recorded.ask("echo");
  assert.equal(closed, false);
  await manual.advance(2_000);
  await eventually(() => closed, 5_000);
  assert.equal(recorded.failed.size, 0);
});

test("the server's own stream is opened after initialized, read, and opened again from its last event", async (t) => {
  const opened: (string | undefined)[] = [];
  let order: string[] = [];
  const { echo, recorded } = await withEcho(t, {
    onGet(request, response) {
      order = [...echo.seen];
      opened.push(String(request.headers["last-event-id"] ?? ""));
      const count = opened.length;
      openEvents(response).write(`id: ${count}\nretry: 120\ndata: {"n":${count}}\n\n`);
      if (count < 3) response.end();
    },
  });
  await recorded.initialize();
  await eventually(() => opened.length === 3, 5_000);
  assert.deepEqual(opened, ["", "1", "2"]);
  assert.equal(order[1], "POST notifications/initialized");
  await eventually(() => recorded.received.length === 4, 5_000);
  assert.deepEqual(
    recorded.received.slice(1),
    [1, 2, 3].map((n) => ({ message: { n }, streamOf: null })),
  );
});

test("a server without a stream of its own is asked for it once", async (t) => {
  const manual = createManualClock();
  const { echo, recorded } = await withEcho(t, {}, { clock: manual });
  await recorded.initialize();
  await eventually(() => echo.seen.includes("GET"), 5_000);
  await manual.advance(120_000);
  await recorded.ask("echo");
  assert.equal(echo.seen.filter((each) => each === "GET").length, 1);
});

test("a server whose stream fails is asked ever less often", async (t) => {
  const manual = createManualClock();
  const { echo, recorded } = await withEcho(
    t,
    { onGet: (_, response) => response.writeHead(503).end() },
    { clock: manual },
  );
  const gets = (): number => echo.seen.filter((each) => each === "GET").length;
  await recorded.initialize();
  for (const [count, delayMs] of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
    await eventually(() => gets() === count + 1 && manual.pendingTimers === 1, 5_000);
    await manual.advance(delayMs - 1);
    assert.equal(gets(), count + 1);
    await manual.advance(1);
  }
});

test("a new session closes the old one's stream", async (t) => {
  let closed = 0;
  const { echo, recorded } = await withEcho(t, {
    onGet(_, response) {
      response.on("close", () => {
        closed += 1;
      });
      openEvents(response).flushHeaders();
    },
  });
  await recorded.initialize();
  await eventually(() => echo.seen.filter((each) => each === "GET").length === 1, 5_000);
  await recorded.initialize();
  await eventually(() => closed === 1 && echo.seen.filter((each) => each === "GET").length === 2, 5_000);
  assert.equal(echo.headers[echo.seen.lastIndexOf("GET")]?.["mcp-session-id"], "session-2");
});

test("holding one answer holds no other", async (t) => {
  const { recorded } = await withEcho(t, { answers: "events" });
  await recorded.initialize();
  const gate = Promise.withResolvers<void>();
  recorded.hold = (message) =>
    isJsonObject(message) && message["method"] === "notifications/progress" ? gate.promise : null;
  const held = recorded.ask("test/notices", { count: 3 });
  await eventually(() => recorded.received.length === 2, 5_000);
  await recorded.ask("echo");
  gate.resolve();
  await held;
});

test("close deletes the session, ends what is under way, and waits for neither longer than a second", async (t) => {
  const manual = createManualClock();
  const { echo, recorded } = await withEcho(t, { take: isEcho }, { clock: manual });
  await recorded.initialize();
  recorded.link.send({ jsonrpc: "2.0", id: 5, method: "echo" });
  await eventually(() => echo.seen.includes("POST echo"), 5_000);
  await recorded.link.close();
  assert.equal(echo.headers[echo.seen.indexOf("DELETE")]?.["mcp-session-id"], "session-1");
  await eventually(
    () => new Promise((resolve) => echo.server.getConnections((_, count) => resolve(count === 0))),
    5_000,
  );
  assert.equal(recorded.failed.size, 0);

  const hanging = await withEcho(t, {}, { clock: manual });
  hanging.echo.server.prependListener("request", (request, response) => {
    if (request.method === "DELETE") response.writeHead = () => response;
  });
  await hanging.recorded.initialize();
  const closing = hanging.recorded.link.close();
  await eventually(() => hanging.echo.seen.includes("DELETE"), 5_000);
  await manual.advance(1_000);
  await closing;
});

test("a cancelled request gives up its connection in the end", async (t) => {
  const manual = createManualClock();
  let closed = false;
  const { recorded } = await withEcho(
    t,
    {
      take(message, response) {
        if (!isEcho(message)) return false;
        response.on("close", () => {
          closed = true;
        });
        return true;
      },
    },
    { clock: manual },
  );
  await recorded.initialize();
  recorded.link.send({ jsonrpc: "2.0", id: "slow", method: "echo" });
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "slow" } });
  await recorded.ask("test/heard");
  await manual.advance(4_999);
  assert.equal(closed, false);
  await manual.advance(1);
  await eventually(() => closed, 5_000);
  assert.equal(recorded.failed.size, 0);
});

test("a kept connection that the server just ended is no failure, but tools are never called twice", async (t) => {
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

test("a server that takes nothing is overloaded, request for request", async (t) => {
  const url = await startRaw(t, (socket) => socket.pause());
  const recorded = connect(t, url, { backlogLimitBytes: 8_000_000 });
  const pad = "x".repeat(6_000_000);
  for (let id = 1; id <= 4; id++) {
    recorded.link.send({ jsonrpc: "2.0", id, method: "echo", params: { pad } });
  }
  assert.ok(recorded.link.backlogBytes > 8_000_000 && recorded.link.backlogBytes < 14_000_000);
  const failure = await eventually(() => recorded.failed.get(4), 5_000);
  assert.equal(failure.kind, "overloaded");
  assert.equal(recorded.failed.has(1), false);
});
