// The echo server of the link tests over the older transport, HTTP+SSE of 2024-11-05, run within the test.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { createEcho } from "./link-echo-answers.ts";

interface SseEcho {
  /** Of the stream. */
  readonly url: string;
  readonly server: Server;
  /** Of every request, in order: "GET /sse", "POST initialize". */
  readonly seen: string[];
  /** Headers of the request at the same place of `seen`. */
  readonly headers: IncomingMessage["headers"][];
  /** Those that are open, oldest first. */
  readonly streams: ServerResponse[];
}

export interface SseEchoOptions {
  /** Answers a POST to the address of the stream. Default 404. */
  readonly refuse?: number;
  /** What the endpoint event says. */
  readonly endpoint?: (session: number, origin: string) => string;
  /** Takes a request over when it returns true. */
  readonly onStream?: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly take?: (message: { method?: string; id?: unknown }, response: ServerResponse) => boolean;
}

/** Listens on loopback until the test ends. */
export async function startSseEcho(t: TestContext, options: SseEchoOptions = {}): Promise<SseEcho> {
  const seen: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const streams: ServerResponse[] = [];
  const sessions = new Map<string, ServerResponse>();
  const echo = createEcho();
  let origin = "";
  let count = 0;
  const { refuse = 404, endpoint = (session) => `/messages?sessionId=${session}` } = options;
  const listen = (request: IncomingMessage, response: ServerResponse): void => {
    seen.push("GET /sse");
    headers.push(request.headers);
    if (options.onStream?.(request, response)) return;
    count += 1;
    const session = String(count);
    sessions.set(session, response);
    streams.push(response);
    response.on("close", () => {
      sessions.delete(session);
      streams.splice(streams.indexOf(response), 1);
    });
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write(`event: endpoint\ndata: ${endpoint(count, origin)}\n\n`);
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    if (url.pathname === "/sse" && request.method === "GET") {
      listen(request, response);
      return;
    }
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      if (url.pathname !== "/messages") {
        seen.push(`${request.method} ${url.pathname}`);
        headers.push(request.headers);
        response.writeHead(refuse).end("<html>");
        return;
      }
      const message = JSON.parse(Buffer.concat(chunks).toString("utf8"));
      seen.push(`POST ${message.method ?? "response"}`);
      headers.push(request.headers);
      if (options.take?.(message, response)) return;
      const stream = sessions.get(url.searchParams.get("sessionId") ?? "");
      if (stream === undefined) {
        response.writeHead(400).end("No transport found for sessionId");
        return;
      }
      response.writeHead(202).end("Accepted");
      for (const each of echo(message)) stream.write(`event: message\ndata: ${JSON.stringify(each)}\n\n`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  origin = `http://127.0.0.1:${port}`;
  return { url: `${origin}/sse`, server, seen, headers, streams };
}
