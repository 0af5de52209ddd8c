// A small MCP server over HTTP that remembers what it was sent; calls of its tool `wait` are answered when a test says so.

import type { TestContext } from "node:test";
import type { HttpConnection } from "../../../src/config/snapshot.ts";
import { isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { json, type Posted, serving, startHttpServer } from "../backends/programs/http-server.ts";

const done = (name: unknown): JsonObject => ({ content: [{ type: "text", text: `done: ${name}` }] });

export async function startToolServer(
  t: TestContext,
  names = ["read_file", "write_file"],
  instructions?: string,
  uris: readonly string[] = [],
) {
  const waiting = new Set<Posted>();
  const cancelled: unknown[] = [];
  const serverInfo = { name: "files", version: "1" };
  const serve = serving({
    initialize: {
      ...{ protocolVersion: "2025-11-25", serverInfo, instructions },
      capabilities: { tools: {}, ...(uris.length > 0 && { resources: { subscribe: true } }) },
    },
    "resources/list": { resources: uris.map((uri) => ({ uri, name: uri })) },
    "resources/subscribe": {},
    "resources/unsubscribe": {},
    "tools/list": { tools: names.map((name) => ({ name, inputSchema: { type: "object" } })) },
    "tools/call": ({ name }) => done(name),
  });
  const { url, posted: seen } = await startHttpServer(t, (posted) => {
    const { params } = posted.message;
    const { name, requestId } = isJsonObject(params) ? params : {};
    if (posted.method === "notifications/cancelled") cancelled.push(requestId);
    return name === "wait" ? waiting.add(posted) : serve(posted);
  });
  const connection: HttpConnection = { type: "streamable-http", url, headers: {} };
  return {
    ...{ connection, seen, waiting, cancelled },
    finish() {
      for (const posted of waiting) json(posted, { result: done("wait") });
      waiting.clear();
    },
  };
}
