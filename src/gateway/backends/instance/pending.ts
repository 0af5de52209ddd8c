// The requests that wait for a server's answer: their ids, their deadlines (one timer for all), their cancelling.
import { FleetingMap } from "../../../runtime/fleeting.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { CallSignal } from "../../call-signal.ts";
import type { CallPort } from "../../client-port.ts";
import type { Reply, RpcId } from "../../json-rpc.ts";
import type { LinkFailure } from "../links/backend-link.ts";

/** What became of a request of the gateway's own. */
export type Asked =
  | { readonly kind: "answered"; readonly reply: Reply }
  | { readonly kind: "failed"; readonly failure: LinkFailure };

/** Asks the server for the gateway itself; never rejects. */
export type Ask = (
  method: string,
  params: Readonly<Record<string, unknown>> | undefined,
  timeoutMs: number,
) => Promise<Asked>;

/** A call that has had no answer and no sign of progress for so long may wait for a server that hangs. */
const LONG_WAIT_MS = 10_000;

/** The calls that have waited for `LONG_WAIT_MS` or longer. */
export interface LongWaits {
  readonly calls: number;
  readonly longestMs: number;
}

/** Something that belongs to the request, or may. */
export interface Attached {
  ended(request: PendingRequest): void;
}

export interface NewRequest {
  readonly method: string;
  /** Whose call it is; null: the gateway's own, or a call of its owner from the command line. */
  readonly port: CallPort | null;
  /** Asked by the gateway for itself (lists, pings): counts as no call. */
  readonly own: boolean;
  /** As the client gave it; null: it gave none. */
  readonly progressToken: RpcId | null;
  readonly timeoutMs: number;
  /** Its time begins so much later, unless `restart` begins it before. Default 0. */
  readonly graceMs?: number;
  readonly signal: CallSignal | null;
  /** Called once. `failure` is set when it was not the server who answered. */
  readonly settled: (reply: Reply, failure: LinkFailure | null) => void;
}

export interface PendingRequest extends NewRequest {
  readonly id: number;
  graceMs: number;
  /** Which session it was sent in; null: not sent yet. */
  sentIn: number | null;
  /** Monotonic ms. */
  dueMs: number;
  /** Since when it waits, or since the last sign of progress; monotonic ms. */
  sinceMs: number;
  /** Null until something is attached: most calls have nothing. While something is, it is not overdue. */
  attached: Set<Attached> | null;
  onAbort: (() => void) | null;
}

interface PendingOptions {
  readonly clock: Clock;
  /** Its time has passed; it is still there. */
  readonly onOverdue: (request: PendingRequest) => void;
  /** Its signal has aborted; it is still there. */
  readonly onAborted: (request: PendingRequest, reason: unknown) => void;
}

/** A client's answer is waited for, and not the server. */
function isAsking({ attached }: PendingRequest): boolean {
  return attached !== null && attached.size > 0;
}

/**
 * Ids count up from 1. One clock timer stands for the earliest deadline known when it was set; a deadline that moved on
 * or went is found out when it fires, so that a call sets no timer of its own.
 */
export class PendingRequests implements Iterable<PendingRequest>, Disposable {
  /** How many are not the gateway's own. */
  calls = 0;
  /** The id given last; 0: none. */
  newestId = 0;
  readonly #options: PendingOptions;
  readonly #requests = new FleetingMap<RpcId, PendingRequest>();
  #timer: Timer | null = null;
  #timerDueMs = Number.POSITIVE_INFINITY;

  constructor(options: PendingOptions) {
    this.#options = options;
  }

  add(asked: NewRequest): PendingRequest {
    const { clock, onAborted } = this.#options;
    const { graceMs = 0 } = asked;
    const sinceMs = clock.monotonicMs();
    const dueMs = sinceMs + graceMs + asked.timeoutMs;
    const request: PendingRequest = {
      method: asked.method,
      port: asked.port,
      own: asked.own,
      progressToken: asked.progressToken,
      timeoutMs: asked.timeoutMs,
      graceMs,
      signal: asked.signal,
      settled: asked.settled,
      id: ++this.newestId,
      sentIn: null,
      dueMs,
      sinceMs,
      attached: null,
      onAbort: null,
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

  /** Some servers return the number as a text, and today's SDKs take that. */
  get(id: RpcId): PendingRequest | undefined {
    return this.#requests.get(typeof id === "string" ? Number(id) : id);
  }

  /** Of those that are not the gateway's own. Looks at each: for people who look, not for every call. */
  longWaits(): LongWaits | null {
    // Most servers have nothing to do most of the time.
    if (this.calls === 0) return null;
    const nowMs = this.#options.clock.monotonicMs();
    let calls = 0;
    let longestMs = 0;
    for (const request of this.#requests.values()) {
      const waitedMs = nowMs - request.sinceMs;
      if (request.own || waitedMs < LONG_WAIT_MS || isAsking(request)) continue;
      calls++;
      longestMs = Math.max(longestMs, waitedMs);
    }
    return calls === 0 ? null : { calls, longestMs };
  }

  /** Starts its time anew. */
  restart(request: PendingRequest): void {
    request.sinceMs = this.#options.clock.monotonicMs();
    request.dueMs = request.sinceMs + request.timeoutMs;
    if (request.graceMs === 0) return;
    request.graceMs = 0;
    this.#arm(request.dueMs);
  }

  /** Forgets it, tells what is attached to it, and hands the reply over; once, later ones do nothing. */
  settle(request: PendingRequest, reply: Reply, failure: LinkFailure | null): void {
    if (!this.#requests.delete(request.id)) return;
    if (!request.own) this.calls--;
    if (request.onAbort !== null) request.signal?.removeEventListener("abort", request.onAbort);
    if (request.attached !== null) for (const attached of [...request.attached]) attached.ended(request);
    request.settled(reply, failure);
  }

  [Symbol.iterator](): Iterator<PendingRequest> {
    return this.#requests.values();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    // Nothing arms it again.
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
      // Who waits for a client's answer is not late, however long a person takes.
      if (request.dueMs <= nowMs && isAsking(request)) request.dueMs = nowMs + request.timeoutMs;
      if (request.dueMs <= nowMs) overdue.push(request);
      else nextMs = Math.min(nextMs, request.dueMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#arm(nextMs);
    for (const request of overdue) if (this.#requests.has(request.id)) onOverdue(request);
  };
}
