// A small MCP server over HTTP that remembers what it was sent; calls of its tool `wait` are answered when a test says so.

import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import type { HttpConnection } from "../../../src/config/snapshot.ts";
import { onLoopback } from "../../support/on-loopback.ts";

export async function startToolServer(
  t: TestContext,
  names = ["read_file", "write_file"],
  instructions?: string,
) {
  const seen: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
  const waiting = new Map<unknown, ServerResponse>();
  const cancelled: unknown[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString("utf8");
    seen.push({ headers: request.headers, body });
    if (request.method !== "POST") {
      response.writeHead(405).end();
      return;
    }
    const { id, method, params } = JSON.parse(body);
    if (id === undefined) {
      if (method === "notifications/cancelled") cancelled.push(params.requestId);
      response.writeHead(202).end();
    } else if (params?.name === "wait") waiting.set(id, response);
    else answer(response, id, resultOf(method, names, params?.name, instructions));
  });
  const port = await onLoopback(t, server);
  const connection: HttpConnection = {
    type: "streamable-http",
    url: `http://127.0.0.1:${port}/mcp`,
    headers: {},
  };
  return {
    connection,
    seen,
    waiting,
    cancelled,
    finish() {
      for (const [id, response] of waiting) answer(response, id, resultOf("tools/call", names, "wait"));
      waiting.clear();
    },
  };
}

function answer(response: ServerResponse, id: unknown, result: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
}

function resultOf(
  method: unknown,
  names: readonly string[],
  called: unknown,
  instructions?: string,
): unknown {
  if (method === "initialize") {
    const serverInfo = { name: "files", version: "1" };
    return { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo, instructions };
  }
  if (method === "tools/list")
    return { tools: names.map((name) => ({ name, inputSchema: { type: "object" } })) };
  return { content: [{ type: "text", text: `done: ${called}` }] };
}
