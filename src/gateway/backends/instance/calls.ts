// Sends the clients' calls and the gateway's own requests to one server. Calls wait until they can be sent;
// cancelled and overdue ones are given up.
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import type { CallHandle, ClientHandle } from "../../client-handle.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  INVALID_REQUEST,
  isError,
  isJsonObject,
  isRpcId,
  type JsonObject,
  REQUEST_TIMEOUT,
  type Reply,
  type RpcError,
  type RpcId,
  type RpcMessage,
  type RpcRequest,
  rpcRequest,
} from "../../json-rpc.ts";
import { IDEMPOTENT } from "../../protocol.ts";
import { letGo } from "../../sent-arguments.ts";
import type { Sender, TransportFailure } from "../transports/backend-transport.ts";
import { type Attribution, attribute, GivenUpCalls } from "./attribution.ts";
import type { BackendCall, InstanceOptions } from "./backend-instance.ts";
import { noAnswer, notInitialized, oneLine, seconds } from "./failures.ts";
import { type PendingRequest, PendingRequests, type RequestResult } from "./pending.ts";
import { withSubscription } from "./subscription-id.ts";

/** How long a process of several clients is not read because one of them leaves too much unread. */
const SHARED_PAUSE_MS = 5_000;

interface CallSender {
  send(message: RpcMessage, sender?: Sender | null): void;
  session(): number;
  /** If false, calls wait for `release`. */
  isOpen(): boolean;
  /** No call is sent twice. */
  sendsOnce(): boolean;
  /** The client's call is sent when this settles; null: at once. */
  before(client: ClientHandle): Promise<void> | null;
  onIdle(): void;
}

export class InstanceCalls {
  /** Only this class adds and settles requests. */
  readonly pending: PendingRequests;
  readonly #options: InstanceOptions;
  readonly #sender: CallSender;
  readonly #givenUp: GivenUpCalls;
  readonly #queued = new Map<PendingRequest, RpcRequest>();
  /** Functions that resume paused links. Each of these links waits for a client that does not read. */
  readonly #congested = new Set<() => void>();
  #over: { readonly error: RpcError; readonly failure: TransportFailure } | null = null;

  constructor(options: InstanceOptions, sender: CallSender) {
    const { clock } = options;
    this.#options = options;
    this.#sender = sender;
    this.#givenUp = new GivenUpCalls(clock);
    this.pending = new PendingRequests({
      clock,
      onOverdue: (request) => this.#overdue(request),
      onAborted: (request, reason) =>
        this.#giveUp(request, { reason: reasonText(reason), reply: cancelled(), failure: null }),
    });
  }

