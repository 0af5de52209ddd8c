// The HTTP response to one POST, in every protocol version: JSON if the reply comes soon and before any other message;
// otherwise an event stream.
import type { ServerResponse } from "node:http";
import type { Timer } from "../../../runtime/time/clock.ts";
import {
  isError,
  isJsonObject,
  LIMIT_REACHED,
  METHOD_NOT_FOUND,
  type Reply,
  type RpcId,
} from "../../json-rpc.ts";
import type { TraceHeaders } from "../../middleware/middleware.ts";
import { MISSING_CAPABILITY } from "../../protocol.ts";
import { type CallStream, responsePieces } from "../session/client-stream.ts";
import type { Session } from "../session/session.ts";
import { answerJson, JsonBody } from "./answer.ts";
import type { CoarseTimer } from "./coarse-timer.ts";
import { type Accepts, LARGE_REPLY_BYTES, LARGEST_EVENT_BYTES } from "./request.ts";
import type { ResumableStream, Resumption } from "./resumption.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** Responses that have not begun; each begins when it is slow. */
export type SlowAnswers = CoarseTimer<HttpExchange>;

interface ExchangeOptions {
  /** null: the request has none, because it begins one or is of 2026-07-28. */
  readonly session: Session | null;
  readonly trace?: TraceHeaders | null;
  /** Lets a slow answer begin, which keeps the connection open; null: it does not. */
  readonly slow?: SlowAnswers | null;
  /** Lets the client resume a broken stream. `id` is the request's. */
  readonly resumable?: { readonly resumption: Resumption; readonly id: RpcId } | null;
  /**
   * The client refuses large events, so the response must be able to become JSON: notifications go to the session's
   * listening stream. Without a session they are buffered for a while, and dropped if the reply is too large for an event.
   */
  readonly staysJson?: boolean;
  /** The number of answers in a batch; absent: a single request. */
  readonly batch?: number;
}

/** Delay of an answer after a notification on the listening stream, so that the client reads the notification first. */
const AFTER_NOTICE_MS = 50;
const BUFFERED_MS = 2_000;
const MOST_BUFFERED = 100;
const BUFFERED_CHARACTERS = LARGEST_EVENT_BYTES;

