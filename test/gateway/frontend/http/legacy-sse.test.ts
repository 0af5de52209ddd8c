// HTTP+SSE of 2024-11-05 in front: with the official client, and with requests that it does not send.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { type TestContext, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import {
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import type { Principal } from "../../../../src/gateway/client-handle.ts";
import { isError } from "../../../../src/gateway/json-rpc.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import {
  createBlockingTool,
  createScriptedGateway,
  onlySession,
  type ScriptedGateway,
  text,
  withdraw,
} from "../scripted-gateway.ts";
import {
  type Answer,
  callMessage,
  collect,
  initializeMessage,
  openFront,
  type Rig,
  startRig,
} from "./http-rig.ts";

interface Stream {
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
  readonly endpoint: string;
  readonly told: ReturnType<typeof collect>;
  post(message: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** The answer to that id on the stream. */
  answer(id: unknown): Promise<Record<string, unknown>>;
}

async function openStream(rig: Rig, headers: Record<string, string> = {}): Promise<Stream> {
  const { port } = rig.listener;
  const accept = { accept: "text/event-stream", ...headers };
  const request = httpRequest({ host: "127.0.0.1", port, path: "/sse", headers: accept, agent: false });
  request.on("error", () => {});
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  assert.match(response.headers["content-type"] ?? "", /text\/event-stream/);
  const told = collectMessages(response);
  const endpoint = await eventually(() => /event: endpoint\ndata: (\S+)\n\n/.exec(told.text())?.[1]);
  return {
    request,
    response,
    endpoint,
    told,
    post: (message, more = {}) =>
      rig.send(
        "POST",
        endpoint,
        { "content-type": "application/json", ...headers, ...more },
        typeof message === "string" ? message : JSON.stringify(message),
      ),
    answer: (id) => eventually(() => told.messages.find((message) => message["id"] === id)),
  };
}

/** As `collect`, without the event that is no message. */
function collectMessages(response: IncomingMessage): ReturnType<typeof collect> {
  const told = collect(response);
  return {
    get messages() {
      const whole = told.text().slice(0, told.text().lastIndexOf("\n\n") + 2);
      return [...whole.matchAll(/event: message\ndata: (.*)\n\n/g)].map(([, json = ""]) => JSON.parse(json));
    },
    text: told.text,
    ended: told.ended,
  };
}

async function initialized(
  rig: Rig,
  headers: Record<string, string> = {},
  capabilities = {},
): Promise<Stream> {
  const stream = await openStream(rig, headers);
  assert.equal((await stream.post(initializeMessage("2024-11-05", capabilities))).status, 202);
  await stream.answer(0);
  await stream.post({ jsonrpc: "2.0", method: "notifications/initialized" });
  return stream;
}

async function connectSdk(t: TestContext, rig: Rig): Promise<{ client: Client; changes: () => number }> {
  const client = new Client({ name: "old", version: "1" }, { capabilities: { elicitation: {}, roots: {} } });
  let changes = 0;
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: "file:///old" }] }));
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: { name: "old" } }));
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changes++);
  await client.connect(new SSEClientTransport(new URL("/sse", rig.url)));
  t.after(() => client.close());
  return { client, changes: () => changes };
}

function askingGateway(blocking = createBlockingTool()): ScriptedGateway {
  return createScriptedGateway({
    held: blocking.tool,
    async everything({ handle, params, signal }) {
      const meta = params?.["_meta"] as { progressToken?: unknown } | undefined;
      handle.notify("notifications/progress", { progressToken: meta?.progressToken, progress: 1, total: 2 });
      const question = { message: "name?", requestedSchema: { type: "object", properties: {} } };
      const asked = await Promise.all([
        handle.request("roots/list", undefined, signal),
        handle.request("elicitation/create", question, signal),
      ]);
      return text(JSON.stringify(asked.map((one) => (one === null || isError(one) ? null : one.result))));
    },
  });
}

