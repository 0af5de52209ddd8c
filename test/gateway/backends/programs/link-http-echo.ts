// The echo server of the link tests over streamable HTTP, or over the older transport, HTTP+SSE of 2024-11-05; run within
// the test.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { onLoopback } from "../../../support/on-loopback.ts";
import { createEcho } from "./link-echo-answers.ts";

export interface HttpEcho {
  readonly url: string;
  readonly server: Server;
  /** Of every request, in order: "POST initialize", "GET", "DELETE"; of the older transport "GET /sse", "POST /sse". */
  readonly seen: string[];
  /** Headers of the request at the same place of `seen`. */
  readonly headers: IncomingMessage["headers"][];
}

/** Takes the request over when it returns true. */
type Take = (message: { method?: string; id?: unknown }, response: ServerResponse) => boolean;

export interface HttpEchoOptions {
  /** How answers to requests come. */
  readonly answers: "json" | "events";
  readonly take?: Take;
  readonly onGet?: (request: IncomingMessage, response: ServerResponse) => void;
}

const event = (message: unknown): string => `event: message\ndata: ${JSON.stringify(message)}\n\n`;
export const openEvents = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });

/** Listens on loopback until the test ends. */
export async function startHttpEcho(t: TestContext, options: HttpEchoOptions): Promise<HttpEcho> {
  const seen: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const echo = createEcho();
  let sessions = 0;
  const server = createServer(async (request, response) => {
    const body = await text(request);
    headers.push(request.headers);
    if (request.method !== "POST") {
      seen.push(request.method ?? "");
      if (request.method === "GET" && options.onGet !== undefined) options.onGet(request, response);
      else response.writeHead(request.method === "GET" ? 405 : 200).end();
      return;
    }
    const message = JSON.parse(body);
    seen.push(`POST ${message.method ?? "response"}`);
    if (options.take?.(message, response)) return;
    const messages = echo(message);
    if (messages.length === 0) {
      response.writeHead(202).end();
      return;
    }
    if (message.method === "initialize") response.setHeader("Mcp-Session-Id", `session-${++sessions}`);
    if (options.answers === "json") {
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify(messages.length === 1 ? messages[0] : messages));
      return;
    }
    openEvents(response);
    for (const each of messages) response.write(event(each));
    response.end();
  });
  const port = await onLoopback(t, server);
  return { url: `http://127.0.0.1:${port}/mcp`, server, seen, headers };
}

interface SseEcho extends HttpEcho {
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
  readonly take?: Take;
}

/** Of the older transport: its URL is the stream's. */
export async function startSseEcho(t: TestContext, options: SseEchoOptions = {}): Promise<SseEcho> {
  const seen: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const streams: ServerResponse[] = [];
  const sessions = new Map<string, ServerResponse>();
  const echo = createEcho();
  let origin = "";
  let count = 0;
  const { refuse = 404, endpoint = (session) => `/messages?sessionId=${session}` } = options;
  const openStream = (request: IncomingMessage, response: ServerResponse): void => {
    if (options.onStream?.(request, response)) return;
    const session = String(++count);
    sessions.set(session, response);
    streams.push(response);
    response.on("close", () => {
      sessions.delete(session);
      streams.splice(streams.indexOf(response), 1);
    });
    openEvents(response).write(`event: endpoint\ndata: ${endpoint(count, origin)}\n\n`);
  };
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://x");
    if (pathname === "/sse" && request.method === "GET") {
      seen.push("GET /sse");
      headers.push(request.headers);
      openStream(request, response);
      return;
    }
    const body = await text(request);
    headers.push(request.headers);
    if (pathname !== "/messages") {
      seen.push(`${request.method} ${pathname}`);
      response.writeHead(refuse).end("<html>");
      return;
    }
    const message = JSON.parse(body);
    seen.push(`POST ${message.method ?? "response"}`);
    if (options.take?.(message, response)) return;
    const stream = sessions.get(searchParams.get("sessionId") ?? "");
    if (stream === undefined) {
      response.writeHead(400).end("No transport found for sessionId");
      return;
    }
    response.writeHead(202).end("Accepted");
    for (const each of echo(message)) stream.write(event(each));
  });
  origin = `http://127.0.0.1:${await onLoopback(t, server)}`;
  return { url: `${origin}/sse`, server, seen, headers, streams };
}
