// An MCP server over HTTP within the test, whose every answer the test gives, and that keeps what it was sent. `serving` and
// `echoing` are answers for those to whom most of them are alike.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { isJsonObject, type JsonObject } from "../../../../src/gateway/json-rpc.ts";
import { parseExactly } from "../../../../src/runtime/text/exact-json.ts";
import { onLoopback } from "../../../support/on-loopback.ts";
import { createEcho } from "./link-echo-answers.ts";

type Headers = IncomingMessage["headers"];

export interface Posted {
  readonly headers: Headers;
  /** The query of its address. */
  readonly query: URLSearchParams;
  readonly body: string;
  readonly message: JsonObject;
  /** `response` where it is one. */
  readonly method: string;
  /** The client has broken it off. */
  isGone: boolean;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export type Answer = (posted: Posted) => unknown;
/** Takes the message over when it returns true. */
export type Take = (
  message: { readonly method?: unknown; readonly id?: unknown },
  response: ServerResponse,
) => boolean;
type Serve = (request: IncomingMessage, response: ServerResponse) => unknown;

export interface HttpServerOptions {
  /** The stream of its own that it opens. Default: it has none. */
  readonly onGet?: Serve;
  /** Where it takes messages. Default: anywhere, and it calls itself `/mcp`. */
  readonly path?: string;
  /** All other paths. Default: HTTP 404. */
  readonly elsewhere?: Serve;
}

export type HttpServer = Awaited<ReturnType<typeof startHttpServer>>;

/** Listens on loopback until the test ends. */
export async function startHttpServer(
  t: TestContext,
  answer: Answer,
  { onGet = refuseStream, path, elsewhere = notThere }: HttpServerOptions = {},
) {
  const posted: Posted[] = [];
  const seen: string[] = [];
  const headers: Headers[] = [];
  const saw = (what: string, request: IncomingMessage): void => {
    seen.push(what);
    headers.push(request.headers);
  };
  const server = createServer(async (request, response) => {
    const { method = "" } = request;
    const { pathname, searchParams } = new URL(`http://x${request.url ?? ""}`);
    if (path !== undefined && pathname !== path) {
      saw(`${method} ${pathname}`, request);
      return void elsewhere(request, response);
    }
    const body = await text(request);
    if (method !== "POST") saw(method, request);
    if (method === "GET") return void onGet(request, response);
    if (method !== "POST") return void response.writeHead(200).end();
    const message: JsonObject = body === "" ? {} : (parseExactly(body) as JsonObject);
    const one: Posted = {
      ...{ headers: request.headers, query: searchParams, body, message, isGone: false, request, response },
      method: typeof message["method"] === "string" ? message["method"] : "response",
    };
    response.once("close", () => {
      one.isGone = !response.writableEnded;
    });
    posted.push(one);
    saw(`POST ${one.method}`, request);
    await self.answer(one);
  });
  const origin = `http://127.0.0.1:${await onLoopback(t, server)}`;
  const self = {
    ...{ origin, url: `${origin}/mcp`, server, posted, answer },
    /** Of every request, in order: "POST initialize", "GET", "DELETE"; on another path "GET /sse". */
    seen,
    /** Headers of the request at the same place of `seen`. */
    headers,
    of: (method: string) => posted.filter((one) => one.method === method),
  };
  return self;
}

const refuseStream: Serve = (_, response) => response.writeHead(405).end();
const notThere: Serve = (_, response) => response.writeHead(404).end();

export function json({ response, message }: Posted, reply: JsonObject, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ jsonrpc: "2.0", id: message["id"], ...reply }));
}

const event = (message: unknown): string => `event: message\ndata: ${JSON.stringify(message)}\n\n`;
export const openEvents = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });

/** On a stream that is open. */
export function tell(response: ServerResponse, message: JsonObject): void {
  response.write(event({ jsonrpc: "2.0", ...message }));
}

