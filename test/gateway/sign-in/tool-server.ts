// A small MCP server over HTTP that remembers what it was sent.

import { createServer, type IncomingHttpHeaders } from "node:http";
import type { TestContext } from "node:test";
import type { HttpConnection } from "../../../src/config/snapshot.ts";
import { onLoopback } from "../../support/on-loopback.ts";

interface ToolServer {
  readonly connection: HttpConnection;
  readonly seen: { readonly headers: IncomingHttpHeaders; readonly body: string }[];
}

const TOOLS = ["read_file", "write_file"].map((name) => ({ name, inputSchema: { type: "object" } }));

export async function startToolServer(t: TestContext): Promise<ToolServer> {
  const seen: ToolServer["seen"] = [];
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
      response.writeHead(202).end();
      return;
    }
    const result = resultOf(method, params);
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
  });
  const port = await onLoopback(t, server);
  return { connection: { type: "streamable-http", url: `http://127.0.0.1:${port}/mcp`, headers: {} }, seen };
}

function resultOf(method: unknown, params: { readonly name?: string } | undefined): unknown {
  if (method === "initialize") {
    return {
      protocolVersion: "2025-11-25",
      capabilities: { tools: {} },
      serverInfo: { name: "files", version: "1" },
    };
  }
  if (method === "tools/list") return { tools: TOOLS };
  return { content: [{ type: "text", text: `done: ${params?.name}` }] };
}