test("D2 the official client of the older transport calls, is asked, receives progress and changes, and leaves", async (t) => {
  const blocking = createBlockingTool();
  const gateway = askingGateway(blocking);
  await using rig = await startRig(gateway);
  const { client, changes } = await connectSdk(t, rig);
  assert.equal(client.getServerVersion()?.name, "scripted");
  assert.equal(onlySession(gateway).protocolVersion, "2025-11-25");
  const steps: unknown[] = [];
  const result = await client.callTool({ name: "everything" }, undefined, {
    onprogress: (step) => steps.push(step),
  });
  assert.match(JSON.stringify(result.content), /file:\/\/\/old.*accept/);
  assert.deepEqual(steps, [{ progress: 1, total: 2 }]);
  onlySession(gateway).listChanged("tools");
  await eventually(() => changes() === 1);
  const abort = new AbortController();
  const call = client.callTool({ name: "held" }, undefined, { signal: abort.signal });
  await eventually(() => blocking.started.length === 1);
  abort.abort();
  await assert.rejects(call);
  await eventually(() => blocking.started[0]?.signal.aborted === true);
  await client.close();
  await eventually(() => gateway.sessions.size === 0);
});

test("D2 many calls at once are answered on one stream, each once", async (t) => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway);
  const { client } = await connectSdk(t, rig);
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, index) => client.callTool({ name: "any", arguments: { index } })),
  );
  results.forEach(({ content }, index) => {
    assert.deepEqual(content, [{ type: "text", text: JSON.stringify({ index }) }]);
  });
});

test("D2 a client whose stream ended continues after it reconnects, and is asked to read the lists again", async (t) => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway);
  const { client } = await connectSdk(t, rig);
  const first = onlySession(gateway);
  // As at a restart: the stream ends, and the client looks for it again by itself.
  await rig.front.stop(0);
  await eventually(() => first.ended.aborted);
  await client.close();
  await using back = await startRig(gateway);
  const headers = { "mcp-protocol-version": "2025-11-25" };
  const stream = await openStream(back, headers);
  assert.equal((await stream.post(callMessage(7, "any", { on: true }))).status, 202);
  assert.match(JSON.stringify(await stream.answer(7)), /on/);
  assert.deepEqual(pluck(stream.told.messages, "method").slice(0, 3), [
    "notifications/tools/list_changed",
    "notifications/resources/list_changed",
    "notifications/prompts/list_changed",
  ]);
  // Clients of the Java SDK send the version also with their first stream.
  const fresh = await openStream(back, headers);
  assert.equal((await fresh.post(initializeMessage())).status, 202);
  await fresh.answer(0);
  assert.equal(fresh.told.messages.length, 1);
});

test("D1 D2 a client that tries 2026-07-28 first is answered on its stream, and initializes", async () => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway);
  const stream = await openStream(rig);
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  const discover = { jsonrpc: "2.0", id: 9, method: "server/discover", params: { _meta } };
  assert.equal((await stream.post(discover)).status, 202);
  assert.match(JSON.stringify(await stream.answer(9)), /"code":-32601/);
  await stream.post({ jsonrpc: "2.0", id: 8, method: "ping" });
  assert.deepEqual((await stream.answer(8))["result"], {});
  assert.equal(gateway.sessions.size, 0);
  assert.equal((await stream.post(initializeMessage())).status, 202);
  await stream.answer(0);
});

// What EventSource sends by itself after a cut: neither `initialize` nor a version.
test("D2 B11 a call on a stream without initialize begins a session that inherits nothing", async () => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway);
  await initialized(rig, {}, { roots: {}, elicitation: {} });
  const [before] = gateway.sessions;
  const stream = await openStream(rig);
  assert.equal(gateway.sessions.size, 1, "a stream alone is no session");
  assert.equal((await stream.post(callMessage(6, "any", { on: true }))).status, 202);
  assert.match(JSON.stringify(await stream.answer(6)), /on/);
  const begun = [...gateway.sessions].find((session) => session !== before);
  assert.deepEqual([begun?.capabilities, begun?.protocolVersion], [{}, "2025-03-26"]);
  const later = await openStream(rig);
  await later.post(callMessage(7, "any"), { "mcp-protocol-version": "2025-06-18" });
  await later.answer(7);
  assert.ok([...gateway.sessions].some(({ protocolVersion }) => protocolVersion === "2025-06-18"));
});

