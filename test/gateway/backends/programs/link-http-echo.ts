// The echo server of the link tests over streamable HTTP, run within the test.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { createEcho } from "./link-echo-answers.ts";

export interface HttpEcho {
  readonly url: string;
  readonly server: Server;
  /** Of every request, in order: "POST initialize", "GET", "DELETE". */
  readonly seen: string[];
  /** Headers of the request at the same place of `seen`. */
  readonly headers: IncomingMessage["headers"][];
}

export interface HttpEchoOptions {
  /** How answers to requests come. */
  readonly answers: "json" | "events";
  /** Takes the request over when it returns true. */
  readonly take?: (message: { method?: string; id?: unknown }, response: ServerResponse) => boolean;
  readonly onGet?: (request: IncomingMessage, response: ServerResponse) => void;
}

/** Listens on loopback until the test ends. */
export async function startHttpEcho(t: TestContext, options: HttpEchoOptions): Promise<HttpEcho> {
  const seen: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const echo = createEcho();
  let sessions = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      headers.push(request.headers);
      if (request.method !== "POST") {
        seen.push(request.method ?? "");
        if (request.method === "GET" && options.onGet !== undefined) options.onGet(request, response);
        else response.writeHead(request.method === "GET" ? 405 : 200).end();
        return;
      }
      const message = JSON.parse(Buffer.concat(chunks).toString("utf8"));
      seen.push(`POST ${message.method ?? "response"}`);
      if (options.take?.(message, response)) return;
      const messages = echo(message);
      if (messages.length === 0) {
        response.writeHead(202).end();
        return;
      }
      if (message.method === "initialize") {
        sessions += 1;
        response.setHeader("Mcp-Session-Id", `session-${sessions}`);
      }
      if (options.answers === "json") {
        response.setHeader("Content-Type", "application/json");
        response.end(JSON.stringify(messages.length === 1 ? messages[0] : messages));
        return;
      }
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      for (const each of messages) response.write(`event: message\ndata: ${JSON.stringify(each)}\n\n`);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/mcp`, server, seen, headers };
}
