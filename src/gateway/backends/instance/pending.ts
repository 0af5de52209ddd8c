// The requests that wait for a server's answer, with ids, deadlines and cancellation.
import { ShortLivedMap } from "../../../runtime/short-lived.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { AnswerReading } from "../../answers-in-flight.ts";
import type { CallSignal } from "../../call-signal.ts";
import type { CallHandle } from "../../client-handle.ts";
import type { Reply, RpcId, RpcRequest } from "../../json-rpc.ts";
import type { TransportFailure } from "../transports/backend-transport.ts";

export type RequestResult =
  | { readonly kind: "answered"; readonly reply: Reply }
  | { readonly kind: "failed"; readonly failure: TransportFailure };

/** For the gateway's own requests; never rejects. */
export type SendRequest = (
  method: string,
  params: Readonly<Record<string, unknown>> | undefined,
  timeoutMs: number,
) => Promise<RequestResult>;

/** A call that has had no answer and no progress for this long, ms, may be waiting for a server that hangs. */
const LONG_WAIT_MS = 10_000;

export interface LongWaits {
  readonly calls: number;
  readonly longestMs: number;
}

/** A question of the server that may belong to a request in flight. */
export interface Attached {
  ended(request: PendingRequest): void;
}

export interface NewRequest {
  readonly method: string;
  /** The client's call; null: the gateway's own request, or a call from the command line. */
  readonly handle: CallHandle | null;
  /** A request of the gateway itself, such as a ping. It does not count as a call. */
  readonly own: boolean;
  /** The progress token that the client sent; null: it sent none. */
  readonly progressToken: RpcId | null;
  readonly timeoutMs: number;
  /** The timeout begins after this time, or at `restart`. Default 0. */
  readonly graceMs?: number;
  readonly signal: CallSignal | null;
  /** Called once. `failure` is null if the reply is the server's own. */
  readonly onReply: (reply: Reply, failure: TransportFailure | null) => void;
}

export interface PendingRequest extends NewRequest {
  /** Null also once the request is complete. */
  handle: CallHandle | null;
  signal: CallSignal | null;
  onReply: NewRequest["onReply"];
  readonly id: number;
  graceMs: number;
  /** The session in which the request was sent; null: not sent yet. */
  sentIn: number | null;
  /** The message of a read, which is sent again if the session is lost; null: the call may not be repeated. */
  repeatable: RpcRequest | null;
  /** Monotonic ms. */
  dueMs: number;
  /** When the request was sent or last made progress, monotonic ms. */
  sinceMs: number;
  /**
   * Questions that clients have not answered yet; while there are any, the request is not overdue. null: none, which
   * saves a set for most calls.
   */
  attached: Set<Attached> | null;
  onAbort: (() => void) | null;
  /** Of a large answer; null: not read yet. */
  reading: AnswerReading | null;
}

interface PendingOptions {
  readonly clock: Clock;
  readonly onOverdue: (request: PendingRequest) => void;
  readonly onAborted: (request: PendingRequest, reason: unknown) => void;
}

/** In the place of `onReply` of a complete request. */
const isComplete = (): void => {};

/** True if the request waits for a client, not for the server. */
function waitsForClient({ attached, reading }: PendingRequest): boolean {
  return (attached !== null && attached.size > 0) || reading?.isPaused === true;
}

/**
 * One timer, set for the earliest deadline, serves all requests. When it fires, it skips deadlines that have
 * moved or gone.
 */
export class PendingRequests implements Iterable<PendingRequest>, Disposable {
  /** Number of pending requests, without the gateway's own. */
  calls = 0;
  /** Ids count up from 1. */
  newestId = 0;
  /** The server is not read, because clients leave too much unread: no request is overdue. */
  isPaused = false;
  readonly #options: PendingOptions;
  readonly #requests = new ShortLivedMap<RpcId, PendingRequest>();
  #timer: Timer | null = null;
  #timerDueMs = Number.POSITIVE_INFINITY;

  constructor(options: PendingOptions) {
    this.#options = options;
  }

