// The requests that go to one server: the clients' calls and the gateway's own, sent, held or given up.
import type { CallPort, ClientPort } from "../../client-port.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  isJsonObject,
  isRpcId,
  type JsonObject,
  REQUEST_TIMEOUT,
  type Reply,
  type RpcError,
  type RpcId,
  type RpcMessage,
  type RpcRequest,
} from "../../json-rpc.ts";
import type { LinkFailure, Sender } from "../links/backend-link.ts";
import { type Attribution, attribute, GivenUpCalls } from "./attribution.ts";
import type { BackendCall, InstanceOptions } from "./backend-instance.ts";
import { noAnswer, notInitialized, oneLine, seconds } from "./failures.ts";
import { type Asked, type LongWaits, type PendingRequest, PendingRequests } from "./pending.ts";

/** What carries the requests. */
interface CallCarrier {
  send(message: RpcMessage, sender?: Sender | null): void;
  /** Which session a request is sent in. */
  session(): number;
  /** Calls can be sent; otherwise they wait for `release`. */
  isOpen(): boolean;
  /** What a call of that client waits for; null: nothing. */
  before(client: ClientPort): Promise<void> | null;
  /** The last call in flight has ended. */
  onIdle(): void;
}

export class InstanceCalls {
  readonly #options: InstanceOptions;
  readonly #carrier: CallCarrier;
  readonly #pending: PendingRequests;
  readonly #givenUp: GivenUpCalls;
  readonly #held = new Map<PendingRequest, RpcRequest>();
  /** Sources that wait for a client to read. */
  readonly #congested = new Set<() => void>();
  #over: { readonly error: RpcError; readonly failure: LinkFailure } | null = null;

