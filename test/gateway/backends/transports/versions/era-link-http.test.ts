// Servers over HTTP of 2026-07-28, of both versions, and of those before, through the adapter of both.
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { isJsonObject, type JsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { eventually } from "../../../../support/eventually.ts";
import { pluck } from "../../../../support/pluck.ts";
import {
  type Answer,
  acknowledge,
  DISCOVERED,
  type HttpServerOptions,
  json,
  type Posted,
  startHttpServer,
  tell,
  wanted,
} from "../../programs/http-server.ts";
import { callTool, createEraRig, initialize, send } from "./era-rig.ts";

const TOOL = (header: string): JsonObject => ({
  name: "where",
  inputSchema: {
    type: "object",
    properties: {
      place: { type: "object", properties: { code: { type: "integer", "x-mcp-header": header } } },
    },
  },
});
const DONE = { result: { resultType: "complete", content: [] } };

/** A server of 2026-07-28; what a test does otherwise comes first. */
function modern(otherwise: (posted: Posted) => boolean = () => false): Answer {
  return (posted) => {
    if (otherwise(posted)) return;
    if (posted.method === "server/discover") json(posted, DISCOVERED);
    else if (posted.method === "subscriptions/listen") acknowledge(posted);
    else if (posted.method === "tools/list") json(posted, { result: { tools: [TOOL("Code")] } });
    else json(posted, DONE);
  };
}

/** A link to such a server. */
async function linked(t: TestContext, answer: Answer, onGet?: HttpServerOptions["onGet"]) {
  const raw = await startHttpServer(t, answer, onGet && { onGet });
  const rig = createEraRig(t);
  return { raw, rig, recorded: rig.open(rig.http(raw.url)) };
}

/** It is initialized. */
async function opened(...given: Parameters<typeof linked>) {
  const both = await linked(...given);
  await initialize(both.recorded);
  return both;
}

const INITIALIZED = {
  result: { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "older", version: "1" } },
};

test("D2 each request states in its headers its method, and the headers that its tool wants", async (t) => {
  const { raw, recorded } = await opened(t, modern());
  await recorded.ask("tools/list");
  await callTool(recorded, "where", { place: { code: 42 } }).reply;
  await recorded.ask("resources/read", { uri: "file:///ü" });
  const [discover] = raw.of("server/discover");
  assert.equal(discover?.headers["mcp-protocol-version"], "2026-07-28");
  assert.equal(discover?.headers["mcp-method"], "server/discover");
  const [call] = raw.of("tools/call");
  assert.equal(call?.headers["mcp-method"], "tools/call");
  assert.equal(call?.headers["mcp-name"], "where");
  assert.equal(call?.headers["mcp-param-code"], "42");
  assert.equal(call?.headers["mcp-session-id"], undefined);
  const params = call?.message["params"];
  const meta = isJsonObject(params) && isJsonObject(params["_meta"]) ? params["_meta"] : {};
  assert.equal(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
  assert.deepEqual(meta["io.modelcontextprotocol/clientInfo"], { name: "test", version: "1" });
  assert.equal(meta["io.modelcontextprotocol/logLevel"], "debug");
  const [read] = raw.of("resources/read");
  const encoded = Buffer.from("file:///ü").toString("base64");
  assert.equal(read?.headers["mcp-name"], `=?base64?${encoded}?=`);
  assert.deepEqual(
    raw.posted.filter(({ method }) => method.startsWith("notifications/")),
    [],
  );
});

test("D2 a tool whose headers have changed is listed again, and called again", async (t) => {
  let header = "Old";
  const { raw, recorded } = await opened(
    t,
    modern((posted) => {
      if (posted.method === "tools/list") json(posted, { result: { tools: [TOOL(header)] } });
      else if (posted.method !== "tools/call" || "mcp-param-new" in posted.headers) return false;
      else json(posted, { error: { code: -32020, message: "Mcp-Param-New is missing" } }, 400);
      return true;
    }),
  );
  await recorded.ask("tools/list");
  header = "New";
  const { result } = await callTool(recorded, "where", { place: { code: 1 } }).reply;
  assert.deepEqual(result, { content: [] });
  assert.equal(raw.of("tools/call").length, 2);
  header = "Gone";
  raw.answer = modern((posted) => {
    if (posted.method !== "tools/call") return false;
    json(posted, { error: { code: -32020, message: "never right" } }, 400);
    return true;
  });
  const { error } = await callTool(recorded, "where", { place: { code: 1 } }).reply;
  assert.equal(isJsonObject(error) && error["message"], "never right");
  assert.equal(raw.of("tools/call").length, 4);
});

test("D2 the validity of a list is kept for the gateway; of a resource it is not for older clients", async (t) => {
  const holds = { ttlMs: 60_000, cacheScope: "public" };
  const { recorded } = await opened(
    t,
    modern((posted) => {
      if (posted.method === "tools/list") json(posted, { result: { tools: [], ...holds } });
      else if (posted.method === "resources/read") json(posted, { result: { contents: [], ...holds } });
      else return false;
      return true;
    }),
  );
  assert.deepEqual(await recorded.ask("tools/list"), { tools: [], ...holds });
  assert.deepEqual(await recorded.ask("resources/read", { uri: "a://b" }), { contents: [] });
});

test("D2 a tool with invalid header requirements cannot be called", async (t) => {
  const { recorded } = await opened(t, modern());
  const fault = (tool: JsonObject): string | null => recorded.link.toolFault?.(tool) ?? null;
  assert.equal(fault(TOOL("Fine")), null);
  assert.match(fault(TOOL("not fine")) ?? "", /x-mcp-header of place\.code is not a valid header name/);
});

test("D2 closing the stream cancels the call, and no message is sent", async (t) => {
  const { raw, recorded } = await opened(
    t,
    modern(({ method }) => method === "tools/call"),
  );
  const { id } = callTool(recorded, "where");
  const [call] = await eventually(() => raw.of("tools/call").length === 1 && raw.of("tools/call"));
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } });
  await eventually(() => call?.isGone);
  assert.equal(raw.of("notifications/cancelled").length, 0);
  assert.equal(recorded.failed.size, 0);
});

