// The answer to one POST: JSON if the reply comes soon and before any other message; otherwise an event stream.
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
import { type CallOutlet, responseJson, responsePieces } from "../session/outlet.ts";
import type { Session } from "../session/session.ts";
import { answerJson } from "./answer.ts";
import type { CoarseTimer } from "./coarse-timer.ts";
import { type Accepts, LARGE_REPLY_BYTES, LARGEST_EVENT_BYTES } from "./request.ts";
import type { ResumableStream, Resumption } from "./resumption.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

interface SlowAnswer {
  /** Starts the event stream, whose keep-alive comments keep the connection open. */
  becomeStream(): void;
}

/** Answers that are still missing; each turns into a stream when it is slow. */
export type SlowAnswers = CoarseTimer<SlowAnswer>;

interface Slowness {
  readonly slow: SlowAnswers;
  readonly resumption: Resumption;
  /** The request's id; null: the client cannot resume the answer. */
  readonly resumableId: RpcId | null;
}

interface PostOptions {
  readonly trace?: TraceHeaders | null;
  /** Lets a slow answer turn into a stream; null: nothing is sent before the reply. */
  readonly slowness?: Slowness | null;
  /** Notifications go to the client's listening stream, so that a large reply can still be JSON. */
  readonly staysJson?: boolean;
  /** The number of answers in a batch; absent: a single request. */
  readonly batch?: number;
}

/** Delay of an answer after a notification on the listening stream, so that the client reads the notification first. */
const AFTER_NOTICE_MS = 50;

