// The version adapter: a transport that presents every server to the gateway as one of 2025-11-25, whichever version it
// speaks. Programs that
// speak 2025-11-25 and 2026-07-28 are used in 2025-11-25, because the SDKs of today refuse a tool's questions after a
// start in 2026-07-28. HTTP servers that speak both versions are used in each client's own version.
import { dropOldest } from "../../../../runtime/bounded-map.ts";
import type { RuntimeTools } from "../../../../runtime/log/runtime-tools.ts";
import type { CallerMarks } from "../../../caller-marks.ts";
import {
  classifyMessage,
  errorReply,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  type JsonObject,
  type Reply,
  type RpcId,
  type RpcMessage,
  type RpcRequest,
} from "../../../json-rpc.ts";
import {
  isModern,
  isProtocolVersion,
  MODERN_VERSION,
  type SpokenVersion,
  UNSUPPORTED_VERSION,
} from "../../../protocol.ts";
import {
  type BackendTransport,
  type OpenTransport,
  type Sender,
  type TransportEvents,
  type TransportFailure,
  transportFailure,
} from "../backend-transport.ts";
import { hasRequestState, initializeResult, legacyRequest } from "./legacy-form.ts";
import { type Begun, eitherCapabilities, LegacySession } from "./legacy-session.ts";
import { ModernServer } from "./modern-server.ts";
import { type Judged, judgeFailure, mayBeModern, OTHER_VERSION, Probe } from "./probe.ts";

/** Far above the gateway's own ids, which begin at 1, and still within 32 bits. */
const FIRST_OWN_ID = 1_000_000_000;

const STATE_GONE =
  "this requestState belongs to a server that spoke another version of MCP before it restarted; make the call again without it";

const NOT_MODERN = transportFailure(
  "protocol",
  `the server does not speak ${MODERN_VERSION}`,
  'remove `protocol = "2026-07-28"` from its section',
);
const REINITIALIZED = transportFailure("closed", "the server was initialized again");
const SUBSCRIPTION_METHODS: ReadonlySet<string> = new Set(["resources/subscribe", "resources/unsubscribe"]);

interface VersionAdapterOptions extends RuntimeTools {
  readonly backend: string;
  /** Identifies the connection. What the link learns about the server is kept in `memory` under this key. */
  readonly key: string;
  /** Opens the underlying link; over HTTP a second one may be opened for legacy clients. */
  readonly open: OpenTransport;
  /** `process` speaks one version per connection; `stream`: another machine's gateway. */
  readonly over: "process" | "http" | "stream";
  /** Only protocol version 2026-07-28 is allowed. */
  readonly isFixed: boolean;
  /** Marks each request with the client that sent it, for another machine's gateway. */
  readonly callerMarks?: CallerMarks;
  readonly memory: VersionCache;
}

export function openVersionAdapter(options: VersionAdapterOptions): OpenTransport {
  return (events) => new VersionAdapter(options, events);
}

class VersionAdapter implements BackendTransport {
  readonly #options: VersionAdapterOptions;
  readonly #events: TransportEvents;
  readonly #transport: BackendTransport;
  #probe: Probe | null = null;
  #modern: ModernServer | null = null;
  /** Used beside `#modern` if the server speaks both versions. */
  #legacy: LegacySession | null = null;
  #subscribesOver: "modern" | "legacy" = "modern";
  /** The gateway's `initialize`, sent unchanged and not answered yet. */
  #initialize: RpcRequest | null = null;
  /** The server no longer speaks 2026-07-28. */
  #isChanged = false;
  #closing: Promise<void> | null = null;
  #lastOwnId = FIRST_OWN_ID;