test("D2 a call whose server wants only its state back is sent again, unless it is cancelled before then", async (t) => {
  const { raw, recorded } = await opened(
    t,
    modern((posted) => {
      const { params } = posted.message;
      if (posted.method !== "tools/call" || !isJsonObject(params) || "requestState" in params) return false;
      json(posted, { result: { resultType: "input_required", requestState: "s" } });
      return true;
    }),
  );
  const { id } = callTool(recorded, "where");
  await eventually(() => raw.of("tools/call").length === 1);
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } });
  const { result } = await callTool(recorded, "where").reply;
  assert.deepEqual(result, { content: [] });
  assert.equal(raw.of("tools/call").length, 3);
});

test("D2 a new subscription is acknowledged before the old stream ends", async (t) => {
  const { raw, recorded } = await opened(t, modern());
  const [first] = await eventually(
    () => raw.of("subscriptions/listen").length === 1 && raw.of("subscriptions/listen"),
  );
  assert.deepEqual(wanted(first), { toolsListChanged: true });
  await recorded.ask("resources/subscribe", { uri: "a://1" });
  const [, second] = raw.of("subscriptions/listen");
  assert.deepEqual(wanted(second), {
    toolsListChanged: true,
    resourceSubscriptions: ["a://1"],
  });
  await eventually(() => first?.isGone);
  assert.equal(second?.isGone, false);
  const _meta = { "io.modelcontextprotocol/subscriptionId": second?.message["id"] };
  if (second !== undefined)
    tell(second.response, { method: "notifications/resources/updated", params: { uri: "a://1", _meta } });
  const told = await eventually(() =>
    recorded.received.find(
      ({ message }) => isJsonObject(message) && "params" in message && !("id" in message),
    ),
  );
  assert.deepEqual(told, {
    message: { jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri: "a://1" } },
    streamOf: null,
  });
});

test("D2 a stream that breaks is reopened, and possibly missed changes are requested", async (t) => {
  const { raw, recorded } = await opened(t, modern());
  await recorded.ask("resources/subscribe", { uri: "a://1" });
  raw.of("subscriptions/listen").at(-1)?.response.destroy();
  await eventually(() => recorded.gaps === 1);
  assert.deepEqual(wanted(raw.of("subscriptions/listen").at(-1)), {
    toolsListChanged: true,
    resourceSubscriptions: ["a://1"],
  });
});

