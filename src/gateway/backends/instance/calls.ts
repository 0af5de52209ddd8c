// Owns the requests that go to the server: the clients' calls and the gateway's own, sent, held or given up.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { ClientPort } from "../../client-port.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  type JsonObject,
  REQUEST_TIMEOUT,
  type Reply,
  type RpcError,
  type RpcId,
  type RpcMessage,
  type RpcRequest,
} from "../../json-rpc.ts";
import type { LinkFailure } from "../links/backend-link.ts";
import { type Attribution, attribute, createGivenUpCalls } from "./attribution.ts";
import type { BackendCall } from "./backend-instance.ts";
import { noAnswer, notInitialized, oneLine, seconds } from "./failures.ts";
import { type Ask, type Asked, createPendingRequests, type PendingRequest } from "./pending.ts";
import { progressTokenOf, withProgressToken } from "./progress.ts";

interface InstanceCalls {
  /** Calls that have no answer yet; the gateway's own requests are none. */
  readonly inFlight: number;
  /** The id given last; 0: none. */
  readonly newestId: number;
  request(call: BackendCall): Promise<Reply>;
  /** For the gateway itself, whatever the session. */
  readonly ask: Ask;
  get(id: RpcId): PendingRequest | undefined;
  /** Starts its time anew. */
  restart(request: PendingRequest): void;
  settle(request: PendingRequest, reply: Reply, failure: LinkFailure | null): void;
  /** The server has answered what is not pending. */
  answeredLate(id: RpcId): void;
  /** Sends what had to wait. */
  release(): void;
  /** Whose a message of the server is. */
  attribute(streamOf: RpcId | null): Attribution;
  /** Nobody else waits for what the process says next: no other client, and no answer that the gateway needs. */
  isAlone(): boolean;
  forget(client: ClientPort): void;
  /** All that is pending gets it, and all that comes. */
  end(error: RpcError, failure: LinkFailure): void;
}

interface InstanceCallsOptions {
  readonly backend: string;
  readonly owner: ClientPort | null;
  readonly clock: Clock;
  readonly send: (message: RpcMessage) => void;
  /** Which session a request is sent in. */
  readonly session: () => number;
  /** Calls can be sent; otherwise they wait for `release`. */
  readonly isOpen: () => boolean;
  /** The last call in flight has ended. */
  readonly onIdle: () => void;
  /** Somebody waits for the server, or waits no more. */
  readonly onWaiting: () => void;
}

export function createInstanceCalls(options: InstanceCallsOptions): InstanceCalls {
  const { backend, owner, clock, send, session, isOpen, onIdle, onWaiting } = options;
  const held = new Map<PendingRequest, RpcRequest>();
  const givenUp = createGivenUpCalls(clock);
  let over: { readonly error: RpcError; readonly failure: LinkFailure } | null = null;

  const pending = createPendingRequests({
    clock,
    onOverdue(request) {
      const { method, timeoutMs, graceMs } = request;
      const text = `backend ${backend} did not answer within ${seconds(timeoutMs)}`;
      const failure =
        method === "initialize" ? notInitialized(backend, timeoutMs, graceMs) : noAnswer(method, timeoutMs);
      giveUp(request, text, errorReply(REQUEST_TIMEOUT, text), failure);
    },
    onAborted: (request, reason) => giveUp(request, reasonText(reason), cancelled(), null),
  });
  const settle = (request: PendingRequest, reply: Reply, failure: LinkFailure | null): void => {
    pending.settle(request, reply, failure);
    if (!request.own && pending.calls === 0) onIdle();
  };
  const giveUp = (
    request: PendingRequest,
    reason: string | null,
    reply: Reply,
    failure: LinkFailure | null,
  ): void => {
    held.delete(request);
    // Initialize must not be cancelled, and a ping is nothing that could be.
    if (request.sentIn !== null && request.method !== "initialize" && request.method !== "ping") {
      const params = reason === null ? { requestId: request.id } : { requestId: request.id, reason };
      send({ jsonrpc: "2.0", method: "notifications/cancelled", params });
      if (!request.own) givenUp.add(request);
    }
    settle(request, reply, failure);
    onWaiting();
  };
  const dispatch = (request: PendingRequest, message: RpcRequest): void => {
    request.sentIn = session();
    onWaiting();
    send(message);
  };
  const attributeMessage = (streamOf: RpcId | null): Attribution =>
    attribute(streamOf, owner, pending, givenUp.clients());

  return {
    get inFlight() {
      return pending.calls;
    },
    get newestId() {
      return pending.newestId;
    },
    request(call) {
      if (over !== null) return Promise.resolve({ error: over.error });
      const { method, port, params, timeoutMs, signal } = call;
      if (signal.aborted) return Promise.resolve(cancelled());
      return new Promise((resolve) => {
        const progressToken = progressTokenOf(params);
        const request = pending.add({
          method,
          port,
          own: false,
          progressToken,
          timeoutMs,
          signal,
          settled: resolve,
        });
        const sent =
          params === undefined || progressToken === null ? params : withProgressToken(params, request.id);
        const message = rpcRequest(request.id, method, sent);
        if (isOpen()) dispatch(request, message);
        else held.set(request, message);
      });
    },
    ask(method, params, timeoutMs, graceMs = 0) {
      if (over !== null) return Promise.resolve({ kind: "failed", failure: over.failure });
      const { promise, resolve } = Promise.withResolvers<Asked>();
      const request = pending.add({
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
      dispatch(request, rpcRequest(request.id, method, params));
      return promise;
    },
    get: (id) => pending.get(id),
    restart: (request) => pending.restart(request),
    settle,
    answeredLate: (id) => givenUp.answered(id),
    release() {
      for (const [request, message] of held) dispatch(request, message);
      held.clear();
    },
    attribute: attributeMessage,
    isAlone() {
      for (const request of pending) if (request.own) return false;
      return attributeMessage(null).kind === "call";
    },
    forget(client) {
      for (const request of [...pending]) {
        if (request.port?.client !== client) continue;
        giveUp(request, "the client has gone", errorReply(INTERNAL_ERROR, "the client has gone"), null);
      }
    },
    end(error, failure) {
      over = { error, failure };
      held.clear();
      for (const request of [...pending]) pending.settle(request, { error }, failure);
      pending[Symbol.dispose]();
      onWaiting();
    },
  };
}

function rpcRequest(id: RpcId, method: string, params: JsonObject | undefined): RpcRequest {
  return params === undefined ? { jsonrpc: "2.0", id, method } : { jsonrpc: "2.0", id, method, params };
}

function cancelled(): Reply {
  return errorReply(INTERNAL_ERROR, "the request was cancelled");
}

/** The client's own reason, where it gave one. */
function reasonText(reason: unknown): string | null {
  if (typeof reason === "string") return oneLine(reason);
  return reason instanceof Error && reason.message !== "" ? oneLine(reason.message) : null;
}
