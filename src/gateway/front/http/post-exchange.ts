// The answer to one POST with requests in it: JSON when the answers come first and soon, an event stream from the first
// other message on, or when they take their time.
import type { ServerResponse } from "node:http";
import { FleetingSet } from "../../../runtime/fleeting.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
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
import { type Accepts, LARGEST_EVENT_BYTES } from "./request.ts";
import type { ResumableStream, Resumption } from "./resumption.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** How one that takes its time is answered. */
export interface Slowness {
  readonly slow: SlowAnswers;
  readonly resumption: Resumption;
  /** Of the request; null: what it gets cannot be taken up again. */
  readonly resumableId: RpcId | null;
}

interface PostOptions {
  readonly trace?: TraceHeaders | null;
  /** Null: it is answered soon. */
  readonly slowness?: Slowness | null;
  /** Notifications go where the client listens, if it does, so that the answer may be as large as it is. */
  readonly staysJson?: boolean;
}

/** How long an answer waits for what was told just before it on another connection, so that clients read that first. */
const AFTER_NOTICE_MS = 50;

export class PostExchange implements CallOutlet, SlowAnswer {
  readonly trace?: TraceHeaders;
  readonly #parts: StreamParts;
  readonly #response: ServerResponse;
  readonly #session: Session;
  readonly #accepts: Accepts;
  readonly #batch: string[] | null;
  readonly #slowness: Slowness | null;
  readonly #staysJson: boolean;
  #waiting: number;
  #stream: SseStream | ResumableStream | null = null;
  #gone = false;
  #noticedAtMs: number | null = null;