for (const [what, status, reply] of [
  ["refuses it without a session", 400, { error: { code: -32000, message: "Server not initialized" } }],
  ["does not know it", 200, { error: { code: -32601, message: "Method not found" } }],
  ["fails at it", 500, {}],
] as const) {
  test(`D1 a server over HTTP that ${what} is an older one`, async (t) => {
    const { raw, recorded } = await linked(t, (posted) => {
      if (posted.method === "server/discover") json(posted, reply, status);
      else if (posted.method === "initialize") json(posted, INITIALIZED);
      else posted.response.writeHead(202).end();
    });
    assert.equal((await initialize(recorded))["protocolVersion"], "2025-11-25");
    await eventually(() => raw.of("notifications/initialized").length === 1);
    assert.equal(raw.of("initialize")[0]?.headers["mcp-method"], undefined);
  });
}

test("D1 a server over HTTP that does not answer gets initialize soon, and next time at once", async (t) => {
  let version = "1";
  const raw = await startHttpServer(t, (posted) => {
    const serverInfo = { name: "older", version };
    if (posted.method === "initialize") json(posted, { result: { ...INITIALIZED.result, serverInfo } });
    else if (posted.method !== "server/discover") posted.response.writeHead(202).end();
  });
  const rig = createEraRig(t);
  const open = rig.http(raw.url);
  const probes: number[] = [];
  // Once it says that it is another version, the start after that asks again.
  for (const now of ["1", "1", "2", "2"]) {
    version = now;
    assert.equal((await initialize(rig.open(open)))["protocolVersion"], "2025-11-25");
    probes.push(raw.of("server/discover").length);
  }
  assert.deepEqual(probes, [1, 1, 1, 2]);
});

test("D1 a server that was not probed, and no longer knows initialize, is probed", async (t) => {
  const raw = await startHttpServer(
    t,
    modern((posted) => {
      if (posted.method !== "initialize") return false;
      json(posted, { error: { code: -32022, message: "no", data: { supported: ["2026-07-28"] } } }, 400);
      return true;
    }),
  );
  const rig = createEraRig(t);
  rig.memory.leaveUnprobed("key");
  assert.equal((await initialize(rig.open(rig.http(raw.url))))["protocolVersion"], "2026-07-28");
  assert.equal(rig.memory.isUnprobed("key"), false);
});

// Gateways that know a list of methods answer an unknown one with 403.
for (const [status, asked] of [
  [401, ["server/discover"]],
  [403, ["server/discover", "initialize"]],
] as const) {
  test(`D1 HTTP ${status} is reported as received${asked.length > 1 ? ", after initialize" : ""}`, async (t) => {
    const { raw, recorded } = await linked(t, (posted) => json(posted, { message: "no" }, status));
    const failure = await recorded.askInVain("initialize");
    assert.match(failure.message, new RegExp(`HTTP ${status}`));
    assert.equal(recorded.failed.size, 1, "the link's own question is nobody else's");
    assert.deepEqual(pluck(raw.posted, "method"), asked);
  });
}

test("D1 a version that only one side speaks is reported, with the fix", async (t) => {
  const supported = ["2027-01-01"];
  const { recorded } = await linked(t, (posted) =>
    json(
      posted,
      { error: { code: -32022, message: "no", data: { supported, requested: "2026-07-28" } } },
      400,
    ),
  );
  const failure = await recorded.askInVain("initialize");
  assert.match(failure.message, /speaks MCP 2027-01-01, the gateway 2026-07-28, 2025-11-25/);
  assert.match(failure.hint ?? "", /use a version of the server/);
});

test("D1 a server over HTTP that is replaced by an older or a newer one loses its session, and is detected again", async (t) => {
  const older: Answer = (posted) => {
    if (posted.method === "initialize") json(posted, INITIALIZED);
    else if (posted.method === "server/discover" || "mcp-method" in posted.headers)
      json(posted, { id: null, error: { code: -32000, message: "Bad Request: no session" } }, 400);
    else if ("id" in posted.message) json(posted, DONE);
    else posted.response.writeHead(202).end();
  };
  const { raw, recorded } = await opened(t, modern());
  raw.answer = older;
  assert.equal((await recorded.askInVain("tools/call", { name: "where" })).kind, "session_lost");
  assert.equal((await initialize(recorded))["protocolVersion"], "2025-11-25");
  const data = { supported: ["2026-07-28"] };
  raw.answer = modern((posted) => {
    if ("mcp-method" in posted.headers) return false;
    json(posted, { error: { code: -32022, message: "Unsupported protocol version", data } }, 400);
    return true;
  });
  assert.equal((await recorded.askInVain("tools/call", { name: "where" })).kind, "session_lost");
  assert.equal((await initialize(recorded))["protocolVersion"], "2026-07-28");
});

