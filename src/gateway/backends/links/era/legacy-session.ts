// The session of 2025-11-25 that a server over HTTP gives beside its 2026-07-28: for the clients that speak the former,
// so that a tool's questions and a session's state work as they do without us.

import { FleetingSet } from "../../../../runtime/fleeting.ts";
import { type Clock, settledWithin } from "../../../../runtime/time/clock.ts";
import {
  classifyMessage,
  isError,
  isJsonObject,
  type JsonObject,
  type RpcId,
  type RpcMessage,
  type RpcRequest,
} from "../../../json-rpc.ts";
import { isProtocolVersion, type ProtocolVersion } from "../../../protocol.ts";
import type { BackendLink, LinkEvents, OpenLink, Sender } from "../backend-link.ts";

/** A server that speaks both answers within this; one that does not is spoken with in 2026-07-28 alone. */
const INITIALIZE_MS = 5_000;

interface LegacySessionOptions {
  readonly open: OpenLink;
  readonly events: LinkEvents;
  readonly clock: Clock;
  readonly nextId: () => number;
}

export class LegacySession {
  readonly #options: LegacySessionOptions;
  readonly #link: BackendLink;
  /** Requests of the server that have no answer yet. */
  readonly #asked = new FleetingSet<RpcId>();
  #initialize: { readonly id: RpcId; readonly settle: (result: JsonObject | null) => void } | null = null;
  #version: ProtocolVersion | null = null;
  /** Requests of our own, whose answers nobody waits for. */
  readonly #own = new FleetingSet<RpcId>();

  constructor(options: LegacySessionOptions) {
    this.#options = options;
    const { events } = options;
    this.#link = options.open({
      ...events,
      onMessage: (message, streamOf) => this.#take(message, streamOf),
      onRequestFailed: (id, failure) => {
        if (id === this.#initialize?.id) this.#initialize.settle(null);
        else if (!this.#own.delete(id)) events.onRequestFailed(id, failure);
      },
      onClosed: () => this.#initialize?.settle(null),
      onLogLine: (line) => events.onLogLine(line),
    });
  }

  get backlogBytes(): number {
    return this.#link.backlogBytes;
  }

  /** Begins a session, in place of the one there is. Resolves with the server's answer; null: it gives none. */
  async begin({ params }: RpcRequest): Promise<JsonObject | null> {
    const { clock, nextId } = this.#options;
    const { promise, resolve } = Promise.withResolvers<JsonObject | null>();
    const id = nextId();
    this.#initialize = { id, settle: resolve };
    this.#link.send({ jsonrpc: "2.0", id, method: "initialize", ...(params && { params }) });
    await settledWithin(clock, INITIALIZE_MS, promise);
    this.#initialize = null;
    resolve(null);
    const result = await promise;
    const version = result?.["protocolVersion"];
    this.#version = isProtocolVersion(version) ? version : null;
    return this.#version === null ? null : result;
  }

  established(): void {
    if (this.#version !== null) this.#link.established(this.#version);
  }

  send(message: RpcMessage, sender: Sender | null): void {
    if (!("method" in message) && message.id !== null) this.#asked.delete(message.id);
    this.#link.send(message, sender);
  }

  /** A request of the gateway's own that another answers. */
  tell(method: string, params: JsonObject | undefined): void {
    const id = this.#options.nextId();
    this.#own.add(id);
    this.#link.send({ jsonrpc: "2.0", id, method, ...(params && { params }) });
  }

  /** It waits for the answer to a request with that id. */
  asks(id: RpcId): boolean {
    return this.#asked.has(id);
  }

  close(): Promise<void> {
    this.#initialize?.settle(null);
    return this.#link.close();
  }

  #take(message: unknown, streamOf: RpcId | null): Promise<void> | null {
    const classified = classifyMessage(message);
    if (classified.kind === "request") this.#asked.add(classified.message.id);
    else if (classified.kind === "response" && classified.id !== null) {
      const { id, reply } = classified;
      if (id === this.#initialize?.id) {
        this.#initialize.settle(isError(reply) ? null : reply.result);
        return null;
      }
      if (this.#own.delete(id)) return null;
    }
    return this.#options.events.onMessage(message, streamOf);
  }
}

/** What a server of both versions can do: what it says in either. */
export function eitherCapabilities(modern: unknown, legacy: unknown): JsonObject {
  const one = isJsonObject(modern) ? modern : {};
  const other = isJsonObject(legacy) ? legacy : {};
  const both = { ...other, ...one };
  for (const [name, value] of Object.entries(other)) {
    const ours = one[name];
    if (!isJsonObject(value) || !isJsonObject(ours)) continue;
    const said = { ...value, ...ours };
    for (const [key, flag] of Object.entries(value)) if (flag === true) said[key] = true;
    both[name] = said;
  }
  return both;
}