test("an internal error fails only its message", async () => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway);
  const stream = await openStream(rig);
  const { opened } = gateway;
  gateway.opened = () => {
    throw new Error("secret detail");
  };
  const failed = await stream.post(callMessage(1, "any"));
  assert.deepEqual([failed.status, failed.body.includes("secret")], [500, false]);
  gateway.opened = opened;
  const next = await openStream(rig);
  await next.post(callMessage(2, "any"));
  await next.answer(2);
});

test("D2 a client that announces the version may still initialize", async () => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway);
  const stream = await openStream(rig, { "mcp-protocol-version": "2025-06-18" });
  assert.equal((await stream.post(initializeMessage("2025-06-18", { roots: {} }))).status, 202);
  await stream.answer(0);
  assert.deepEqual(onlySession(gateway).capabilities, { roots: {} });
  await stream.post(callMessage(1, "any"));
  await stream.answer(1);
  await stream.post(initializeMessage());
  const again = await eventually(() => stream.told.messages.filter(({ id }) => id === 0)[1]);
  assert.match(JSON.stringify(again), /initialized already/);
  assert.equal(stream.told.ended(), false);
});

test("D2 an unacceptable message is refused where it is posted, in words", async () => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway, { bodyLimitBytes: 2_000 });
  const stream = await openStream(rig);
  const refused = async (message: unknown, status: number, words: RegExp, headers = {}): Promise<void> => {
    const answer = await stream.post(message, headers);
    assert.equal(answer.status, status);
    assert.match(answer.body, words);
  };
  await refused("{", 400, /not JSON/);
  await refused("[1]", 400, /has no batches/);
  await refused("{}", 415, /Content-Type/, { "content-type": "text/plain" });
  await refused("{}", 415, /compressed/, { "content-encoding": "gzip" });
  await refused(initializeMessage("2024-11-05", { text: "x".repeat(3_000) }), 413, /body_limit_mb/);
  await refused(initializeMessage(), 403, /Host/, { host: "evil.example" });
  const json = { "content-type": "application/json" };
  assert.match((await rig.send("POST", "/messages", json, "{}")).body, /sessionId; a GET of \/sse/);
  assert.equal((await rig.send("POST", "/messages?sessionId=wrong", json, "{}")).status, 404);
  assert.equal((await rig.send("GET", "/sse", { accept: "application/json" })).status, 406);
  assert.equal((await rig.send("GET", "/sse", { host: "evil.example" })).status, 403);
  // The id of the stream is no session's over streamable HTTP.
  const id = new URL(stream.endpoint, rig.url).searchParams.get("sessionId") ?? "";
  await stream.post(initializeMessage());
  await stream.answer(0);
  assert.equal((await rig.post(callMessage(1, "any"), { "mcp-session-id": id })).status, 404);
});

test("D2 E4 a principal's sessions are counted with those over streamable HTTP", async () => {
  const gateway = askingGateway();
  gateway.sessionsAllowed = () => 2;
  await using rig = await startRig(gateway);
  const one = await initialized(rig);
  await initialized(rig);
  const third = await openStream(rig);
  // A loop of streams ends no session, whatever version it names.
  for (let n = 0; n < 5; n++) await openStream(rig, { "mcp-protocol-version": "2025-06-18" });
  assert.equal(gateway.sessions.size, 2);
  assert.equal((await third.post(callMessage(1, "any"))).status, 429);
  const answer = await third.post(initializeMessage());
  assert.deepEqual([answer.status, answer.headers["retry-after"]], [429, "10"]);
  assert.match(answer.body, /\[limits\]\.sessions/);
  one.request.destroy();
  await eventually(() => gateway.sessions.size === 1);
  assert.equal((await third.post(initializeMessage())).status, 202);
  await third.answer(0);
});

