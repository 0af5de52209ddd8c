// Writes HTTP responses: complete replies, and refusals of requests that may still be arriving.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { answerEarly, awaitsMuch } from "../../../runtime/http/answer-early.ts";
import { errorReply, type RpcId } from "../../json-rpc.ts";
import { responseJson } from "../session/client-stream.ts";
import { PacedWriter } from "../session/paced-writer.ts";
import type { StreamParts } from "./sse-stream.ts";

/** The JSON-RPC code that the official SDKs send with an HTTP error status. */
const HTTP_REFUSED = -32000;
/** A longer text is written in pieces, so that a reader that stalls is noticed. */
const LARGE_CHARACTERS = 256 * 1024;

export function answerJson(
  parts: StreamParts,
  response: ServerResponse,
  status: number,
  json: string | readonly Buffer[],
  headers?: OutgoingHttpHeaders,
): void {
  if (response.destroyed) return;
  const isText = typeof json === "string";
  const length = isText ? Buffer.byteLength(json) : json.reduce((sum, piece) => sum + piece.length, 0);
  response.writeHead(status, { ...headers, "Content-Type": "application/json", "Content-Length": length });
  if (isText && json.length <= LARGE_CHARACTERS) {
    response.end(json);
    return;
  }
  const { clock, keepAlive } = parts;
  const writer = new PacedWriter(response, clock);
  const stream = {
    stalled: (limitMs: number) => writer.stalled(limitMs),
    keepAlive() {},
    destroy() {
      keepAlive.delete(stream);
      writer.destroy();
    },
  };
  keepAlive.add(stream);
  response.once("close", () => stream.destroy());
  for (const chunk of isText ? [json] : json) writer.write(chunk);
  writer.end();
}

export function answerMetrics(response: ServerResponse, text: string): void {
  if (response.destroyed) return;
  response.writeHead(200, {
    "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
  });
  response.end(text);
}

export function answerEmpty(response: ServerResponse, status: number): void {
  if (response.destroyed) return;
  response.writeHead(status, status === 204 ? {} : { "Content-Length": 0 });
  response.end();
}

export interface Refusal {
  readonly status: number;
  readonly message: string;
  /** The JSON-RPC code; default `HTTP_REFUSED`. */
  readonly code?: number;
  readonly data?: unknown;
  readonly id?: RpcId | null;
  readonly headers?: OutgoingHttpHeaders;
}

/**
 * Answers with a JSON-RPC error. If much of the request is still to come, the rest is read and discarded for a while, and
 * then the connection is closed.
 */
export function refuse(
  parts: StreamParts,
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Refusal,
): void {
  const { status, message, code = HTTP_REFUSED, data, id = null, headers } = refusal;
  const json = responseJson(id, errorReply(code, message, data));
  if (!awaitsMuch(request)) {
    answerJson(parts, response, status, json, headers);
    return;
  }
  const typed = { ...headers, "Content-Type": "application/json" };
  answerEarly(parts.clock, request, response, { status, headers: typed, text: json });
}
