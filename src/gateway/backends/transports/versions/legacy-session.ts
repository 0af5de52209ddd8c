// A session of protocol 2025-11-25 with an HTTP server that also speaks 2026-07-28. It carries the requests of legacy
// clients, so that a tool's questions and the session's state work as without the gateway.

import { ShortLivedSet } from "../../../../runtime/short-lived.ts";
import { type Clock, settlesWithin } from "../../../../runtime/time/clock.ts";
import {
  classifyMessage,
  isError,
  isJsonObject,
  type JsonObject,
  type RpcId,
  type RpcMessage,
  type RpcRequest,
  rpcRequest,
} from "../../../json-rpc.ts";
import { isProtocolVersion, type ProtocolVersion, UNSUPPORTED_VERSION } from "../../../protocol.ts";
import {
  type BackendTransport,
  type OpenTransport,
  type Sender,
  type TransportEvents,
  type TransportFailure,
  transportFailure,
} from "../backend-transport.ts";
import { OTHER_VERSION } from "./probe.ts";

/** Timeout of `initialize`, ms. A server that does not answer in time is used with protocol version 2026-07-28 only. */
const INITIALIZE_MS = 5_000;
const SILENT = transportFailure("unreachable", `no answer to initialize within ${INITIALIZE_MS / 1_000} s`);

/** The outcome of `initialize`. `failed`: no answer came, so the server may speak either version. */
export type Begun =
  | { readonly kind: "begun"; readonly result: JsonObject }
  | { readonly kind: "refused" }
  | { readonly kind: "failed"; readonly failure: TransportFailure };

interface LegacySessionOptions {
  readonly open: OpenTransport;
  readonly events: TransportEvents;
  readonly clock: Clock;
  readonly nextId: () => number;
}

export class LegacySession {
  readonly #options: LegacySessionOptions;
  readonly #transport: BackendTransport;
  /** Ids of the server's requests without an answer. */
  readonly #openRequests = new ShortLivedSet<RpcId>();
  /** Ids of the gateway's own requests that the server has not answered yet. */
  readonly #flights = new ShortLivedSet<RpcId>();
  #initialize: { readonly id: RpcId; readonly complete: (begun: Begun) => void } | null = null;
  #version: ProtocolVersion | null = null;
  /** Ids of the link's own requests, whose answers are dropped. */
  readonly #own = new ShortLivedSet<RpcId>();
  /** The server may have forgotten the session. */
  isSuspect = false;

  constructor(options: LegacySessionOptions) {
    this.#options = options;
    const { events } = options;
    this.#transport = options.open({
      ...events,
      onMessage: (message, streamOf) => this.#take(message, streamOf),
      onRequestFailed: (id, failure) => {
        if (id === this.#initialize?.id) this.#initialize.complete({ kind: "failed", failure });
        else if (!this.#own.delete(id)) this.#failed(id, failure);
      },
      onSuspect: () => {
        this.isSuspect = true;
        events.onSuspect();
      },
      onClosed: (failure) => this.#initialize?.complete({ kind: "failed", failure }),
    });
  }

  get backlogBytes(): number {
    return this.#transport.backlogBytes;
  }

  /** Begins a session, which replaces the previous one. */
  async begin({ params }: RpcRequest): Promise<Begun> {
    const { clock, nextId } = this.#options;
    const { promise, resolve } = Promise.withResolvers<Begun>();
    const id = nextId();
    this.isSuspect = false;
    this.#initialize = { id, complete: resolve };
    this.#transport.send(rpcRequest(id, "initialize", params));
    await settlesWithin(clock, INITIALIZE_MS, promise);
    this.#initialize = null;
    resolve({ kind: "failed", failure: SILENT });
    const begun = await promise;
    const version = begun.kind === "begun" ? begun.result["protocolVersion"] : null;
    this.#version = isProtocolVersion(version) ? version : null;
    return begun.kind === "begun" && this.#version === null ? { kind: "refused" } : begun;
  }

  established(): void {
    if (this.#version !== null) this.#transport.established(this.#version);
  }

  send(message: RpcMessage, sender: Sender | null): void {
    if (!("method" in message)) {
      if (message.id !== null) this.#openRequests.delete(message.id);
    } else if ("id" in message) {
      if (message.method === "ping") this.isSuspect = false;
      this.#flights.add(message.id);
    } else if (message.method === "notifications/cancelled") {
      this.#flights.delete(message.params?.["requestId"] as RpcId);
    }
    this.#transport.send(message, sender);
  }

  /** Sends a request whose answer is dropped. */
  sendOwn({ method, params }: RpcRequest): void {
    const id = this.#options.nextId();
    this.#own.add(id);
    this.#transport.send(rpcRequest(id, method, params));
  }

  /** True while the server waits for the answer to its request with this id. */
  waitsFor(id: RpcId): boolean {
    return this.#openRequests.has(id);
  }

  /** Closes the session. Requests in flight fail with `failure`; null: they are dropped. */
  close(failure: TransportFailure | null): Promise<void> {
    this.#initialize?.complete({ kind: "refused" });
    if (failure !== null) for (const id of [...this.#flights]) this.#failed(id, failure);
    return this.#transport.close();
  }

  #failed(id: RpcId, failure: TransportFailure): void {
    this.#flights.delete(id);
    this.#options.events.onRequestFailed(id, failure);
  }

  #take(message: unknown, streamOf: RpcId | null): Promise<void> | null {
    const classified = classifyMessage(message);
    if (classified.kind === "request") this.#openRequests.add(classified.message.id);
    else if (classified.kind === "response" && classified.id !== null) {
      const { id, reply } = classified;
      if (id === this.#initialize?.id) {
        this.#initialize.complete(
          isError(reply) ? { kind: "refused" } : { kind: "begun", result: reply.result },
        );
        return null;
      }
      if (this.#own.delete(id)) return null;
      this.#flights.delete(id);
      if (isError(reply) && reply.error.code === UNSUPPORTED_VERSION) {
        // The server was replaced by one that speaks 2026-07-28 only.
        this.#options.events.onRequestFailed(id, OTHER_VERSION);
        return null;
      }
    }
    return this.#options.events.onMessage(message, streamOf);
  }
}

/** The union of the capabilities that a server declares in both versions. */
export function eitherCapabilities(modern: unknown, legacy: unknown): JsonObject {
  const inModern = isJsonObject(modern) ? modern : {};
  const inLegacy = isJsonObject(legacy) ? legacy : {};
  const both = { ...inLegacy, ...inModern };
  for (const [name, value] of Object.entries(inLegacy)) {
    const other = inModern[name];
    if (!isJsonObject(value) || !isJsonObject(other)) continue;
    const trueFlags = Object.entries(value).filter(([, flag]) => flag === true);
    both[name] = { ...value, ...other, ...Object.fromEntries(trueFlags) };
  }
  return both;
}