test("D2 features of only 2026-07-28 do not reach an older server", async (t) => {
  const { raw, recorded } = await linked(t, (posted) => {
    if (posted.method === "initialize") json(posted, INITIALIZED);
    else if (posted.method === "server/discover") json(posted, { error: { code: -32601, message: "no" } });
    else if ("id" in posted.message) json(posted, DONE);
    else posted.response.writeHead(202).end();
  });
  await initialize(recorded);
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    progressToken: 7,
  };
  await send(recorded, "tools/call", { name: "a", inputResponses: {}, _meta }).reply;
  assert.deepEqual(raw.of("tools/call")[0]?.message["params"], { name: "a", _meta: { progressToken: 7 } });
  const { error } = await send(recorded, "tools/call", { name: "a", requestState: "s", _meta }).reply;
  assert.equal(isJsonObject(error) && error["code"], -32602, "a state of when it was a newer one");
  assert.equal(raw.of("tools/call").length, 1);
});

const BOTH = { protocolVersion: "2025-11-25", serverInfo: { name: "both", version: "1" } };
const MODERN_META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** A server that speaks both; what a test does otherwise comes first. */
function both(
  otherwise: (posted: Posted) => boolean = () => false,
  capabilities: JsonObject = { tools: {} },
): Answer {
  return (posted) => {
    if (otherwise(posted)) return;
    if (posted.method === "server/discover") json(posted, DISCOVERED);
    else if (posted.method === "subscriptions/listen") acknowledge(posted);
    else if (posted.method === "initialize") {
      posted.response.setHeader("mcp-session-id", "one");
      json(posted, { result: { ...BOTH, capabilities } });
    } else if (!("id" in posted.message)) posted.response.writeHead(202).end();
    else json(posted, DONE);
  };
}

const isPrevious = ({ headers }: Posted): boolean => headers["mcp-method"] === undefined;

/** The failure of that request. */
const failureOf = (recorded: Awaited<ReturnType<typeof opened>>["recorded"], id: unknown) =>
  eventually(() => recorded.failed.get(id as number));

test("D1 a server that now refuses the older version has lost that session, and gets the newer one", async (t) => {
  const { raw, recorded } = await opened(t, both());
  await callTool(recorded, "where").reply;
  assert.equal(raw.of("tools/call").filter(isPrevious).length, 1);
  const error = { code: -32022, message: "no", data: { supported: ["2026-07-28"] } };
  raw.answer = both((posted) => {
    if (!isPrevious(posted)) return false;
    json(posted, { error }, 400);
    return true;
  });
  const { id } = callTool(recorded, "where");
  assert.equal((await failureOf(recorded, id)).kind, "session_lost");
  await initialize(recorded);
  await callTool(recorded, "where").reply;
});

test("D2 requests in flight fail at once when the server no longer speaks an older version", async (t) => {
  const { raw, recorded } = await opened(
    t,
    both(({ method }) => method === "tools/call"),
  );
  const older = callTool(recorded, "slow");
  await eventually(() => raw.of("tools/call").length === 1);
  const newer = send(recorded, "tools/call", { name: "slow", _meta: MODERN_META });
  await eventually(() => raw.of("tools/call").length === 2);
  raw.answer = both((posted) => {
    if (posted.method !== "initialize") return false;
    json(posted, { error: { code: -32601, message: "no such method" } });
    return true;
  });
  await initialize(recorded);
  assert.equal((await failureOf(recorded, older.id)).kind, "closed");
  assert.equal(recorded.failed.has(newer.id), false);
});

test("D2 when the stream of the older session is refused, a ping checks whether that session is still known", async (t) => {
  const streams: ServerResponse[] = [];
  const { raw, recorded } = await opened(t, both(), (_, response) => {
    streams.push(response);
    response.writeHead(streams.length > 1 ? 404 : 200, { "content-type": "text/event-stream" });
    if (streams.length > 1) response.end();
    else response.flushHeaders();
  });
  const [first] = await eventually(() => streams.length === 1 && streams);
  raw.answer = both((posted) => {
    if (!("mcp-session-id" in posted.headers)) return false;
    posted.response.writeHead(404).end();
    return true;
  });
  first?.end();
  await eventually(() => recorded.suspects === 1);
  assert.equal((await recorded.askInVain("ping")).kind, "session_lost");
  assert.deepEqual(await recorded.ask("ping"), {}, "once: the next is of no session");
});
