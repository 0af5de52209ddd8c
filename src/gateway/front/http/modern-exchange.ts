// The answer to one POST of protocol 2026-07-28: JSON where the answer comes first, an event stream from the first
// notification on, or when the answer takes so long that the connection has to be kept alive. The client closing the
// connection takes the request back. Where a client refuses large events, the first notifications wait for a moment: an
// answer that is too large for an event comes as JSON then, and they are lost.
import type { ServerResponse } from "node:http";
import type { Timer } from "../../../runtime/time/clock.ts";
import { isError, METHOD_NOT_FOUND, type Reply, type RpcId } from "../../json-rpc.ts";
import { MISSING_CAPABILITY } from "../../protocol.ts";
import type { KeptStream } from "../session/keep-alive.ts";
import { type CallOutlet, responseJson } from "../session/outlet.ts";
import { answerJson } from "./answer.ts";
import { type Accepts, retryAfterOf } from "./post-exchange.ts";
import { LARGEST_EVENT_BYTES } from "./request.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** Proxies close what is silent for a minute, and that would cancel the request. The answer's status is lost then. */
const SILENT_MS = 15_000;
/** How long notifications wait for the answer, how many, and how much of them. */
const HELD_MS = 2_000;
const HELD_AT_MOST = 100;
const HELD_CHARACTERS = LARGEST_EVENT_BYTES;
/** Room for what is around it in the event. */
const LARGE_BYTES = LARGEST_EVENT_BYTES - 1_024;

export class ModernExchange implements CallOutlet, KeptStream {
  readonly #parts: StreamParts;
  readonly #response: ServerResponse;
  readonly #accepts: Accepts;
  readonly #sinceMs: number;
  #stream: SseStream | null = null;
  #isAnswered = false;
  #isGone = false;
  #onGone: (() => void) | null = null;
  /** Notifications that wait; null: none do any more. */
  #held: string[] | null;
  #heldCharacters = 0;
  #holding: Timer | null = null;

  /** `holds`: the client refuses large events. */
  constructor(parts: StreamParts, response: ServerResponse, accepts: Accepts, holds = false) {
    this.#held = holds && accepts.json ? [] : null;
    this.#parts = parts;
    this.#response = response;
    this.#accepts = accepts;
    this.#sinceMs = parts.clock.monotonicMs();
    parts.keepAlive.add(this);
    // It comes once.
    response.on("close", () => {
      parts.keepAlive.delete(this);
      this.#holding?.[Symbol.dispose]();
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
    this.#heldCharacters += json.length;
    const isFull = this.#heldCharacters > HELD_CHARACTERS || this.#held?.length === HELD_AT_MOST;
    if (this.#held === null || isFull) return this.#streaming().send(json);
    this.#held.push(json);
    this.#holding ??= this.#parts.clock.setTimer(HELD_MS, () => this.#streaming());
    return true;
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#parts.keepAlive.delete(this);
    if (this.#isGone || this.#response.destroyed) return;
    this.#holding?.[Symbol.dispose]();
    const json = responseJson(id, reply ?? { result: {} });
    const status = reply === null ? 200 : statusOf(reply);
    const isHeld = this.#held !== null && this.#held.length > 0 && Buffer.byteLength(json) < LARGE_BYTES;
    if (this.#stream === null && !isHeld && (this.#accepts.json || status !== 200)) {
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
    if (this.#stream !== null) return this.#stream;
    const stream = new SseStream(this.#parts, this.#response, () => {});
    this.#stream = stream;
    const held = this.#held ?? [];
    this.#held = null;
    for (const json of held) stream.send(json);
    return stream;
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