  /** `batch`: as many as it gets answers; null: one request, not in a batch. */
  constructor(
    parts: StreamParts,
    response: ServerResponse,
    session: Session,
    accepts: Accepts,
    batch: number | null,
    { trace = null, slowness = null, staysJson = false }: PostOptions = {},
  ) {
    if (trace !== null) this.trace = trace;
    this.#parts = parts;
    this.#response = response;
    this.#session = session;
    this.#accepts = accepts;
    this.#batch = batch === null ? null : [];
    this.#waiting = batch ?? 1;
    this.#slowness = slowness;
    this.#staysJson = staysJson;
    slowness?.slow.add(this);
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  send(json: string): boolean {
    if (this.#isLost || this.#waiting === 0 || !this.#accepts.events) return false;
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
    if (this.#noticedAtMs !== null && clock.monotonicMs() - this.#noticedAtMs < AFTER_NOTICE_MS) {
      this.#noticedAtMs = null;
      clock.setTimer(AFTER_NOTICE_MS, () => this.answer(id, reply));
      return;
    }
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#slowness?.slow.delete(this);
    // Whoever went away gets nothing; the call went on to its end.
    if (this.#isLost) return;
    if (reply !== null) {
      const retryAfter = this.#stream === null && this.#batch === null ? retryAfterOf(reply) : null;
      if (retryAfter !== null) {
        answerJson(this.#parts, this.#response, 429, responseJson(id, reply), { "Retry-After": retryAfter });
      } else if (this.#stream !== null || !this.#accepts.json) {
        this.#streaming().sendAnyway(responseJson(id, reply));
      } else if (this.#batch !== null) this.#batch.push(responseJson(id, reply));
      else answerJson(this.#parts, this.#response, 200, responsePieces(id, reply));
    }
    if (this.#waiting === 0) this.#finish();
  }

  /** The client has gone, and cannot come back. */
  get #isLost(): boolean {
    return this.#gone || (this.#response.destroyed && this.#stream === null);
  }

  #finish(): void {
    if (this.#stream !== null) this.#stream.end();
    else if (this.#response.headersSent) return;
    else if (this.#batch !== null && this.#batch.length > 0) {
      answerJson(this.#parts, this.#response, 200, `[${this.#batch.join(",")}]`);
    } else {
      // Everything was cancelled: a stream that ends without a message says so.
      this.#response.writeHead(200, { "Content-Type": "text/event-stream", "Content-Length": 0 });
      this.#response.end();
    }
  }

  #streaming(): SseStream | ResumableStream {
    if (this.#stream !== null) return this.#stream;
    // The client may still answer the server's questions, by other POSTs, after it has got the last answer.
    const onSilent = (): void => {
      if (this.#waiting > 0) this.#session.outletClosed(this);
    };
    const onGone = (): void => {
      this.#gone = true;
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

/** Whole seconds, where a limit refused and says when to come back; null: it is another answer. */
export function retryAfterOf(reply: Reply): string | null {
  if (!isError(reply) || reply.error.code !== LIMIT_REACHED) return null;
  const { data } = reply.error;
  const ms = isJsonObject(data) ? data["retryAfterMs"] : null;
  return typeof ms === "number" && ms >= 0 ? String(Math.max(1, Math.ceil(ms / 1_000))) : null;
}

// Answers that take their time become streams: what is written now and then keeps their connection alive, and a client
// can take them up again when it breaks.

const LOOK_MS = 5_000;

interface SlowAnswer {
  /** The answer is slow. */
  becomeStream(): void;
}

export class SlowAnswers implements Disposable {
  readonly #clock: Clock;
  readonly #lookMs: number;
  #young = new FleetingSet<SlowAnswer>();
  #old = new FleetingSet<SlowAnswer>();
  #timer: Timer | null = null;

  /** An answer is slow after `lookMs` to twice as long. */
  constructor(clock: Clock, lookMs = LOOK_MS) {
    this.#clock = clock;
    this.#lookMs = lookMs;
  }

  add(answer: SlowAnswer): void {
    this.#young.add(answer);
    this.#timer ??= this.#clock.setTimer(this.#lookMs, this.#look);
  }

  delete(answer: SlowAnswer): void {
    if (!this.#young.delete(answer)) this.#old.delete(answer);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#young.clear();
    this.#old.clear();
  }

  readonly #look = (): void => {
    const slow = this.#old;
    this.#old = this.#young;
    this.#young = new FleetingSet();
    // Not ended with the last call: there is a next one soon.
    this.#timer = this.#old.size > 0 ? this.#clock.setTimer(this.#lookMs, this.#look) : null;
    for (const answer of slow) answer.becomeStream();
  };
}

// The answer to one POST of protocol 2026-07-28: JSON where the answer comes first, an event stream from the first
// notification on, or when the answer takes so long that the connection has to be kept alive. The client closing the
// connection takes the request back. Where a client refuses large events, the first notifications wait for a moment: an
// answer that is too large for an event comes as JSON then, and they are lost.

/** How long notifications wait for the answer, how many, and how much of them. */
const HELD_MS = 2_000;
const HELD_AT_MOST = 100;
const HELD_CHARACTERS = LARGEST_EVENT_BYTES;
/** Room for what is around it in the event. */
const LARGE_BYTES = LARGEST_EVENT_BYTES - 1_024;

export class ModernExchange implements CallOutlet, SlowAnswer {
  readonly #parts: StreamParts;
  readonly #response: ServerResponse;
  readonly #accepts: Accepts;
  readonly #slow: SlowAnswers;
  #stream: SseStream | null = null;
  #isAnswered = false;
  #isGone = false;
  #onGone: (() => void) | null = null;
  /** Notifications that wait; null: none do any more. */
  #held: string[] | null;
  #heldCharacters = 0;
  #holding: Timer | null = null;

  /** `holds`: the client refuses large events. */
  constructor(
    parts: StreamParts,
    response: ServerResponse,
    accepts: Accepts,
    slow: SlowAnswers,
    holds = false,
  ) {
    this.#held = holds && accepts.json ? [] : null;
    this.#parts = parts;
    this.#response = response;
    this.#accepts = accepts;
    this.#slow = slow;
    slow.add(this);
    // It comes once.
    response.on("close", () => {
      slow.delete(this);
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
    this.#slow.delete(this);
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

  becomeStream(): void {
    if (!this.#isAnswered && !this.#isGone && this.#accepts.events) this.#streaming();
  }

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