/**
 * A server's answers by method: a result, or what gives one. It knows `initialize`, of 2025-11-25, and takes
 * notifications; all else is answered with -32601.
 */
export function serving(
  results: Readonly<Record<string, JsonObject | ((params: JsonObject) => JsonObject)>>,
): Answer {
  const serverInfo = { name: "scripted", version: "1" };
  const initialize = { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo };
  const all: typeof results = { initialize, ...results };
  return (posted) => {
    const { message, method, response } = posted;
    if (!("id" in message)) return void response.writeHead(202).end();
    const result = Object.hasOwn(all, method) ? all[method] : undefined;
    const { params } = message;
    if (result === undefined) json(posted, { error: { code: -32601, message: "no such method" } });
    else
      json(posted, {
        result: typeof result === "function" ? result(isJsonObject(params) ? params : {}) : result,
      });
  };
}

/** The echo server of the link tests; its answers come as JSON or as events. */
export function echoing(answers: "json" | "events", take: Take = () => false): Answer {
  const echo = createEcho();
  let sessions = 0;
  return (posted) => {
    const { message, method, response } = posted;
    if (take(message, response)) return;
    const messages = echo(message);
    if (messages.length === 0) return void response.writeHead(202).end();
    if (method === "initialize") response.setHeader("mcp-session-id", `session-${++sessions}`);
    if (answers === "events") openEvents(response).end(messages.map(event).join(""));
    else {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(messages.length === 1 ? messages[0] : messages));
    }
  };
}

interface SseEcho extends HttpServer {
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

/** The same over the older transport, HTTP+SSE of 2024-11-05: its URL is the stream's. */
export async function startSseEcho(
  t: TestContext,
  {
    refuse = 404,
    endpoint = (session) => `/messages?sessionId=${session}`,
    onStream,
    take,
  }: SseEchoOptions = {},
): Promise<SseEcho> {
  const sessions = new Map<string, ServerResponse>();
  const streams: ServerResponse[] = [];
  const echo = createEcho();
  let count = 0;
  const elsewhere: Serve = (request, response) => {
    if (request.method !== "GET") return void response.writeHead(refuse).end("<html>");
    if (onStream?.(request, response)) return;
    const session = String(++count);
    sessions.set(session, response);
    streams.push(response);
    response.on("close", () => {
      sessions.delete(session);
      streams.splice(streams.indexOf(response), 1);
    });
    openEvents(response).write(`event: endpoint\ndata: ${endpoint(count, server.origin)}\n\n`);
  };
  const answer: Answer = (posted) => {
    const { message, query, response } = posted;
    if (take?.(message, response)) return;
    const stream = sessions.get(query.get("sessionId") ?? "");
    if (stream === undefined) return void response.writeHead(400).end("No transport found for sessionId");
    response.writeHead(202).end("Accepted");
    for (const each of echo(message)) stream.write(event(each));
  };
  const server = await startHttpServer(t, answer, { path: "/messages", elsewhere });
  return Object.assign(server, { url: `${server.origin}/sse`, streams });
}

/** What a server of 2026-07-28 answers to `server/discover`. */
export const DISCOVERED = {
  result: {
    resultType: "complete",
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: { listChanged: true }, resources: { subscribe: true } },
    ttlMs: 0,
    cacheScope: "private",
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "raw", version: "1" } },
  },
};

/** What a request for the server's stream asks to be told of. */
export function wanted(posted: Posted | undefined): JsonObject {
  const params = posted?.message["params"];
  const notifications = isJsonObject(params) ? params["notifications"] : undefined;
  return isJsonObject(notifications) ? notifications : {};
}

/** Opens a stream and acknowledges it; what else is told on it is written by `tell`. */
export function acknowledge(posted: Posted): void {
  const _meta = { "io.modelcontextprotocol/subscriptionId": posted.message["id"] };
  const params = { notifications: wanted(posted), _meta };
  tell(openEvents(posted.response), { method: "notifications/subscriptions/acknowledged", params });
}