export class PostExchange implements CallOutlet, SlowAnswer {
  readonly trace?: TraceHeaders;
  readonly #parts: StreamParts;
  readonly #response: ServerResponse;
  readonly #session: Session;
  readonly #accepts: Accepts;
  /** Answers of the batch so far; null: a single request. */
  readonly #batch: string[] | null;
  readonly #slowness: Slowness | null;
  readonly #staysJson: boolean;
  #missing: number;
  #stream: SseStream | ResumableStream | null = null;
  #isGone = false;
  #noticedAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    parts: StreamParts,
    response: ServerResponse,
    session: Session,
    accepts: Accepts,
    { trace = null, slowness = null, staysJson = false, batch }: PostOptions = {},
  ) {
    if (trace !== null) this.trace = trace;
    this.#parts = parts;
    this.#response = response;
    this.#session = session;
    this.#accepts = accepts;
    this.#batch = batch === undefined ? null : [];
    this.#missing = batch ?? 1;
    this.#slowness = slowness;
    this.#staysJson = staysJson;
    slowness?.slow.add(this);
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  send(json: string): boolean {
    if (this.#isLost || this.#missing === 0 || !this.#accepts.events) return false;
    return this.#streaming().send(json);
  }

  notify(json: string): boolean {
    if (!this.#staysJson || this.#stream !== null || !this.#session.notifyWhereItListens(json))
      return this.send(json);
    this.#noticedAtMs = this.#parts.clock.monotonicMs();
    return true;
  }

  becomeStream(): void {
    if (this.#isLost || !this.#accepts.events) return;
    const stream = this.#streaming();
    if ("prime" in stream) stream.prime();
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    const { clock } = this.#parts;
    if (this.#staysJson && clock.monotonicMs() - this.#noticedAtMs < AFTER_NOTICE_MS) {
      this.#noticedAtMs = Number.NEGATIVE_INFINITY;
      clock.setTimer(AFTER_NOTICE_MS, () => this.answer(id, reply));
      return;
    }
    this.#missing -= 1;
    if (this.#missing === 0) this.#slowness?.slow.delete(this);
    if (this.#isLost) return;
    if (reply !== null) this.#write(id, reply);
    if (this.#missing === 0) this.#finish();
  }

  /** The client has gone and cannot resume. */
  get #isLost(): boolean {
    return this.#isGone || (this.#response.destroyed && this.#stream === null);
  }

  #write(id: RpcId | null, reply: Reply): void {
    const retryAfter = this.#stream === null && this.#batch === null ? retryAfterOf(reply) : null;
    if (retryAfter !== null) {
      answerJson(this.#parts, this.#response, 429, responseJson(id, reply), { "Retry-After": retryAfter });
    } else if (this.#stream !== null || !this.#accepts.json) {
      this.#streaming().sendAnyway(responseJson(id, reply));
    } else if (this.#batch !== null) this.#batch.push(responseJson(id, reply));
    else answerJson(this.#parts, this.#response, 200, responsePieces(id, reply));
  }

  #finish(): void {
    if (this.#stream !== null) this.#stream.end();
    else if (this.#response.headersSent) return;
    else if (this.#batch !== null && this.#batch.length > 0) {
      answerJson(this.#parts, this.#response, 200, `[${this.#batch.join(",")}]`);
    } else {
      // Every request was cancelled, so there is no reply to send: the answer is an empty event stream.
      this.#response.writeHead(200, { "Content-Type": "text/event-stream", "Content-Length": 0 });
      this.#response.end();
    }
  }

  #streaming(): SseStream | ResumableStream {
    if (this.#stream !== null) return this.#stream;
    // Once all answers are sent, the client may still answer questions by other POSTs.
    const onSilent = (): void => {
      if (this.#missing > 0) this.#session.outletClosed(this);
    };
    const onGone = (): void => {
      this.#isGone = true;
      onSilent();
    };
    const { resumption, resumableId = null } = this.#slowness ?? {};
    if (resumption !== undefined && resumableId !== null) {
      this.#stream = resumption.open(this.#session, resumableId, this.#response, { onSilent, onGone });
      return this.#stream;
    }
    const stream = new SseStream(this.#parts, this.#response, onGone);
    this.#stream = stream;
    for (const json of this.#batch?.splice(0) ?? []) stream.sendAnyway(json);
    return stream;
  }
}

/** Whole seconds until a client may try again after a limit refused its request; null: any other reply. */
function retryAfterOf(reply: Reply): string | null {
  if (!isError(reply) || reply.error.code !== LIMIT_REACHED) return null;
  const { data } = reply.error;
  const ms = isJsonObject(data) ? data["retryAfterMs"] : null;
  return typeof ms === "number" && ms >= 0 ? String(Math.max(1, Math.ceil(ms / 1_000))) : null;
}

// For clients that refuse large events: holds the first notifications of a request of 2026-07-28 for a while. If the
// reply is too large for an event, it goes out as JSON without them.

const BUFFER_MS = 2_000;
const MOST_BUFFERED = 100;
const BUFFER_CHARACTERS = LARGEST_EVENT_BYTES;

/** The answer to a request of 2026-07-28. A client that closes the connection cancels the request. */
export class ModernExchange implements CallOutlet, SlowAnswer {
  readonly #parts: StreamParts;
  readonly #response: ServerResponse;
  readonly #accepts: Accepts;
  readonly #slow: SlowAnswers;
  #stream: SseStream | null = null;
  #isAnswered = false;
  #onGone: () => void = () => {};
  /** Buffered notifications; null: notifications are sent at once. */
  #buffer: string[] | null;
  #bufferedCharacters = 0;
  #bufferTimer: Timer | null = null;

  /** `mayBuffer`: notifications may be buffered, because the client refuses large events. */
  constructor(
    parts: StreamParts,
    response: ServerResponse,
    accepts: Accepts,
    slow: SlowAnswers,
    mayBuffer = false,
  ) {
    this.#buffer = mayBuffer && accepts.json ? [] : null;
    this.#parts = parts;
    this.#response = response;
    this.#accepts = accepts;
    this.#slow = slow;
    slow.add(this);
    response.on("close", () => {
      slow.delete(this);
      this.#bufferTimer?.[Symbol.dispose]();
      if (!this.#isAnswered) this.#onGone();
    });
  }

  /** `onGone` is called, once, if the client closes the connection before the answer. */
  whenGone(onGone: () => void): void {
    this.#onGone = onGone;
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  send(json: string): boolean {
    if (!this.#mayStream) return false;
    this.#bufferedCharacters += json.length;
    const isFull = this.#bufferedCharacters > BUFFER_CHARACTERS || this.#buffer?.length === MOST_BUFFERED;
    if (this.#buffer === null || isFull) return this.#streaming().send(json);
    this.#buffer.push(json);
    this.#bufferTimer ??= this.#parts.clock.setTimer(BUFFER_MS, () => this.#streaming());
    return true;
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    this.#isAnswered = true;
    this.#slow.delete(this);
    if (this.#response.destroyed) return;
    this.#bufferTimer?.[Symbol.dispose]();
    const json = responseJson(id, reply ?? { result: {} });
    const status = reply === null ? 200 : statusOf(reply);
    const isBuffered =
      this.#buffer !== null && this.#buffer.length > 0 && Buffer.byteLength(json) < LARGE_REPLY_BYTES;
    if (this.#stream === null && !isBuffered && (this.#accepts.json || status !== 200)) {
      const retryAfter = reply === null ? null : retryAfterOf(reply);
      const headers = retryAfter === null ? {} : { "Retry-After": retryAfter };
      answerJson(this.#parts, this.#response, status, json, headers);
      return;
    }
    const stream = this.#streaming();
    stream.sendAnyway(json);
    stream.end();
  }

  becomeStream(): void {
    if (this.#mayStream) this.#streaming();
  }

  get #mayStream(): boolean {
    return !this.#isAnswered && !this.#response.destroyed && this.#accepts.events;
  }

  #streaming(): SseStream {
    if (this.#stream !== null) return this.#stream;
    const stream = new SseStream(this.#parts, this.#response, () => {});
    this.#stream = stream;
    const buffered = this.#buffer ?? [];
    this.#buffer = null;
    for (const json of buffered) stream.send(json);
    return stream;
  }
}

/** The HTTP status of a reply that goes out as JSON. */
function statusOf(reply: Reply): number {
  if (!isError(reply)) return 200;
  const { code } = reply.error;
  if (code === METHOD_NOT_FOUND) return 404;
  if (code === MISSING_CAPABILITY) return 400;
  return retryAfterOf(reply) === null ? 200 : 429;
}
