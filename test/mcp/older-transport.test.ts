// HTTP+SSE of 2024-11-05 on both sides of the real program, with the official client and the official server.
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { type TestContext, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { pluck } from "../support/pluck.ts";
import { SETTLES_MS, startGatewayRig } from "./gateway-rig.ts";

/** A server with one session for each stream; `stop` ends it and all its connections. */
async function startOlderServer(port: number): Promise<{ readonly stop: () => Promise<void> }> {
  const transports = new Map<string, SSEServerTransport>();
  const http: Server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    if (request.method === "GET" && url.pathname === "/sse") {
      const transport = new SSEServerTransport("/messages", response);
      transports.set(transport.sessionId, transport);
      response.on("close", () => transports.delete(transport.sessionId));
      await createOlder().connect(transport);
      return;
    }
    const transport = transports.get(url.searchParams.get("sessionId") ?? "");
    if (transport === undefined) response.writeHead(404).end();
    else await transport.handlePostMessage(request, response);
  });
  await new Promise<void>((resolve) => http.listen(port, "127.0.0.1", resolve));
  return {
    stop: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

function createOlder(): McpServer {
  const server = new McpServer({ name: "older", version: "1" });
  server.registerTool("greet", { description: "Greets" }, async ({ sendNotification, _meta }) => {
    const { progressToken } = _meta ?? {};
    if (progressToken !== undefined) {
      await sendNotification({ method: "notifications/progress", params: { progressToken, progress: 1 } });
    }
    return { content: [{ type: "text", text: "hello" }] };
  });
  server.registerTool("ask", { description: "Asks" }, async () => {
    const asked = await server.server.elicitInput({
      message: "?",
      requestedSchema: { type: "object", properties: {} },
    });
    return { content: [{ type: "text", text: asked.action }] };
  });
  return server;
}

/** `progress`: what came; the SDK itself drops a notification that comes with the answer in one piece. */
async function connectOlder(t: TestContext, url: string): Promise<{ client: Client; progress: unknown[] }> {
  const client = new Client({ name: "older", version: "1" }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: {} }));
  const transport = new SSEClientTransport(new URL("/sse", url));
  await client.connect(transport);
  t.after(() => client.close());
  const progress: unknown[] = [];
  const { onmessage } = transport;
  transport.onmessage = (message) => {
    if ("method" in message && message.method === "notifications/progress") progress.push(message);
    onmessage?.(message);
  };
  return { client, progress };
}

test("D2 an older client and an older server through the real program, and after each was restarted", async (t) => {
  const port = await freePort();
  let server = await startOlderServer(port);
  const rig = await startGatewayRig(t, { backends: { older: { url: `http://127.0.0.1:${port}/sse` } } });
  t.after(() => server.stop());
  await rig.untilReady("older");
  const { client, progress } = await connectOlder(t, rig.url);
  const use = async (): Promise<void> => {
    progress.length = 0;
    const { content } = await client.callTool({ name: "greet" }, undefined, { onprogress() {} });
    assert.deepEqual(content, [{ type: "text", text: "hello" }]);
    assert.equal(progress.length, 1);
  };
  assert.deepEqual(pluck((await client.listTools()).tools, "name"), ["greet", "ask"]);
  await use();
  assert.deepEqual((await client.callTool({ name: "ask" })).content, [{ type: "text", text: "accept" }]);
  await server.stop();
  server = await startOlderServer(port);
  await eventually(() => use().then(() => true), SETTLES_MS);
  await rig.goDown("SIGTERM");
  await rig.comeBack();
  await rig.untilReady("older");
  await eventually(() => use().then(() => true), SETTLES_MS);
});
