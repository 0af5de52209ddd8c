// A real MCP server of the official SDK behind a bearer check, as MCP describes it: 401 and 403 with a challenge, and its
// metadata.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { onLoopback } from "../../../support/on-loopback.ts";
import type { AuthorizationServer } from "./authorization-server.ts";

export interface ProtectedServer {
  readonly url: string;
  /** Calls of its tool that it did. */
  readonly calls: number;
  /** Requests that it let nobody do: HTTP 401. */
  readonly refusals: number;
  /** The values of `Authorization` that it saw. */
  readonly seen: ReadonlySet<string>;
  /** A call of its tool takes this scope from now on. */
  requireForCalls(scope: string): void;
}

const METADATA = "/.well-known/oauth-protected-resource/mcp";

export async function startProtectedServer(
  t: TestContext,
  authorization: AuthorizationServer,
): Promise<ProtectedServer> {
  const seen = new Set<string>();
  let calls = 0;
  let refusals = 0;
  let callScope = "mcp:read";
  let origin = "";
  const challenge = (more: string): string => `Bearer ${more}, resource_metadata="${origin}${METADATA}"`;
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === METADATA) {
      const metadata = { resource: `${origin}/mcp`, authorization_servers: [authorization.issuer] };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(metadata));
      return;
    }
    const { authorization: header = "" } = request.headers;
    if (header !== "") seen.add(header);
    const token = header.replace(/^Bearer /, "");
    const scopes = token === "" ? null : await authorization.scopesOf(token, `${origin}/mcp`);
    if (scopes === null) {
      refusals++;
      response.writeHead(401, { "www-authenticate": challenge('scope="mcp:read"') }).end("who are you?");
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const text = Buffer.concat(chunks).toString("utf8");
    const body: unknown = text === "" ? undefined : JSON.parse(text);
    if (text.includes('"tools/call"') && !scopes.includes(callScope)) {
      const more = `error="insufficient_scope", scope="${callScope}"`;
      response.writeHead(403, { "www-authenticate": challenge(more) }).end("not with that");
      return;
    }
    const server = createTools(() => {
      calls++;
    });
    const transport = new StreamableHTTPServerTransport({});
    response.on("close", () => void transport.close());
    // The SDK's own types disagree about optional members.
    await server.connect(transport as Parameters<typeof server.connect>[0]);
    await transport.handleRequest(request, response, body);
  };
  const http = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  const port = await onLoopback(t, http);
  origin = `http://127.0.0.1:${port}`;
  return {
    url: `${origin}/mcp`,
    get calls() {
      return calls;
    },
    get refusals() {
      return refusals;
    },
    seen,
    requireForCalls(scope) {
      callScope = scope;
    },
  };
}

function createTools(onCall: () => void): Server {
  const server = new Server({ name: "protected", version: "1" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, async () => ({
    tools: [{ name: "echo", inputSchema: { type: "object" as const } }],
  }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
    onCall();
    return { content: [{ type: "text" as const, text: JSON.stringify(params.arguments ?? {}) }] };
  });
  return server;
}
