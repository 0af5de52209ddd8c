// The answer to one POST with requests in it: JSON when the answers come first, an event stream from the first other
// message on.
import type { ServerResponse } from "node:http";
import { isError, isJsonObject, LIMIT_REACHED, type Reply, type RpcId } from "../../json-rpc.ts";
import type { TraceHeaders } from "../../middleware/middleware.ts";
import { type CallOutlet, responseJson } from "../session/outlet.ts";
import type { Session } from "../session/session.ts";
import { answerJson } from "./answer.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** What the client reads. */
export interface Accepts {
  readonly json: boolean;
  readonly events: boolean;
}

export class PostExchange implements CallOutlet {
  readonly trace?: TraceHeaders;
  readonly #parts: StreamParts;
  readonly #response: ServerResponse;
  readonly #session: Session;
  readonly #accepts: Accepts;
  readonly #batch: string[] | null;
  #waiting: number;
  #stream: SseStream | null = null;
  #gone = false;

  /** `batch`: as many as it gets answers; null: one request, not in a batch. */
  constructor(
    parts: StreamParts,
    response: ServerResponse,
    session: Session,
    accepts: Accepts,
    batch: number | null,
    trace: TraceHeaders | null = null,
  ) {
    if (trace !== null) this.trace = trace;
    this.#parts = parts;
    this.#response = response;
    this.#session = session;
    this.#accepts = accepts;
    this.#batch = batch === null ? null : [];
    this.#waiting = batch ?? 1;
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  send(json: string): boolean {
    if (this.#gone || this.#waiting === 0 || this.#response.destroyed || !this.#accepts.events) return false;
    return this.#streaming().send(json);
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    this.#waiting -= 1;
    // Whoever went away gets nothing; the call went on to its end.
    if (this.#gone || this.#response.destroyed) return;
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

  #streaming(): SseStream {
    if (this.#stream !== null) return this.#stream;
    const onClosed = (): void => {
      this.#gone = true;
      // The client may still answer the server's questions, by other POSTs, after it has got the last answer.
      if (this.#waiting > 0) this.#session.outletClosed(this);
    };
    this.#stream = new SseStream(this.#parts, this.#response, onClosed);
    for (const json of this.#batch?.splice(0) ?? []) this.#stream.sendAnyway(json);
    return this.#stream;
  }
}

/** Whole seconds, where a limit refused and says when to come back; null: it is another answer. */
export function retryAfterOf(reply: Reply): string | null {
  if (!isError(reply) || reply.error.code !== LIMIT_REACHED) return null;
  const { data } = reply.error;
  const ms = isJsonObject(data) ? data["retryAfterMs"] : null;
  return typeof ms === "number" && ms >= 0 ? String(Math.max(1, Math.ceil(ms / 1_000))) : null;
}