test("D2 E1 tokens are required, and a stream belongs only to its principal", async () => {
  const gateway = askingGateway();
  const user = (name: string): Principal => ({ kind: "user", name, roles: [] });
  gateway.authenticate = (headers) => {
    const token = String(headers["authorization"] ?? "").replace("Bearer ", "");
    return token === "" ? { ok: false, reason: "a token is needed" } : { ok: true, principal: user(token) };
  };
  await using rig = await startRig(gateway);
  assert.equal((await rig.send("GET", "/sse", { accept: "text/event-stream" })).status, 401);
  const ann = await initialized(rig, { authorization: "Bearer ann" });
  assert.equal(onlySession(gateway).principal.name, "ann");
  const other = await ann.post(callMessage(1, "any"), { authorization: "Bearer bob" });
  assert.equal(other.status, 404);
  const { authorization: _, ...none } = { authorization: "" };
  assert.equal(
    (await rig.send("POST", ann.endpoint, { "content-type": "application/json", ...none }, "{}")).status,
    401,
  );
  const silent = await openStream(rig, { authorization: "Bearer ann" });
  assert.equal((await silent.post(initializeMessage(), { authorization: "Bearer bob" })).status, 404);
  assert.deepEqual(pluck(gateway.turnedAwayRequests, "status"), [401, 404, 401, 404]);
  withdraw(gateway);
  rig.front.endWithdrawn();
  await eventually(() => silent.told.ended());
  assert.equal(ann.told.ended(), false, "a session ends by itself");
});

test("D2 a message posted while the stream ends is refused like a later one", async () => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway);
  const stream = await initialized(rig);
  const { port } = rig.listener;
  const headers = { "content-type": "application/json" };
  const post = httpRequest({ host: "127.0.0.1", port, method: "POST", path: stream.endpoint, headers });
  post.write(JSON.stringify(callMessage(1, "any")).slice(0, 9));
  await eventually(() => rig.listener.connections === 2);
  stream.request.destroy();
  await eventually(() => gateway.sessions.size === 0);
  post.end(JSON.stringify(callMessage(1, "any")).slice(9));
  const [response] = (await once(post, "response")) as [IncomingMessage];
  assert.equal(response.resume().statusCode, 404);
});

test("D2 unused streams are bounded: the oldest is closed", async () => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway);
  const used = await initialized(rig);
  const silent: Stream[] = [];
  for (let index = 0; index < 130; index++) silent.push(await openStream(rig));
  await eventually(() => silent[0]?.told.ended() === true && silent[1]?.told.ended() === true);
  assert.deepEqual([silent[2]?.told.ended(), used.told.ended()], [false, false]);
  await used.post(callMessage(1, "any"));
  await used.answer(1);
  for (const { request } of silent) request.destroy();
});

test("D2 E4 a client that reads nothing is no longer read from, and loses its stream after a minute", async (t) => {
  const clock = createManualClock();
  const { gateway, rig } = await openFront(
    t,
    { large: async () => text("x".repeat(4 * 1024 * 1024)) },
    { clock },
  );
  const stream = await initialized(rig);
  stream.response.pause();
  stream.response.removeAllListeners("data");
  const posts: Promise<Answer>[] = [];
  for (let id = 1; id <= 40; id++) posts.push(stream.post(callMessage(id, "large")));
  for (const post of posts) post.catch(() => {});
  await eventually(() => gateway.requests.length > 0);
  await eventually(async () => {
    const before = gateway.requests.length;
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    return gateway.requests.length === before;
  });
  assert.ok(gateway.requests.length < 40, `${gateway.requests.length} calls were taken`);
  for (let step = 0; step < 6; step++) await clock.advance(15_000);
  await eventually(() => gateway.sessions.size === 0);
  for (const { status } of await Promise.all(posts)) assert.ok(status === 202 || status === 404);
});

test("D2 requests in flight are finished when the gateway stops, and then the stream ends", async () => {
  const blocking = createBlockingTool();
  const gateway = askingGateway(blocking);
  await using rig = await startRig(gateway);
  const stream = await initialized(rig);
  await stream.post(callMessage(1, "held"));
  await eventually(() => blocking.started.length === 1);
  const stopped = rig.front.stop(5_000);
  assert.equal((await rig.send("GET", "/sse", { accept: "text/event-stream" })).status, 503);
  blocking.release(text("done"));
  assert.match(JSON.stringify(await stream.answer(1)), /done/);
  await stopped;
  await eventually(() => stream.told.ended());
});

