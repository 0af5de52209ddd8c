// A server over HTTP of both versions, whose session of 2025-11-25 is lost, refused or doubted beside the other version.
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import type { JsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { eventually } from "../../../../support/eventually.ts";
import {
  type Answer,
  acknowledge,
  DISCOVERED,
  type HttpServerOptions,
  json,
  type Posted,
  startHttpServer,
} from "../../programs/http-server.ts";
import { callTool, createEraRig, initialize, send } from "./era-rig.ts";

const OLDER = { protocolVersion: "2025-11-25", serverInfo: { name: "both", version: "1" } };
const DONE = { result: { resultType: "complete", content: [] } };
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
      json(posted, { result: { ...OLDER, capabilities } });
    } else if (!("id" in posted.message)) posted.response.writeHead(202).end();
    else json(posted, DONE);
  };
}

async function opened(t: TestContext, answer: Answer, onGet?: HttpServerOptions["onGet"]) {
  const raw = await startHttpServer(t, answer, onGet === undefined ? {} : { onGet });
  const rig = createEraRig(t);
  const recorded = rig.open(rig.http(raw.url));
  await initialize(recorded);
  return { raw, recorded };
}

const isOlder = ({ headers }: Posted): boolean => headers["mcp-method"] === undefined;

/** The failure of that request. */
const failureOf = (recorded: Awaited<ReturnType<typeof opened>>["recorded"], id: unknown) =>
  eventually(() => recorded.failed.get(id as number));

test("D1 a server that now refuses the older version has lost that session, and is spoken with in the newer one", async (t) => {
  const { raw, recorded } = await opened(t, both());
  await callTool(recorded, "where").reply;
  assert.equal(raw.of("tools/call").filter(isOlder).length, 1);
  const error = { code: -32022, message: "no", data: { supported: ["2026-07-28"] } };
  raw.answer = both((posted) => {
    if (!isOlder(posted)) return false;
    json(posted, { error }, 400);
    return true;
  });
  const { id } = callTool(recorded, "where");
  assert.equal((await failureOf(recorded, id)).kind, "session_lost");
  await initialize(recorded);
  await callTool(recorded, "where").reply;
});

test("D1 a lost session that cannot be begun anew while the server is away is no sign of another version", async (t) => {
  const { raw, recorded } = await opened(t, both());
  raw.answer = both((posted) => {
    if (posted.method !== "initialize") return false;
    json(posted, {}, 503);
    return true;
  });
  assert.equal((await recorded.askInVain("initialize")).status, 503);
  raw.answer = both();
  await initialize(recorded);
  await callTool(recorded, "where").reply;
  assert.equal(raw.of("tools/call").filter(isOlder).length, 1);
});

test("D2 requests in flight fail at once when the server is found to speak no older version any more", async (t) => {
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

test("D2 when the stream of the older session is refused, a ping asks whether that session is still known", async (t) => {
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
  await eventually(() => recorded.doubts === 1);
  assert.equal((await recorded.askInVain("ping")).kind, "session_lost");
  assert.deepEqual(await recorded.ask("ping"), {}, "once: the next is of no session");
});
