// Writes HTTP responses: complete replies, and refusals of requests that may still be arriving.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { answerEarly, awaitsMuch } from "../../../runtime/http/answer-early.ts";
import { UNCOUNTED_BYTES } from "../../answers-in-flight.ts";
import { errorReply, type RpcId } from "../../json-rpc.ts";
import { responseJson } from "../session/client-stream.ts";
import { type PacedStream, PacedWriter } from "../session/paced-writer.ts";
import { type StreamParts, unreadOf } from "./sse-stream.ts";

/** The JSON-RPC code that the official SDKs send with an HTTP error status. */
const HTTP_REFUSED = -32000;
/** A longer text is written in pieces, so that a reader that stalls is noticed, and unread bytes are counted. */
const LARGE_CHARACTERS = UNCOUNTED_BYTES;

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
  const head = { ...headers, "Content-Length": length };
  if (isText && json.length <= LARGE_CHARACTERS) {
    response.writeHead(status, { ...head, "Content-Type": "application/json" });
    response.end(json);
  } else new JsonBody(parts, response, status, head).end(json);
}

/** A body of JSON that may begin before its text is there: blanks keep the connection open until then. */
export class JsonBody implements PacedStream {
  readonly #writer: PacedWriter;
  readonly #keepAlive: StreamParts["keepAlive"];
  #isWaiting = true;

  constructor(
    { clock, keepAlive }: StreamParts,
    response: ServerResponse,
    status = 200,
    headers: OutgoingHttpHeaders = {},
  ) {
    this.#writer = new PacedWriter(response, clock, unreadOf.get(response));
    this.#keepAlive = keepAlive;
    keepAlive.add(this);
    response.once("close", () => this.destroy());
    response.writeHead(status, { ...headers, "Content-Type": "application/json" });
    response.flushHeaders();
  }

  end(json: string | readonly Buffer[]): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    for (const chunk of typeof json === "string" ? [json] : json) this.#writer.write(chunk);
    this.#writer.end();
  }

  stalled(limitMs: number): boolean {
    return this.#writer.stalled(limitMs);
  }

  keepAlive(): void {
    if (this.#isWaiting && this.#writer.backlog === 0) this.#writer.write(" ");
  }

  destroy(): void {
    this.#keepAlive.delete(this);
    this.#writer.destroy();
  }
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
