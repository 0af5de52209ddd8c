// The answer to one POST with requests in it: JSON when the answers come first and soon, an event stream from the first
// other message on, or when they take their time.
import type { ServerResponse } from "node:http";
import { isError, isJsonObject, LIMIT_REACHED, type Reply, type RpcId } from "../../json-rpc.ts";
import type { TraceHeaders } from "../../middleware/middleware.ts";
import { type CallOutlet, responseJson } from "../session/outlet.ts";
import type { Session } from "../session/session.ts";
import { answerJson } from "./answer.ts";
import type { ResumableStream, Resumption } from "./resumption.ts";
import type { SlowAnswer, SlowAnswers } from "./slow-answers.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** What the client reads. */
export interface Accepts {
  readonly json: boolean;
  readonly events: boolean;
}

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
      const json = responseJson(id, reply);
      const retryAfter = this.#stream === null && this.#batch === null ? retryAfterOf(reply) : null;
      if (retryAfter !== null) {
        answerJson(this.#parts, this.#response, 429, json, { "Retry-After": retryAfter });
      } else if (this.#stream !== null || !this.#accepts.json) this.#streaming().sendAnyway(json);
      else if (this.#batch !== null) this.#batch.push(json);
      else answerJson(this.#parts, this.#response, 200, json);
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
