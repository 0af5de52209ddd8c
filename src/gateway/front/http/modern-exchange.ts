// The answer to one POST of protocol 2026-07-28: JSON where the answer comes first, an event stream from the first
// notification on, or when the answer takes so long that the connection has to be kept alive. The client closing the
// connection takes the request back.
import type { ServerResponse } from "node:http";
import { isError, METHOD_NOT_FOUND, type Reply, type RpcId } from "../../json-rpc.ts";
import { MISSING_CAPABILITY } from "../../protocol.ts";
import type { KeptStream } from "../session/keep-alive.ts";
import { type CallOutlet, responseJson } from "../session/outlet.ts";
import { answerJson } from "./answer.ts";
import { type Accepts, retryAfterOf } from "./post-exchange.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** Proxies close what is silent for a minute, and that would cancel the request. The answer's status is lost then. */
const SILENT_MS = 15_000;

export class ModernExchange implements CallOutlet, KeptStream {
  readonly #parts: StreamParts;
  readonly #response: ServerResponse;
  readonly #accepts: Accepts;
  readonly #sinceMs: number;
  #stream: SseStream | null = null;
  #isAnswered = false;
  #isGone = false;
  #onGone: (() => void) | null = null;

  constructor(parts: StreamParts, response: ServerResponse, accepts: Accepts) {
    this.#parts = parts;
    this.#response = response;
    this.#accepts = accepts;
    this.#sinceMs = parts.clock.monotonicMs();
    parts.keepAlive.add(this);
    // It comes once.
    response.on("close", () => {
      parts.keepAlive.delete(this);
      this.#isGone = true;
      this.#tellGone();
    });
  }

  /** `gone` is called, once, when the client closes the connection before it has its answer. */
  whenGone(gone: () => void): void {
    this.#onGone = gone;
    if (this.#isGone) this.#tellGone();
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  send(json: string): boolean {
    if (this.#isAnswered || this.#isGone || !this.#accepts.events) return false;
    return this.#streaming().send(json);
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#parts.keepAlive.delete(this);
    if (this.#isGone || this.#response.destroyed) return;
    const json = responseJson(id, reply ?? { result: {} });
    const status = reply === null ? 200 : statusOf(reply);
    if (this.#stream === null && (this.#accepts.json || status !== 200)) {
      const retryAfter = status === 429 && reply !== null ? retryAfterOf(reply) : null;
      const headers = retryAfter === null ? {} : { "Retry-After": retryAfter };
      answerJson(this.#parts, this.#response, status, json, headers);
      return;
    }
    const stream = this.#streaming();
    stream.sendAnyway(json);
    stream.end();
  }

  /** The stream looks after itself. */
  stalled(): boolean {
    return false;
  }

  keepAlive(): void {
    if (this.#isAnswered || this.#isGone || this.#stream !== null || !this.#accepts.events) return;
    if (this.#parts.clock.monotonicMs() - this.#sinceMs >= SILENT_MS) this.#streaming();
  }

  destroy(): void {}

  #streaming(): SseStream {
    this.#stream ??= new SseStream(this.#parts, this.#response, () => {});
    return this.#stream;
  }

  #tellGone(): void {
    const gone = this.#onGone;
    this.#onGone = null;
    if (!this.#isAnswered) gone?.();
  }
}

/** Of an answer that comes before any notification. */
function statusOf(reply: Reply): number {
  if (!isError(reply)) return 200;
  const { code } = reply.error;
  if (code === METHOD_NOT_FOUND) return 404;
  if (code === MISSING_CAPABILITY) return 400;
  return retryAfterOf(reply) === null ? 200 : 429;
}
