// The requests that wait for a server's answer: ids, deadlines (one timer for all) and cancellation.
import { FleetingMap } from "../../../runtime/fleeting.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { CallSignal } from "../../call-signal.ts";
import type { CallPort } from "../../client-port.ts";
import type { Reply, RpcId } from "../../json-rpc.ts";
import type { LinkFailure } from "../links/backend-link.ts";

/** The outcome of one of the gateway's own requests. */
export type Asked =
  | { readonly kind: "answered"; readonly reply: Reply }
  | { readonly kind: "failed"; readonly failure: LinkFailure };

/** Sends one of the gateway's own requests; never rejects. */
export type Ask = (
  method: string,
  params: Readonly<Record<string, unknown>> | undefined,
  timeoutMs: number,
) => Promise<Asked>;

/** After this time without an answer or progress, a call may be waiting for a server that hangs. */
const LONG_WAIT_MS = 10_000;

/** The calls that have waited for `LONG_WAIT_MS` or longer. */
export interface LongWaits {
  readonly calls: number;
  readonly longestMs: number;
}

/** A question of the server that belongs, or may belong, to the request. */
export interface Attached {
  ended(request: PendingRequest): void;
}

export interface NewRequest {
  readonly method: string;
  /**
   * The client's call; null: one of the gateway's own requests, or a call that the daemon's owner makes from
   * the command line.
   */
  readonly port: CallPort | null;
  /** One of the gateway's own requests (lists, pings), which does not count as a call. */
  readonly own: boolean;
  /** The client's own token; null: it gave none. */
  readonly progressToken: RpcId | null;
  readonly timeoutMs: number;
  /** Delay before the timeout begins, unless `restart` begins it earlier. Default 0. */
  readonly graceMs?: number;
  readonly signal: CallSignal | null;
  /** Called once. `failure`: why the reply is not the server's own; null: it is. */
  readonly settled: (reply: Reply, failure: LinkFailure | null) => void;
}

export interface PendingRequest extends NewRequest {
  readonly id: number;
  graceMs: number;
  /** Number of the session in which the request was sent; null: not sent yet. */
  sentIn: number | null;
  /** The deadline, monotonic ms. */
  dueMs: number;
  /** Time of sending or of the last progress, monotonic ms. */
  sinceMs: number;
  /**
   * Open questions of the server; with one attached, the request is never overdue. Null instead of an empty
   * set, because most calls need none.
   */
  attached: Set<Attached> | null;
  onAbort: (() => void) | null;
}

interface PendingOptions {
  readonly clock: Clock;
  /** The deadline has passed; the request is still pending. */
  readonly onOverdue: (request: PendingRequest) => void;
  /** The signal has aborted; the request is still pending. */
  readonly onAborted: (request: PendingRequest, reason: unknown) => void;
}

/** The request waits for a client's answer, and not for the server. */
function isAsking({ attached }: PendingRequest): boolean {
  return attached !== null && attached.size > 0;
}

/**
 * Ids count up from 1. One timer serves all requests, so that most requests set none. It is set for the
 * earliest deadline; when it fires, it skips deadlines that have moved or gone.
 */
export class PendingRequests implements Iterable<PendingRequest>, Disposable {
  /** Number of pending requests that are not the gateway's own. */
  calls = 0;
  /** The last assigned id; 0: none. */
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

  /**
   * Finds a request by its id. Some servers return the numeric id as a string, which the official SDKs
   * accept, too.
   */
  get(id: RpcId): PendingRequest | undefined {
    return this.#requests.get(typeof id === "string" ? Number(id) : id);
  }

  /** The clients' calls that have waited long; null: none. Looks at each request, so it is for status displays only. */
  longWaits(): LongWaits | null {
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

  /** Restarts the timeout. */
  restart(request: PendingRequest): void {
    request.sinceMs = this.#options.clock.monotonicMs();
    request.dueMs = request.sinceMs + request.timeoutMs;
    if (request.graceMs === 0) return;
    request.graceMs = 0;
    this.#arm(request.dueMs);
  }

  /**
   * Removes the request, tells the attached questions that it has ended, and delivers the reply. Further
   * calls do nothing.
   */
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
      // A request that waits for a client's answer is not overdue, however long a person takes.
      if (request.dueMs <= nowMs && isAsking(request)) request.dueMs = nowMs + request.timeoutMs;
      if (request.dueMs <= nowMs) overdue.push(request);
      else nextMs = Math.min(nextMs, request.dueMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#arm(nextMs);
    for (const request of overdue) if (this.#requests.has(request.id)) onOverdue(request);
  };
}