  constructor(options: VersionAdapterOptions, events: TransportEvents) {
    this.#options = options;
    this.#events = events;
    this.#transport = options.open({
      ...events,
      onMessage: (message, streamOf) => this.#take(message, streamOf),
      onRequestFailed: (id, failure) => this.#requestFailed(id, failure),
      onReceived: (id, bytes) => events.onReceived?.(this.#modern?.outer(id) ?? id, bytes) ?? null,
      onClosed: (failure) => {
        this.#endProbe();
        this.#modern?.dispose(null);
        events.onClosed(failure);
      },
    });
  }

  get pid(): number | null {
    return this.#transport.pid;
  }

  /** 2026-07-28 has requests that are sent again with what the client was asked. */
  get sendsOnce(): boolean {
    return this.#modern === null && this.#options.over === "process";
  }

  get backlogBytes(): number {
    return this.#transport.backlogBytes + (this.#legacy?.backlogBytes ?? 0);
  }

  send(message: RpcMessage, sender: Sender | null = null): void {
    if ("method" in message && message.method === "initialize" && "id" in message) this.#begin(message);
    else if (this.#modern !== null) this.#sendEither(this.#modern, message, sender);
    else if (this.#probe === null) this.#sendLegacy(message);
  }

  /**
   * A request goes out in the version of its client; an answer or a cancellation goes out in the version of the
   * request to which it belongs.
   */
  #sendEither(modern: ModernServer, message: RpcMessage, sender: Sender | null): void {
    const legacy = this.#legacy;
    if (legacy === null) modern.send(message, sender);
    else if (!("method" in message)) {
      if (message.id !== null && legacy.waitsFor(message.id)) legacy.send(message, sender);
      else modern.send(message, sender);
    } else if (!("id" in message)) {
      // Of notifications only `notifications/cancelled` names a request.
      if (modern.has(message.params?.["requestId"])) modern.send(message, sender);
      else legacy.send(message, sender);
    } else if (this.#isForLegacy(message, sender, modern)) legacy.send(message, sender);
    else {
      if (message.method === "logging/setLevel") legacy.sendOwn(message);
      modern.send(message, sender);
    }
  }

  #isForLegacy(message: RpcRequest, sender: Sender | null, modern: ModernServer): boolean {
    if (SUBSCRIPTION_METHODS.has(message.method)) return this.#subscribesOver === "legacy";
    if (message.method === "ping") return this.#legacy?.isSuspect === true;
    return sender !== null && !isModern(message.params) && !modern.wraps(message);
  }

  #sendLegacy(message: RpcMessage): void {
    if (!("method" in message) || !("id" in message) || !hasRequestState(message)) {
      this.#transport.send(legacyRequest(message));
      return;
    }
    // A legacy server would ignore `requestState` and run the call from the beginning.
    const { id } = message;
    queueMicrotask(() => void this.#answer(id, errorReply(INVALID_PARAMS, STATE_GONE)));
  }

  #answer(id: RpcId, reply: Reply): Promise<void> | null {
    return this.#events.onMessage({ jsonrpc: "2.0", id, ...reply }, null);
  }

  established(version: SpokenVersion): void {
    if (this.#modern === null) this.#transport.established(version);
    else {
      this.#modern.established();
      this.#legacy?.established();
    }
  }

  toolFault(tool: JsonObject): string | null {
    if (this.#modern === null || this.#transport.stateless === undefined) return null;
    return this.#modern.toolFault(tool);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#endProbe();
    this.#modern?.dispose(null);
    await Promise.all([this.#transport.close(), this.#legacy?.close(null)]);
  }

  #begin(initialize: RpcRequest): void {
    if (this.#modern !== null && this.#legacy !== null && !this.#isChanged) {
      // Only the session in 2025-11-25 was lost; 2026-07-28 has no session.
      void this.#initializeBoth(this.#modern, initialize, true);
      return;
    }
    this.#isChanged = false;
    this.#modern?.dispose(REINITIALIZED);
    this.#modern = null;
    this.#dropLegacy();
    this.#endProbe();
    const { over, isFixed, memory, key } = this.#options;
    // A program of both versions serves the version of the first message that it receives.
    if (!isFixed && (over === "process" || memory.isUnprobed(key))) {
      this.#initialize = initialize;
      this.#transport.send(initialize);
    } else this.#startProbe(initialize, null);
  }

  #dropLegacy(): void {
    const legacy = this.#legacy;
    this.#legacy = null;
    void legacy?.close(REINITIALIZED);
    this.#subscribesOver = "modern";
  }

  /** `answered`: the error reply to `initialize`, if it was sent before the probe. */
  #startProbe(initialize: RpcRequest, answered: Reply | null): void {
    this.#initialize = null;
    this.#probe = new Probe({
      transport: this.#transport,
      clock: this.#options.clock,
      initialize,
      probeId: ++this.#lastOwnId,
      isFixed: this.#options.isFixed,
      onFound: (judged) => this.#found(initialize, answered, judged),
    });
  }

  #endProbe(): void {
    this.#probe?.[Symbol.dispose]();
    this.#probe = null;
  }

  #found(initialize: RpcRequest, answered: Reply | null, judged: Judged | null): void {
    this.#probe = null;
    const { memory, key, isFixed } = this.#options;
    if (judged?.kind === "modern") {
      memory.probeAgain(key);
      void this.#beModern(initialize, judged.discovered);
    } else if (judged?.kind === "failed") this.#events.onRequestFailed(initialize.id, judged.failure);
    else if (isFixed) this.#events.onRequestFailed(initialize.id, NOT_MODERN);
    else {
      if (judged === null) memory.leaveUnprobed(key);
      this.#initialize = initialize;
      if (answered === null) this.#transport.send(initialize);
      else void this.#initialized(answered, true);
    }
  }

  async #beModern(initialize: RpcRequest, discovered: JsonObject): Promise<void> {
    const { clock, callerMarks, over, isFixed, open } = this.#options;
    const nextId = (): number => ++this.#lastOwnId;
    const modern = new ModernServer({
      transport: this.#transport,
      events: {
        ...this.#events,
        onRequestFailed: (id, failure) => {
          if (failure.kind === "session_lost") this.#isChanged = true;
          this.#events.onRequestFailed(id, failure);
        },
      },
      clock,
      initialize: initialize.params ?? {},
      discovered,
      nextId,
      callerMarks,
    });
    this.#modern = modern;
    this.#spoke(MODERN_VERSION);
    if (over === "http" && !isFixed)
      this.#legacy = new LegacySession({ open, events: this.#events, clock, nextId });
    await this.#initializeBoth(modern, initialize, false);
  }

  async #initializeBoth(modern: ModernServer, initialize: RpcRequest, isRepeated: boolean): Promise<void> {
    const { discovered } = modern;
    const legacy = this.#legacy;
    const begun: Begun = legacy === null ? { kind: "refused" } : await legacy.begin(initialize);
    if (this.#closing !== null || this.#modern !== modern) return;
    // The server cannot be reached, so nothing suggests that it stopped speaking 2025-11-25.
    if (isRepeated && begun.kind === "failed" && isConnectionLost(begun.failure)) {
      this.#events.onRequestFailed(initialize.id, begun.failure);
      return;
    }
    let { capabilities } = discovered;
    if (begun.kind !== "begun") this.#dropLegacy();
    else {
      const answer = begun.result;
      const offers = (one: unknown): boolean =>
        isJsonObject(one) && isJsonObject(one["resources"]) && one["resources"]["subscribe"] === true;
      const isLegacyOnly = offers(answer["capabilities"]) && !offers(capabilities);
      this.#subscribesOver = isLegacyOnly ? "legacy" : "modern";
      capabilities = eitherCapabilities(capabilities, answer["capabilities"]);
    }
    void this.#answer(initialize.id, { result: initializeResult({ ...discovered, capabilities }) });
  }

  #take(message: unknown, streamOf: RpcId | null): Promise<void> | null {
    if (this.#modern !== null) return this.#modern.take(message, streamOf);
    if (this.#probe?.take(message) === true) return null;
    if (!isJsonObject(message) || message["method"] !== undefined)
      return this.#events.onMessage(message, streamOf);
    const { id, error } = message;
    if (this.#initialize !== null && id === this.#initialize.id) {
      const answer = classifyMessage(message);
      if (answer.kind === "response") return this.#initialized(answer.reply, false);
    }
    // A remote server may have been replaced by a server that speaks 2026-07-28 only.
    const isOther = isJsonObject(error) && error["code"] === UNSUPPORTED_VERSION;
    if (!isOther || this.#options.over === "process") return this.#events.onMessage(message, streamOf);
    this.#events.onRequestFailed(id as RpcId, OTHER_VERSION);
    return null;
  }

  /** `wasProbed`: a probe sent after this reply has shown that the server is a legacy server. */
  #initialized(reply: Reply, wasProbed: boolean): Promise<void> | null {
    const initialize = this.#initialize;
    if (initialize === null) return null;
    this.#initialize = null;
    const { memory, key } = this.#options;
    if (isError(reply)) {
      if (wasProbed || !mayBeModern(reply)) return this.#answer(initialize.id, reply);
      memory.probeAgain(key);
      this.#startProbe(initialize, reply);
      return null;
    }
    const { protocolVersion, serverInfo } = reply.result;
    if (protocolVersion === MODERN_VERSION) {
      const why = `the server answers initialize with ${MODERN_VERSION}, which has no initialize`;
      const failure = transportFailure("protocol", why, "use another version of the server");
      this.#events.onRequestFailed(initialize.id, failure);
      return null;
    }
    memory.initialized(key, JSON.stringify(serverInfo) ?? "");
    if (isProtocolVersion(protocolVersion)) this.#spoke(protocolVersion);
    return this.#answer(initialize.id, reply);
  }

  #spoke(version: SpokenVersion): void {
    const { backend, memory, logger } = this.#options;
    const before = memory.spoke(backend, version);
    if (before === null) logger.info("a server's protocol version was found", { backend, version });
    else if (before !== version) {
      logger.info("a server speaks another protocol version than before", { backend, version, before });
    }
  }

  #requestFailed(id: RpcId, failure: TransportFailure): void {
    if (this.#modern !== null) this.#modern.requestFailed(id, failure);
    else if (this.#probe?.requestFailed(id, failure) !== true) this.#events.onRequestFailed(id, failure);
  }
}

