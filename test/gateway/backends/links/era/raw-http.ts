// An HTTP server whose every answer the test gives, and that keeps what it was sent.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { isJsonObject, type JsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { onLoopback } from "../../../../support/on-loopback.ts";

export interface Posted {
  readonly headers: IncomingHttpHeaders;
  readonly message: JsonObject;
  readonly method: string;
  /** The client has broken it off. */
  isGone: boolean;
  readonly response: ServerResponse;
}

export interface RawHttp {
  readonly url: string;
  readonly posted: readonly Posted[];
  of(method: string): readonly Posted[];
  answer: (posted: Posted) => void;
}

/** `openStream`: what asks for the server's own stream gets; without it there is none. */
export async function startRawHttp(
  t: TestContext,
  answer: RawHttp["answer"],
  openStream: (response: ServerResponse) => void = (response) => response.writeHead(405).end(),
): Promise<RawHttp> {
  const posted: Posted[] = [];
  const server = createServer(async (request, response) => {
    const { method, headers } = request;
    if (method === "GET") return void openStream(response);
    if (method !== "POST") return void response.writeHead(405).end();
    const message = JSON.parse(await text(request));
    const one: Posted = { headers, message, method: message.method, isGone: false, response };
    response.once("close", () => {
      one.isGone = !response.writableEnded;
    });
    posted.push(one);
    raw.answer(one);
  });
  const port = await onLoopback(t, server);
  const raw: RawHttp = {
    url: `http://127.0.0.1:${port}/mcp`,
    posted,
    of: (method) => posted.filter((one) => one.method === method),
    answer,
  };
  return raw;
}

export function json({ response, message }: Posted, reply: JsonObject, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ jsonrpc: "2.0", id: message["id"], ...reply }));
}

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

/** Opens a stream and acknowledges it; what else is told on it is written by `tell`. */
export function acknowledge({ response, message }: Posted): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const { params, id } = message as { params: { notifications: JsonObject }; id: unknown };
  const _meta = { "io.modelcontextprotocol/subscriptionId": id };
  tell(response, {
    method: "notifications/subscriptions/acknowledged",
    params: { notifications: params.notifications, _meta },
  });
}

export function tell(response: ServerResponse, message: JsonObject): void {
  response.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: "2.0", ...message })}\n\n`);
}

/** What a request for the server's stream asks to be told of. */
export function wanted(posted: Posted | undefined): unknown {
  const params = posted?.message["params"];
  return isJsonObject(params) ? params["notifications"] : undefined;
}