  add(draft: NewRequest): PendingRequest {
    const { clock, onAborted } = this.#options;
    const { graceMs = 0 } = draft;
    const sinceMs = clock.monotonicMs();
    const dueMs = sinceMs + graceMs + draft.timeoutMs;
    const request: PendingRequest = {
      method: draft.method,
      handle: draft.handle,
      own: draft.own,
      progressToken: draft.progressToken,
      timeoutMs: draft.timeoutMs,
      graceMs,
      signal: draft.signal,
      onReply: draft.onReply,
      id: ++this.newestId,
      sentIn: null,
      repeatable: null,
      dueMs,
      sinceMs,
      attached: null,
      onAbort: null,
      reading: null,
    };
    this.#requests.set(request.id, request);
    if (!request.own) this.calls++;
    const { signal } = request;
    if (signal !== null) {
      request.onAbort = () => onAborted(request, signal.reason);
      signal.addEventListener("abort", request.onAbort, { once: true });
    }
    this.#arm(dueMs);
    return request;
  }

  /** Some servers return the id as a string, which the official SDKs also accept. */
  get(id: RpcId): PendingRequest | undefined {
    return this.#requests.get(typeof id === "string" ? Number(id) : id);
  }

  /** The id, if it is one of a request that was sent, also of one that is complete; else null. */
  sentId(id: unknown): number | null {
    const own = typeof id === "string" ? Number(id) : id;
    return typeof own === "number" && Number.isInteger(own) && own > 0 && own <= this.newestId ? own : null;
  }

  /** Returns null if no call has waited long. Reads every request, so it is for status displays only. */
  longWaits(): LongWaits | null {
    if (this.calls === 0) return null;
    const nowMs = this.#options.clock.monotonicMs();
    let calls = 0;
    let longestMs = 0;
    for (const request of this.#requests.values()) {
      const waitedMs = nowMs - request.sinceMs;
      if (request.own || waitedMs < LONG_WAIT_MS || waitsForClient(request)) continue;
      calls++;
      longestMs = Math.max(longestMs, waitedMs);
    }
    return calls === 0 ? null : { calls, longestMs };
  }

  restart(request: PendingRequest): void {
    request.sinceMs = this.#options.clock.monotonicMs();
    request.dueMs = request.sinceMs + request.timeoutMs;
    if (request.graceMs === 0) return;
    request.graceMs = 0;
    this.#arm(request.dueMs);
  }

  /** Lets a request take `wholeMs` since it was sent, until it is restarted. */
  extend(request: PendingRequest, wholeMs: number): void {
    request.graceMs = Math.max(0, wholeMs - request.timeoutMs);
    request.dueMs = request.sinceMs + request.timeoutMs + request.graceMs;
    this.#arm(request.dueMs);
  }

  /** Only the first call for a request has an effect. */
  complete(request: PendingRequest, reply: Reply, failure: TransportFailure | null): void {
    if (!this.#requests.delete(request.id)) return;
    if (!request.own) this.calls--;
    const { onReply } = request;
    if (request.onAbort !== null) request.signal?.removeEventListener("abort", request.onAbort);
    if (request.attached !== null) for (const attached of [...request.attached]) attached.ended(request);
    // V8 may keep the request until the next full collection. Whatever it refers to would be copied to the old heap, 1.4
    // KB a call.
    request.handle = null;
    request.signal = null;
    request.onAbort = null;
    request.repeatable = null;
    request.onReply = isComplete;
    onReply(reply, failure);
    request.reading?.[Symbol.dispose]();
    request.reading = null;
  }

  [Symbol.iterator](): Iterator<PendingRequest> {
    return this.#requests.values();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    // Keeps `#arm` from setting another timer.
    this.#timerDueMs = Number.NEGATIVE_INFINITY;
  }

  #arm(dueMs: number): void {
    if (dueMs >= this.#timerDueMs) return;
    const { clock } = this.#options;
    this.#timer?.[Symbol.dispose]();
    this.#timerDueMs = dueMs;
    this.#timer = clock.setTimer(Math.max(0, dueMs - clock.monotonicMs()), this.#onTimer);
  }

  readonly #onTimer = (): void => {
    const { clock, onOverdue } = this.#options;
    this.#timer = null;
    this.#timerDueMs = Number.POSITIVE_INFINITY;
    const nowMs = clock.monotonicMs();
    const overdue: PendingRequest[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const request of this.#requests.values()) {
      // A person may take any time to answer.
      if (request.dueMs <= nowMs && (this.isPaused || waitsForClient(request)))
        request.dueMs = nowMs + request.timeoutMs;
      if (request.dueMs <= nowMs) overdue.push(request);
      else nextMs = Math.min(nextMs, request.dueMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#arm(nextMs);
    for (const request of overdue) if (this.#requests.has(request.id)) onOverdue(request);
  };
}
