// Servers of the older transport, HTTP+SSE of 2024-11-05: found by themselves, and all that goes wrong with them.

import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import type { TransportAuthorization } from "../../../../../src/gateway/backends/transports/transport-authorization.ts";
import { isJsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { eventually } from "../../../../support/eventually.ts";
import { createManualClock, settle } from "../../../../support/manual-clock.ts";
import { onLoopback } from "../../../../support/on-loopback.ts";
import { openEvents, type SseEchoOptions, startSseEcho } from "../../programs/http-server.ts";
import { connect } from "./bench.ts";

async function withSseEcho(
  t: TestContext,
  options: SseEchoOptions = {},
  more: Parameters<typeof connect>[2] = {},
) {
  const echo = await startSseEcho(t, options);
  return { echo, recorded: connect(t, echo.url, more) };
}

test("D2 it is detected where messages are refused, as the specification says", async (t) => {
  for (const refuse of [400, 404, 405]) {
    const { echo, recorded } = await withSseEcho(t, { refuse });
    await recorded.initialize();
    const { params } = await recorded.ask("echo", { text: "ü" });
    assert.deepEqual(params, { text: "ü" });
    assert.deepEqual(echo.seen, [
      "POST /sse",
      "GET /sse",
      "POST initialize",
      "POST notifications/initialized",
      "POST echo",
    ]);
    // Begun anew, nothing is counted that has left.
    await recorded.initialize();
    await eventually(() => recorded.link.backlogBytes === 0);
    assert.equal(recorded.failed.size, 0);
  }
});

test("D2 headers go to the stream and to the endpoint, whose query is kept", async (t) => {
  const { echo, recorded } = await withSseEcho(t, {}, { headers: { Authorization: "Bearer s3cret" } });
  await recorded.initialize();
  await recorded.ask("echo");
  for (const headers of echo.headers) assert.equal(headers.authorization, "Bearer s3cret");
  assert.equal(echo.headers.at(-1)?.["mcp-protocol-version"], "2025-11-25");
  assert.equal(echo.headers.at(-1)?.["mcp-session-id"], undefined);
});

test("D2 an endpoint on another origin is refused, and nothing is sent there", async (t) => {
  let reached = 0;
  const other = createServer(() => {
    reached += 1;
  });
  const port = await onLoopback(t, other);
  for (const endpoint of [
    `http://127.0.0.1:${port}/messages?sessionId=1`,
    "https://user:pw@evil.example/messages",
    "//evil.example/messages",
    "http://[",
    "file:///messages",
  ]) {
    const { echo, recorded } = await withSseEcho(t, { endpoint: () => endpoint });
    const failure = await recorded.askInVain("initialize");
    assert.equal(failure.kind, "refused", endpoint);
    assert.match(failure.message, /takes messages at another origin/);
    assert.doesNotMatch(failure.message, /pw@/);
    assert.match(failure.hint ?? "", /`url`/);
    await eventually(() => echo.streams.length === 0);
  }
  assert.equal(reached, 0);
});

test("D2 an endpoint of the same origin is understood in any notation", async (t) => {
  for (const endpoint of [
    (session: number) => `messages?sessionId=${session}`,
    (session: number, origin: string) => `${origin}/messages?sessionId=${session}#x`,
    (session: number, origin: string) => `//${new URL(origin).host}/messages?sessionId=${session}`,
  ]) {
    const { recorded } = await withSseEcho(t, { endpoint });
    await recorded.initialize();
    await recorded.ask("echo");
  }
});

test("D2 a stream that names no endpoint is reported as the earlier refusal of messages", async (t) => {
  const cases: [what: string, onStream: SseEchoOptions["onStream"]][] = [
    ["another event", (_, response) => Boolean(openEvents(response).write("event: news\ndata: 1\n\n"))],
    ["a message", (_, response) => Boolean(openEvents(response).write("data: {}\n\n"))],
    ["noise", (_, response) => Boolean(openEvents(response).write("x".repeat(5_000)))],
    ["an end", (_, response) => Boolean(openEvents(response).end())],
    ["a page", (_, response) => Boolean(response.writeHead(200, { "Content-Type": "text/html" }).end("<p>"))],
    ["not found", (_, response) => Boolean(response.writeHead(404).end())],
  ];
  for (const [what, onStream] of cases) {
    const { recorded } = await withSseEcho(t, onStream === undefined ? {} : { onStream });
    const failure = await recorded.askInVain("initialize");
    assert.equal(failure.kind, "refused", what);
    assert.match(failure.message, /answered HTTP 404$/, what);
    assert.match(failure.hint ?? "", /must be the server's MCP endpoint/, what);
    // And it may be asked again, in the newer way first.
    assert.equal((await recorded.askInVain("initialize")).kind, "refused");
  }
});

test("D2 a silent stream is not waited for longer than 5 s", async (t) => {
  const clock = createManualClock();
  const onStream = (_: unknown, response: ServerResponse): boolean =>
    Boolean(openEvents(response).write(": \n\n"));
  const { echo, recorded } = await withSseEcho(t, { onStream }, { clock });
  const failing = recorded.askInVain("initialize");
  await eventually(() => echo.seen.includes("GET /sse"));
  await clock.advance(5_000);
  assert.match((await failing).message, /HTTP 404/);
  await recorded.link.close();
  await eventually(() => clock.pendingTimers === 0);
});

test("D2 credentials that the stream refuses are reported as that", async (t) => {
  const onStream = (_: unknown, response: ServerResponse): boolean => Boolean(response.writeHead(401).end());
  const { recorded } = await withSseEcho(t, { onStream });
  const failure = await recorded.askInVain("initialize");
  assert.match(failure.message, /answered HTTP 401/);
  assert.match(failure.hint ?? "", /credentials/);
});

test("D2 E1 a stream that refuses a token is requested with the next one, and so are messages", async (t) => {
  let token = "old";
  const renewed: (string | null)[] = [];
  const isFresh = (authorization: string | undefined): boolean => authorization === "Bearer new";
  const { echo, recorded } = await withSseEcho(
    t,
    {
      onStream(request, response) {
        if (isFresh(request.headers.authorization)) return false;
        response.writeHead(401, { "WWW-Authenticate": 'Bearer error="invalid_token"' }).end();
        return true;
      },
    },
    {
      authorize: (): TransportAuthorization => ({
        get current() {
          return { header: `Bearer ${token}` };
        },
        obtain: () => Promise.resolve({ header: `Bearer ${token}` }),
        async refused({ challenge }) {
          renewed.push(challenge);
          token = "new";
          return { header: "Bearer new" };
        },
        clean: (line) => line,
        [Symbol.dispose]() {},
      }),
    },
  );
  await recorded.initialize();
  await recorded.ask("echo");
  assert.deepEqual(renewed, ['Bearer error="invalid_token"']);
  assert.equal(echo.headers.at(-1)?.authorization, "Bearer new");
});

test("D2 a stream that ends fails the waiting requests, makes the session suspect, and the next session is another stream", async (t) => {
  const { echo, recorded } = await withSseEcho(t, {
    take(message, response) {
      if (message.method !== "held" && message.id !== "theirs") return false;
      response.writeHead(202).end();
      return true;
    },
  });
  await recorded.initialize();
  const answer = { jsonrpc: "2.0", id: "theirs", result: {} } as const;
  recorded.link.send(answer);
  const unanswered = recorded.askInVain("held");
  await eventually(() => echo.seen.includes("POST held"));
  echo.streams[0]?.destroy();
  const failure = await unanswered;
  assert.equal(failure.kind, "closed");
  assert.match(failure.message, /ended its stream before the answer came/);
  assert.equal(recorded.suspects, 1);
  const lost = await recorded.askInVain("echo");
  assert.equal(lost.kind, "session_lost");
  recorded.link.send(answer);
  await settle();
  assert.equal(recorded.failed.has("theirs"), false, "an answer to the server's request waits for nothing");
  assert.equal(echo.seen.includes("POST echo"), false);
  await recorded.initialize();
  await recorded.ask("echo");
  assert.equal(echo.seen.filter((one) => one === "POST /sse").length, 1);
  assert.equal(echo.streams.length, 1);
});

test("D2 a session that the server has forgotten is lost, by the text of the official server's examples", async (t) => {
  const { echo, recorded } = await withSseEcho(t, {
    take(message, response) {
      if (message.method !== "echo") return false;
      response.writeHead(400).end("No transport found for sessionId");
      return true;
    },
  });
  await recorded.initialize();
  assert.equal((await recorded.askInVain("echo")).kind, "session_lost");
  await recorded.initialize();
  await eventually(() => echo.streams.length === 1);
});

test("D2 a server that no longer names an endpoint is reported as that", async (t) => {
  let streams = 0;
  const { echo, recorded } = await withSseEcho(t, {
    onStream(_, response) {
      streams += 1;
      if (streams === 1) return false;
      response.writeHead(404).end();
      return true;
    },
  });
  await recorded.initialize();
  echo.streams[0]?.destroy();
  await eventually(() => recorded.suspects === 1);
  const failure = await recorded.askInVain("initialize");
  assert.match(failure.message, /no longer says where it takes messages/);
});

test("D2 an endpoint that refuses initialize as the address did is not searched for again", async (t) => {
  const { echo, recorded } = await withSseEcho(t, {
    take: ({ method }, response) => method === "initialize" && Boolean(response.writeHead(405).end()),
  });
  assert.match((await recorded.askInVain("initialize")).message, /answered HTTP 405$/);
  assert.deepEqual(echo.seen, ["POST /sse", "GET /sse", "POST initialize"]);
});

test("D2 a refused message fails without affecting others; an answer that overtook the refusal is kept", async (t) => {
  const { echo, recorded } = await withSseEcho(t, {
    take(message, response) {
      if (message.method === "refused") {
        response.writeHead(500).end();
        return true;
      }
      if (message.method !== "early") return false;
      const answer = JSON.stringify({ jsonrpc: "2.0", id: message.id, result: { early: true } });
      echo.streams[0]?.write(`data: ${answer}\n\n`, () => response.writeHead(500).end());
      return true;
    },
  });
  await recorded.initialize();
  assert.match((await recorded.askInVain("refused")).message, /HTTP 500/);
  assert.deepEqual(await recorded.ask("early"), { early: true });
  await recorded.ask("echo");
  assert.equal(recorded.failed.size, 1);
});

test("D2 an event beyond the limit ends the session: overloaded", async (t) => {
  const { recorded } = await withSseEcho(t, {}, { limitBytes: 100_000 });
  await recorded.initialize();
  const failure = await recorded.askInVain("test/large", { length: 200_000 });
  assert.equal(failure.kind, "overloaded");
  assert.match(failure.message, /more than 100000 bytes/);
});

test("D2 noise on the stream is kept as log lines, and a paused message delays those after it", async (t) => {
  const { echo, recorded } = await withSseEcho(t, {}, { secrets: ["s3cret"] });
  await recorded.initialize();
  echo.streams[0]?.write("data: not JSON s3cret\n\nevent: ping\ndata: 1\n\n");
  await eventually(() => recorded.logLines.includes("not JSON [redacted]"));
  const gate = Promise.withResolvers<void>();
  recorded.hold = () => gate.promise;
  const before = recorded.received.length;
  const answer = recorded.ask("test/notices", { count: 5 });
  await eventually(() => recorded.received.length === before + 1);
  recorded.hold = () => null;
  gate.resolve();
  await answer;
});

test("D2 closing ends the stream, and requests nothing further", async (t) => {
  const { echo, recorded } = await withSseEcho(t);
  await recorded.initialize();
  await recorded.link.close();
  await eventually(() => echo.streams.length === 0);
  assert.equal(echo.seen.includes("DELETE"), false);
  assert.equal(recorded.suspects, 0);
  const { echo: early, recorded: closing } = await withSseEcho(t, {
    onStream: (_, response) => Boolean(openEvents(response).write(": \n\n")),
  });
  closing.link.send({ jsonrpc: "2.0", id: 1, method: "initialize" });
  await eventually(() => early.seen.includes("GET /sse"));
  await closing.link.close();
  assert.equal(closing.failed.size, 0);
});

test("D2 the official server of the older transport is usable, even after a restart", async (t) => {
  const transports = new Map<string, SSEServerTransport>();
  const http = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    if (request.method === "GET" && url.pathname === "/sse") {
      const transport = new SSEServerTransport("/messages", response);
      transports.set(transport.sessionId, transport);
      response.on("close", () => transports.delete(transport.sessionId));
      const server = new McpServer({ name: "older", version: "1" });
      server.registerTool("greet", { description: "Greets" }, async ({ sendNotification, _meta }) => {
        const progressToken = _meta?.progressToken ?? "none";
        await sendNotification({ method: "notifications/progress", params: { progressToken, progress: 1 } });
        return { content: [{ type: "text", text: "hello" }] };
      });
      await server.connect(transport);
      return;
    }
    const transport = transports.get(url.searchParams.get("sessionId") ?? "");
    if (url.pathname !== "/messages" || transport === undefined) response.writeHead(404).end();
    else await transport.handlePostMessage(request, response);
  });
  const port = await onLoopback(t, http);
  const recorded = connect(t, `http://127.0.0.1:${port}/sse`);
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
  const use = async (): Promise<void> => {
    const { serverInfo } = await recorded.ask("initialize", params);
    assert.ok(isJsonObject(serverInfo) && serverInfo["name"] === "older");
    recorded.link.established("2025-11-25");
    recorded.link.send({ jsonrpc: "2.0", method: "notifications/initialized" });
    const { tools } = await recorded.ask("tools/list");
    assert.equal(Array.isArray(tools) && tools.length, 1);
    const called = { name: "greet", arguments: {}, _meta: { progressToken: "p" } };
    const { content } = await recorded.ask("tools/call", called);
    assert.deepEqual(content, [{ type: "text", text: "hello" }]);
    const isProgress = ({ message }: { message: unknown }): boolean =>
      isJsonObject(message) && message["method"] === "notifications/progress";
    assert.ok(recorded.received.some(isProgress));
  };
  await use();
  http.closeAllConnections();
  await eventually(() => recorded.suspects === 1);
  assert.equal((await recorded.askInVain("tools/list")).kind, "session_lost");
  await use();
});