export class HttpExchange implements CallStream {
  readonly trace?: TraceHeaders;
  readonly #parts: StreamParts;
  readonly #response: ServerResponse;
  readonly #accepts: Accepts;
  readonly #options: ExchangeOptions;
  /** Answers of a batch so far, or buffered notifications. */
  readonly #buffered: string[] = [];
  #bufferedCharacters = 0;
  #bufferedTimer: Timer | null = null;
  #missing: number;
  #stream: SseStream | ResumableStream | null = null;
  /** The JSON has begun before the reply is there. */
  #body: JsonBody | null = null;
  #isGone = false;
  #noticedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: StreamParts, response: ServerResponse, accepts: Accepts, options: ExchangeOptions) {
    const { trace = null, batch = 1, slow } = options;
    if (trace !== null) this.trace = trace;
    this.#parts = parts;
    this.#response = response;
    this.#accepts = accepts;
    this.#options = options;
    this.#missing = batch;
    slow?.add(this);
  }

  /** `onGone` is called, once, if the client closes the connection before the answer. */
  whenGone(onGone: () => void): void {
    this.#response.on("close", () => {
      this.#stopTimers();
      if (this.#missing > 0) onGone();
    });
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  send(json: string): boolean {
    if (this.#isLost || this.#missing === 0 || !this.#accepts.events || this.#body !== null) return false;
    return this.#buffer(json) || this.#streaming().send(json);
  }

  notify(json: string): boolean {
    const { session, staysJson = false } = this.#options;
    if (!staysJson || this.#stream !== null || session?.notifyWhereItListens(json) !== true)
      return this.send(json);
    this.#noticedAtMs = this.#parts.clock.monotonicMs();
    return true;
  }

  /** Called when the answer is slow: sends a head, so that proxies keep the connection open. */
  begin(): void {
    const { session, staysJson = false } = this.#options;
    if (this.#isLost || !this.#accepts.events || this.#response.headersSent) return;
    if (session !== null && staysJson) {
      this.#body = new JsonBody(this.#parts, this.#response);
      return;
    }
    const stream = this.#streaming();
    if ("prime" in stream) stream.prime();
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    const { clock } = this.#parts;
    if (clock.monotonicMs() - this.#noticedAtMs < AFTER_NOTICE_MS) {
      this.#noticedAtMs = Number.NEGATIVE_INFINITY;
      clock.setTimer(AFTER_NOTICE_MS, () => this.answer(id, reply));
      return;
    }
    this.#missing -= 1;
    if (this.#missing === 0) this.#stopTimers();
    if (this.#isLost) return;
    if (reply !== null) this.#write(id, reply);
    if (this.#missing === 0) this.#finish();
  }

  /** The client has gone and cannot resume. */
  get #isLost(): boolean {
    return this.#isGone || (this.#response.destroyed && this.#stream === null);
  }

  get #isBatch(): boolean {
    return this.#options.batch !== undefined;
  }

  /** Returns false if the notification is to be sent now. */
  #buffer(json: string): boolean {
    const { session, staysJson = false } = this.#options;
    if (session !== null || !staysJson || !this.#accepts.json || this.#stream !== null) return false;
    this.#bufferedCharacters += json.length;
    if (this.#bufferedCharacters > BUFFERED_CHARACTERS || this.#buffered.length === MOST_BUFFERED)
      return false;
    this.#buffered.push(json);
    this.#bufferedTimer ??= this.#parts.clock.setTimer(BUFFERED_MS, () => this.#streaming());
    return true;
  }

  #stopTimers(): void {
    this.#options.slow?.delete(this);
    this.#bufferedTimer?.[Symbol.dispose]();
  }

  #write(id: RpcId | null, reply: Reply): void {
    const { session } = this.#options;
    const json = responsePieces(id, reply);
    const text = (): string => (typeof json === "string" ? json : json.join(""));
    const retryAfter = retryAfterOf(reply);
    const status =
      this.#isBatch || (session !== null && retryAfter === null) ? 200 : statusOf(reply, retryAfter);
    if (this.#body !== null) {
      this.#body.end(json);
      return;
    }
    const isBehind = !this.#isBatch && this.#buffered.length > 0 && lengthOf(json) < LARGE_REPLY_BYTES;
    if (this.#stream !== null || isBehind || (!this.#accepts.json && status === 200)) {
      this.#streaming().sendAnyway(text());
    } else if (this.#isBatch) this.#buffered.push(text());
    else {
      const headers = retryAfter === null ? {} : { "Retry-After": retryAfter };
      answerJson(this.#parts, this.#response, status, json, headers);
    }
  }

  #finish(): void {
    if (this.#stream !== null) this.#stream.end();
    else if (this.#body !== null) this.#body.end("");
    else if (this.#response.headersSent) return;
    else if (this.#isBatch && this.#buffered.length > 0) {
      answerJson(this.#parts, this.#response, 200, `[${this.#buffered.join(",")}]`);
    } else {
      // Every request was cancelled, so there is no reply to send: the answer is an empty event stream.
      this.#response.writeHead(200, { "Content-Type": "text/event-stream", "Content-Length": 0 });
      this.#response.end();
    }
  }

  #streaming(): SseStream | ResumableStream {
    if (this.#stream !== null) return this.#stream;
    const { session, resumable = null } = this.#options;
    // Once the reply is sent, the client may still answer server requests, in other POSTs.
    const onSilent = (): void => {
      if (this.#missing > 0) session?.streamClosed(this);
    };
    const onGone = (): void => {
      this.#isGone = true;
      onSilent();
    };
    if (session !== null && resumable !== null) {
      const { resumption, id } = resumable;
      this.#stream = resumption.open(session, id, this.#response, { onSilent, onGone });
      return this.#stream;
    }
    const stream = new SseStream(this.#parts, this.#response, onGone);
    this.#stream = stream;
    for (const json of this.#buffered.splice(0)) {
      if (this.#isBatch) stream.sendAnyway(json);
      else stream.send(json);
    }
    return stream;
  }
}

function lengthOf(json: string | readonly Buffer[]): number {
  return typeof json === "string"
    ? Buffer.byteLength(json)
    : json.reduce((sum, { length }) => sum + length, 0);
}

/** Whole seconds until a client may try again after a limit refused its request; null: any other reply. */
function retryAfterOf(reply: Reply): string | null {
  if (!isError(reply) || reply.error.code !== LIMIT_REACHED) return null;
  const { data } = reply.error;
  const ms = isJsonObject(data) ? data["retryAfterMs"] : null;
  return typeof ms === "number" && ms >= 0 ? String(Math.max(1, Math.ceil(ms / 1_000))) : null;
}

/** The HTTP status of a reply that goes out as JSON. Legacy versions know only that of a limit. */
function statusOf(reply: Reply, retryAfter: string | null): number {
  if (retryAfter !== null) return 429;
  const code = isError(reply) ? reply.error.code : null;
  if (code === METHOD_NOT_FOUND) return 404;
  return code === MISSING_CAPABILITY ? 400 : 200;
}