/** True if the failure, such as a broken connection, says nothing about the server's versions. */
function isConnectionLost(failure: TransportFailure): boolean {
  return failure.kind === "closed" || (failure.status ?? 0) >= 500 || judgeFailure(failure).kind === "failed";
}

// Which servers did not answer a probe, and which version each backend spoke last; kept while the daemon runs.

const MOST = 1_000;

export class VersionCache {
  /**
   * Keys: the connections of servers that did not answer a probe. Values: the `serverInfo` of these servers; null:
   * not known yet.
   */
  readonly #unprobed = new Map<string, string | null>();
  readonly #spoken = new Map<string, SpokenVersion>();

  /** True if this server left an earlier probe without an answer. It then gets `initialize` without another probe. */
  isUnprobed(key: string): boolean {
    return this.#unprobed.has(key);
  }

  leaveUnprobed(key: string): void {
    this.#unprobed.set(key, null);
    dropOldest(this.#unprobed, MOST);
  }

  probeAgain(key: string): void {
    this.#unprobed.delete(key);
  }

  /**
   * Call when the server has answered `initialize`. If `server` names another server or release than before, the
   * server is probed again at the next start.
   */
  initialized(key: string, server: string): void {
    const known = this.#unprobed.get(key);
    if (known === null) this.#unprobed.set(key, server);
    else if (known !== server) this.#unprobed.delete(key);
  }

  /** Returns the version that the backend spoke before; null: it is new. */
  spoke(backend: string, version: SpokenVersion): SpokenVersion | null {
    const before = this.#spoken.get(backend) ?? null;
    this.#spoken.set(backend, version);
    return before;
  }
}