  request(call: BackendCall): Promise<Reply> {
    const { method, handle, params, timeoutMs, signal, onLoss } = call;
    if (this.#over !== null) {
      onLoss?.({ failure: this.#over.failure, wasSent: false });
      return Promise.resolve({ error: this.#over.error });
    }
    if (signal.aborted) return Promise.resolve(cancelled());
    return new Promise((resolve) => {
      const progressToken = progressTokenOf(params);
      const request = this.pending.add({
        method,
        handle,
        own: false,
        progressToken,
        timeoutMs,
        signal,
        onReply: (reply, failure) => {
          if (failure !== null) onLoss?.({ failure, wasSent: request.sentIn !== null });
          const isStream = handle !== null && !isError(reply) && method.endsWith("/stream");
          resolve(isStream ? { result: withSubscription(reply.result, handle.id) } : reply);
        },
      });
      const sent =
        params === undefined || progressToken === null ? params : withProgressToken(params, request.id);
      const message = rpcRequest(request.id, method, sent);
      if (IDEMPOTENT.has(method)) request.repeatable = message;
      this.#dispatchInTurn(request, message);
    });
  }

  /** Sends a read of a lost session again, in the new one. False: the call may not be repeated. */
  repeat(request: PendingRequest): boolean {
    const message = request.repeatable;
    if (message === null) return false;
    request.repeatable = null;
    request.sentIn = null;
    this.#dispatchInTurn(request, message);
    return true;
  }

  /** One of the gateway's own requests, which does not wait for `isOpen`. */
  send(
    method: string,
    params: JsonObject | undefined,
    timeoutMs: number,
    graceMs = 0,
  ): Promise<RequestResult> {
    if (this.#over !== null) return Promise.resolve({ kind: "failed", failure: this.#over.failure });
    const { promise, resolve } = Promise.withResolvers<RequestResult>();
    const request = this.pending.add({
      method,
      handle: null,
      own: true,
      progressToken: null,
      timeoutMs,
      graceMs,
      signal: null,
      onReply: (reply, failure) =>
        resolve(failure === null ? { kind: "answered", reply } : { kind: "failed", failure }),
    });
    this.#dispatch(request, rpcRequest(request.id, method, params));
    return promise;
  }

  complete(request: PendingRequest, reply: Reply, failure: TransportFailure | null): void {
    this.pending.complete(request, reply, failure);
    if (!request.own && this.pending.calls === 0) this.#sender.onIdle();
  }

  /** The server answers a request that was given up. */
  answeredLate(id: RpcId): void {
    this.#givenUp.answered(id);
  }

  release(): void {
    const queued = [...this.#queued];
    this.#queued.clear();
    for (const [request, message] of queued) this.#dispatchInTurn(request, message);
  }

  heard(): void {
    this.#givenUp.heard();
  }

  attribute(streamOf: RpcId | null): Attribution {
    return attribute(streamOf, this.#options.owner, this.pending, this.#givenUp.clients());
  }

  /**
   * Ends the calls of clients that seem to have left, but only if the message can then belong to just one remaining
   * call.
   */
  endIdle(streamOf: RpcId | null): void {
    const idle = new Set([...this.pending].filter(({ handle }) => handle?.mayBeEvicted === true));
    if (idle.size === 0) return;
    const others = [...this.pending].filter((request) => !idle.has(request));
    const inFlight = { get: (id: RpcId) => this.pending.get(id), [Symbol.iterator]: () => others.values() };
    const { owner } = this.#options;
    if (attribute(streamOf, owner, inFlight, this.#givenUp.clients()).kind !== "call") return;
    for (const { handle } of idle) handle?.evict?.();
  }

  /**
   * Settles when the client reads again; null: do not pause. An HTTP response carries only one call. A
   * process carries all calls, so it is paused only if they are all of one client.
   */
  pause(handle: CallHandle, streamOf: RpcId | null): Promise<void> | null {
    const { congested } = handle;
    if (congested === null || streamOf !== null) return congested;
    return this.#isOnly() ? this.#pauseUntil(congested) : null;
  }

  #pauseUntil(wait: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const resume = (): void => {
      this.#congested.delete(resume);
      resolve();
    };
    this.#congested.add(resume);
    wait.then(resume, resume);
    return promise;
  }

  /** As `TransportEvents.onReceived`. */
  received(id: RpcId, bytes: number): Promise<void> | null {
    const request = this.pending.get(id);
    if (request === undefined || request.handle === null) return null;
    request.reading ??= this.#options.answers?.reading(request.handle.client.principal) ?? null;
    return request.reading?.take(bytes) ?? null;
  }

  /** Called after an answer to the client on a stream of many: settles when the stream may be read on; null: now. */
  afterAnswer({ principal }: ClientHandle): Promise<void> | null {
    const { owner, answers, clock } = this.#options;
    const wait = answers?.untilRead(principal) ?? null;
    if (wait === null) return null;
    this.pending.isPaused = true;
    const isShared = owner === null;
    const until = isShared ? settlesWithin(clock, SHARED_PAUSE_MS, wait).then(() => {}) : wait;
    return this.#pauseUntil(until).then(() => {
      this.pending.isPaused = false;
    });
  }

  forget(client: ClientHandle): void {
    for (const request of [...this.pending]) {
      if (request.handle?.client !== client) continue;
      const reason = "the client has gone";
      this.#giveUp(request, { reason, reply: errorReply(INTERNAL_ERROR, reason), failure: null });
    }
  }

  /**
   * Ends all streams but the oldest of those to which a notification without an id may belong: a client could not tell whose
   * events it gets.
   */
  refuseTwins(notification: string): void {
    const [, family = ""] = notification.split("/");
    const isStream = ({ own, method }: PendingRequest) => !own && method === `${family}/stream`;
    const [, ...others] = [...this.pending].filter(isStream);
    for (const request of others) {
      const reason = `server ${this.#options.backend} does not say to which stream an event belongs, so it serves one stream at a time; for one stream of each client, set instances = "per-client" for it`;
      this.#giveUp(request, { reason, reply: errorReply(INVALID_REQUEST, reason), failure: null });
    }
  }

  /** Pending and later requests get the error. */
  end(error: RpcError, failure: TransportFailure): void {
    this.#over = { error, failure };
    for (const request of [...this.pending]) this.pending.complete(request, { error }, failure);
    this.pending[Symbol.dispose]();
    this.#readOn();
  }

  #overdue(request: PendingRequest): void {
    const { method, timeoutMs, graceMs } = request;
    const { backend } = this.#options;
    const text = `server ${backend} did not answer within ${seconds(timeoutMs)}`;
    const key = `backends.${backend}.timeouts.call`;
    const raise =
      timeoutMs < 600_000
        ? shellCommand`mountaineer config set ${key} 600`
        : shellCommand`mountaineer config set ${key} 3600`;
    const failure =
      method === "initialize"
        ? notInitialized(backend, timeoutMs + graceMs, graceMs > 0 && graceMs === this.#options.silentMs)
        : noAnswer(method, timeoutMs);
    this.#giveUp(request, {
      reason: text,
      reply: errorReply(REQUEST_TIMEOUT, `${text}; to wait longer: ${raise}`),
      failure,
    });
  }

  /**
   * `reason` is sent to the server; null: no reason. `failure` is null if the client cancelled the call or has gone.
   */
  #giveUp(
    request: PendingRequest,
    { reason, reply, failure }: { reason: string | null; reply: Reply; failure: TransportFailure | null },
  ): void {
    this.#queued.delete(request);
    // MCP forbids to cancel `initialize`, and a ping has nothing to cancel.
    if (request.sentIn !== null && request.method !== "initialize" && request.method !== "ping") {
      const params = reason === null ? { requestId: request.id } : { requestId: request.id, reason };
      this.#sender.send({ jsonrpc: "2.0", method: "notifications/cancelled", params });
      if (!request.own) this.#givenUp.add(request, failure === null);
    }
    this.complete(request, reply, failure);
    this.#readOn();
  }

  #dispatchInTurn(request: PendingRequest, message: RpcRequest): void {
    const isOpen = this.#sender.isOpen();
    const client = request.handle?.client;
    const comes = isOpen && client !== undefined ? this.#sender.before(client) : null;
    if (isOpen && comes === null) {
      this.#dispatch(request, message);
      return;
    }
    this.#queued.set(request, message);
    void comes?.then(() => {
      if (this.#queued.delete(request)) this.#dispatchInTurn(request, message);
    });
  }

  #dispatch(request: PendingRequest, message: RpcRequest): void {
    request.sentIn = this.#sender.session();
    this.#readOn();
    this.#sender.send(message, request.handle?.client);
    if (this.#sender.sendsOnce()) letGo(message.params);
  }

  #isOnly(): boolean {
    for (const request of this.pending) if (request.own) return false;
    return this.attribute(null).kind === "call";
  }

  #readOn(): void {
    for (const resume of this.#congested) resume();
  }
}

export function cancelled(): Reply {
  return errorReply(INTERNAL_ERROR, "the request was cancelled");
}

function reasonText(reason: unknown): string | null {
  if (typeof reason === "string") return oneLine(reason);
  return reason instanceof Error && reason.message !== "" ? oneLine(reason.message) : null;
}

// The gateway uses its own progress tokens towards the server, and the client's own towards the client.

export function progressTokenOf(params: JsonObject | undefined): RpcId | null {
  const meta = params?.["_meta"];
  if (!isJsonObject(meta)) return null;
  const token = meta["progressToken"];
  return isRpcId(token) ? token : null;
}

/** Returns the params with the progress token. Other values are not copied. */
export function withProgressToken(params: JsonObject, token: RpcId): JsonObject {
  const meta = params["_meta"];
  return { ...params, _meta: { ...(isJsonObject(meta) ? meta : {}), progressToken: token } };
}