  constructor(options: InstanceOptions, carrier: CallCarrier) {
    const { clock } = options;
    this.#options = options;
    this.#carrier = carrier;
    this.#givenUp = new GivenUpCalls(clock);
    this.#pending = new PendingRequests({
      clock,
      onOverdue: (request) => this.#overdue(request),
      onAborted: (request, reason) =>
        this.#giveUp(request, { reason: reasonText(reason), reply: cancelled(), failure: null }),
    });
  }

  /** Calls that have no answer yet; the gateway's own requests are none. */
  get inFlight(): number {
    return this.#pending.calls;
  }

  /** The calls that have waited long; null: none has. */
  get longWaits(): LongWaits | null {
    return this.#pending.longWaits();
  }

  /** The id given last; 0: none. */
  get newestId(): number {
    return this.#pending.newestId;
  }

  request(call: BackendCall): Promise<Reply> {
    const { method, port, params, timeoutMs, signal, onLoss } = call;
    if (this.#over !== null) {
      onLoss?.({ failure: this.#over.failure, wasSent: false });
      return Promise.resolve({ error: this.#over.error });
    }
    if (signal.aborted) return Promise.resolve(cancelled());
    return new Promise((resolve) => {
      const progressToken = progressTokenOf(params);
      const request = this.#pending.add({
        method,
        port,
        own: false,
        progressToken,
        timeoutMs,
        signal,
        settled: (reply, failure) => {
          if (failure !== null) onLoss?.({ failure, wasSent: request.sentIn !== null });
          resolve(reply);
        },
      });
      const sent =
        params === undefined || progressToken === null ? params : withProgressToken(params, request.id);
      const message = rpcRequest(request.id, method, sent);
      this.#dispatchInTurn(request, message);
    });
  }

  /** For the gateway itself, whatever the session. */
  ask(method: string, params: JsonObject | undefined, timeoutMs: number, graceMs = 0): Promise<Asked> {
    if (this.#over !== null) return Promise.resolve({ kind: "failed", failure: this.#over.failure });
    const { promise, resolve } = Promise.withResolvers<Asked>();
    const request = this.#pending.add({
      method,
      port: null,
      own: true,
      progressToken: null,
      timeoutMs,
      graceMs,
      signal: null,
      settled: (reply, failure) =>
        resolve(failure === null ? { kind: "answered", reply } : { kind: "failed", failure }),
    });
    this.#dispatch(request, rpcRequest(request.id, method, params));
    return promise;
  }

  get(id: RpcId): PendingRequest | undefined {
    return this.#pending.get(id);
  }

  /** Starts its time anew. */
  restart(request: PendingRequest): void {
    this.#pending.restart(request);
  }

  settle(request: PendingRequest, reply: Reply, failure: LinkFailure | null): void {
    this.#pending.settle(request, reply, failure);
    if (!request.own && this.#pending.calls === 0) this.#carrier.onIdle();
  }

  /** The server has answered a request that is not pending. */
  answeredLate(id: RpcId): void {
    this.#givenUp.answered(id);
  }

  /** Sends what had to wait. */
  release(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const [request, message] of held) this.#dispatchInTurn(request, message);
  }

  /** The server has said something that may belong to any call. */
  heard(): void {
    this.#givenUp.heard();
  }

  /** Why a message's client is not clear, where a call that was given up is all that stands in the way. */
  lingering(streamOf: RpcId | null): GivenUpCalls["waiting"] {
    const without = attribute(streamOf, this.#options.owner, this.#pending, []);
    return without.kind === "nobody" && without.why === "unclear" ? null : this.#givenUp.waiting;
  }

  /** Whose a message of the server is. */
  attribute(streamOf: RpcId | null): Attribution {
    return attribute(streamOf, this.#options.owner, this.#pending, this.#givenUp.clients());
  }

  /** Calls whose clients seem to have left end, where they alone make it unclear whose a message is. */
  endIdle(streamOf: RpcId | null): void {
    const idle = new Set([...this.#pending].filter(({ port }) => port?.mayGiveWay === true));
    if (idle.size === 0) return;
    const others = [...this.#pending].filter((request) => !idle.has(request));
    const inFlight = { get: (id: RpcId) => this.#pending.get(id), [Symbol.iterator]: () => others.values() };
    const { owner } = this.#options;
    if (attribute(streamOf, owner, inFlight, this.#givenUp.clients()).kind !== "call") return;
    for (const { port } of idle) port?.giveWay?.();
  }

  /**
   * What the link waits for while a client does not read; null: nothing. A response of HTTP carries one call alone; a
   * process carries everybody's, and waits only while nobody else needs its output.
   */
  hold(port: CallPort, streamOf: RpcId | null): Promise<void> | null {
    const { congested } = port;
    if (congested === null || streamOf !== null) return congested;
    if (!this.#isAlone()) return null;
    const { promise, resolve } = Promise.withResolvers<void>();
    const goOn = (): void => {
      this.#congested.delete(goOn);
      resolve();
    };
    this.#congested.add(goOn);
    congested.then(goOn, goOn);
    return promise;
  }

  forget(client: ClientPort): void {
    for (const request of [...this.#pending]) {
      if (request.port?.client !== client) continue;
      const reason = "the client has gone";
      this.#giveUp(request, { reason, reply: errorReply(INTERNAL_ERROR, reason), failure: null });
    }
  }

  /** All that is pending gets the error, and so does what comes later. */
  end(error: RpcError, failure: LinkFailure): void {
    this.#over = { error, failure };
    this.#held.clear();
    for (const request of [...this.#pending]) this.#pending.settle(request, { error }, failure);
    this.#pending[Symbol.dispose]();
    this.#readOn();
  }

  #overdue(request: PendingRequest): void {
    const { method, timeoutMs, graceMs } = request;
    const { backend } = this.#options;
    const text = `backend ${backend} did not answer within ${seconds(timeoutMs)}`;
    const failure =
      method === "initialize" ? notInitialized(backend, timeoutMs, graceMs) : noAnswer(method, timeoutMs);
    this.#giveUp(request, { reason: text, reply: errorReply(REQUEST_TIMEOUT, text), failure });
  }

  /** Without a failure it is its client who does not want it any more. */
  #giveUp(request: PendingRequest, { reason, reply, failure }: GivingUp): void {
    this.#held.delete(request);
    // Initialize must not be cancelled, and a ping is nothing that could be.
    if (request.sentIn !== null && request.method !== "initialize" && request.method !== "ping") {
      const params = reason === null ? { requestId: request.id } : { requestId: request.id, reason };
      this.#carrier.send({ jsonrpc: "2.0", method: "notifications/cancelled", params });
      if (!request.own) this.#givenUp.add(request, failure === null);
    }
    this.settle(request, reply, failure);
    this.#readOn();
  }

  #dispatchInTurn(request: PendingRequest, message: RpcRequest): void {
    const isOpen = this.#carrier.isOpen();
    const client = request.port?.client;
    const comes = isOpen && client !== undefined ? this.#carrier.before(client) : null;
    if (isOpen && comes === null) {
      this.#dispatch(request, message);
      return;
    }
    this.#held.set(request, message);
    void comes?.then(() => {
      if (this.#held.delete(request)) this.#dispatchInTurn(request, message);
    });
  }

  #dispatch(request: PendingRequest, message: RpcRequest): void {
    request.sentIn = this.#carrier.session();
    this.#readOn();
    this.#carrier.send(message, request.port?.client);
  }

  /** Nobody else waits for what the process says next: no other client, and no answer that the gateway needs. */
  #isAlone(): boolean {
    for (const request of this.#pending) if (request.own) return false;
    return this.attribute(null).kind === "call";
  }

  /** Somebody waits for the server, or waits no more: what is held up goes on. */
  #readOn(): void {
    if (this.#congested.size > 0) for (const goOn of [...this.#congested]) goOn();
  }
}

interface GivingUp {
  /** For the server. */
  readonly reason: string | null;
  readonly reply: Reply;
  readonly failure: LinkFailure | null;
}

function rpcRequest(id: RpcId, method: string, params: JsonObject | undefined): RpcRequest {
  return params === undefined ? { jsonrpc: "2.0", id, method } : { jsonrpc: "2.0", id, method, params };
}

export function cancelled(): Reply {
  return errorReply(INTERNAL_ERROR, "the request was cancelled");
}

/** The client's own reason, where it gave one. */
function reasonText(reason: unknown): string | null {
  if (typeof reason === "string") return oneLine(reason);
  return reason instanceof Error && reason.message !== "" ? oneLine(reason.message) : null;
}

// Progress tokens: the server gets a token of the gateway's own in place of the client's, and the client's token back.

/** The token by which a request asks for progress; null: it asks for none. */
export function progressTokenOf(params: JsonObject | undefined): RpcId | null {
  const meta = params?.["_meta"];
  if (!isJsonObject(meta)) return null;
  const token = meta["progressToken"];
  return isRpcId(token) ? token : null;
}

/** Another token in its place; everything else stays the same object. Only for params that have one. */
export function withProgressToken(params: JsonObject, token: RpcId): JsonObject {
  const meta = params["_meta"];
  return { ...params, _meta: { ...(isJsonObject(meta) ? meta : {}), progressToken: token } };
}