test("B11 D2 when another daemon takes over, a stream ends once it has been quiet for 2 s, and its client returns at once", async () => {
  const clock = createManualClock();
  const blocking = createBlockingTool();
  const gateway = askingGateway(blocking);
  await using rig = await startRig(gateway, { clock });
  const [busy, quiet] = [await initialized(rig), await initialized(rig)];
  await busy.post(callMessage(1, "held"));
  await eventually(() => blocking.started.length === 1);
  const headers = { "mcp-session-id": await rig.initialize() };
  rig.front.leave();
  const [late, listening] = [
    await rig.send("GET", "/sse", { accept: "text/event-stream" }),
    await rig.listen(headers),
  ];
  assert.equal(late.body, "retry: 50\n\n", "its client has no address yet, and comes to the next daemon");
  await eventually(() => listening.ended());
  await quiet.post(callMessage(3, "any"));
  await quiet.answer(3);
  await clock.advance(1_900);
  assert.deepEqual([quiet.told.ended(), busy.told.ended()], [false, false]);
  await clock.advance(200);
  await eventually(() => quiet.told.ended());
  assert.match(quiet.told.text(), /retry: 1000\n[\s\S]*retry: 50\n\n$/);
  blocking.release(text("done"));
  await busy.answer(1);
  await clock.advance(2_000);
  await eventually(() => busy.told.ended());
});

test("B11 D2 when another daemon takes over, the stream of a client that calls all the time ends soon", async () => {
  const clock = createManualClock();
  await using rig = await startRig(createScriptedGateway({ any: async () => text("done") }), { clock });
  const client = await initialized(rig);
  rig.front.leave();
  for (let id = 1; id < 10; id++) {
    assert.equal(client.told.ended(), false);
    await client.post(callMessage(id, "any"));
    await client.answer(id);
    await clock.advance(500);
  }
  await eventually(() => client.told.ended());
});

test("B11 D2 a client that returns the id of the event that answered initialize continues as the client that it was", async () => {
  const gateway = askingGateway();
  let eventId = "";
  {
    await using rig = await startRig(gateway);
    const stream = await initialized(rig, {}, { elicitation: {}, roots: {} });
    eventId = /^id: (.*)$/m.exec(stream.told.text())?.[1] ?? "";
  }
  await using rig = await startRig(gateway);
  const back = await openStream(rig, { "last-event-id": eventId });
  const { capabilities, clientInfo, protocolVersion } = onlySession(gateway);
  assert.deepEqual(capabilities, { elicitation: {}, roots: {} });
  assert.deepEqual([clientInfo, protocolVersion], [{ name: "test", version: "1" }, "2024-11-05"]);
  assert.deepEqual(gateway.continuedWith, [null]);
  await back.post(callMessage(7, "everything"));
  const asked = await eventually(() => back.told.messages.find(({ method }) => method === "roots/list"));
  await back.post({ jsonrpc: "2.0", id: asked["id"], result: { roots: [] } });
  back.request.destroy();
  await eventually(() => gateway.sessions.size === 0);
  for (const wrong of [eventId.slice(1), "x", "-1"]) await openStream(rig, { "last-event-id": wrong });
  assert.equal(gateway.sessions.size, 0);
});

test("D2 batches of 2025-03-26 are answered as one message", async () => {
  const gateway = askingGateway();
  await using rig = await startRig(gateway);
  const stream = await openStream(rig);
  await stream.post(initializeMessage("2025-03-26"));
  await stream.answer(0);
  const batch = [
    callMessage(1, "any", { a: 1 }),
    { jsonrpc: "2.0", method: "notifications/x" },
    callMessage(2, "any"),
  ];
  assert.equal((await stream.post(batch)).status, 202);
  const answered = await eventually(() => stream.told.messages.find((message) => Array.isArray(message)));
  assert.deepEqual((answered as unknown as { id: number }[]).map(({ id }) => id).sort(), [1, 2]);
  gateway.missingScope = () => ({ ok: false, status: 403, reason: "a scope is missing", scope: "s" });
  assert.equal((await stream.post(batch)).status, 403);
  assert.equal(gateway.requests.length, 2);
});
