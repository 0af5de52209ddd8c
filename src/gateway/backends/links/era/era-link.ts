// A link that presents a server of 2025-11-25, whatever is behind it: it finds out which version the server speaks at
// each `initialize`, and puts itself between where that is 2026-07-28. A server that speaks both is spoken with in
// 2025-11-25 as a program, and over HTTP in each client's own version: today's SDKs refuse a tool's questions in
// 2026-07-28 that are asked as servers ask them in 2025-11-25.
import type { CallerMarks } from "../../../caller-marks.ts";
import type { GatewayTools } from "../../../gateway-tools.ts";
import {
  errorReply,
  INVALID_PARAMS,
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
  type BackendLink,
  type LinkEvents,
  type LinkFailure,
  linkFailure,
  type OpenLink,
  type Sender,
} from "../backend-link.ts";
import { type Begun, eitherCapabilities, LegacySession } from "./legacy-session.ts";
import { ModernServer } from "./modern-server.ts";
import { bringsState, initializeResult, olderRequest } from "./older-form.ts";
import { type Judged, judgeFailure, mayBeModern, OTHER_VERSION, Probe } from "./probe.ts";

/** Ids of our own requests: a server may take them for no more than 32 bits, and the instance counts up from 1. */
const FIRST_OWN_ID = 1_000_000_000;

const STATE_GONE =
  "this requestState is of a server that spoke another version of MCP before it was started anew; make the call again without it";

const NOT_MODERN = linkFailure(
  "protocol",
  `the server does not speak ${MODERN_VERSION}`,
  'remove `protocol = "2026-07-28"` from its section',
);
const INITIALIZED_ANEW = linkFailure("closed", "the server was initialized anew");
const SUBSCRIBES: ReadonlySet<string> = new Set(["resources/subscribe", "resources/unsubscribe"]);

interface EraOptions extends GatewayTools {
  readonly backend: string;
  /** The connection's key: what was learned of a server is kept under it. */
  readonly key: string;
  /** Opens what carries the messages; over HTTP a second one may be opened beside it. */
  readonly open: OpenLink;
  /** `process`: a program that is started, whose connection has one version; `stream`: another machine's gateway. */
  readonly over: "process" | "http" | "stream";
  /** Nothing but 2026-07-28 is spoken. */
  readonly isPinned: boolean;
  /** The server is another machine's gateway, which is told which client a request is of; absent: it is not. */
  readonly callerMarks?: CallerMarks;
  readonly memory: EraMemory;
}

export function openEraLink(options: EraOptions): OpenLink {
  return (events) => new EraLink(options, events);
}

class EraLink implements BackendLink {
  readonly #options: EraOptions;
  readonly #events: LinkEvents;
  readonly #link: BackendLink;
  #probe: Probe | null = null;
  #modern: ModernServer | null = null;
  /** Beside `#modern`, of a server that speaks both. */
  #legacy: LegacySession | null = null;
  /** Who subscribes to resources: the version in which the server offers it. */
  #subscribesOver: "modern" | "legacy" = "modern";
  /** The instance's, until it is answered; null: none is open. */
  #initialize: RpcRequest | null = null;
  /** The server that was of 2026-07-28 is another one now. */
  #isChanged = false;
  #closing: Promise<void> | null = null;
  #lastOwnId = FIRST_OWN_ID;

  constructor(options: EraOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#link = options.open({
      ...events,
      onMessage: (message, streamOf) => this.#take(message, streamOf),
      onRequestFailed: (id, failure) => this.#requestFailed(id, failure),
      onClosed: (failure) => {
        this.#endProbe();
        this.#modern?.dispose(null);
        events.onClosed(failure);
      },
    });
  }

  get pid(): number | null {
    return this.#link.pid;
  }

  get backlogBytes(): number {
    return this.#link.backlogBytes + (this.#legacy?.backlogBytes ?? 0);
  }

  send(message: RpcMessage, sender: Sender | null = null): void {
    if ("method" in message && message.method === "initialize" && "id" in message) this.#begin(message);
    else if (this.#modern !== null) this.#sendEither(this.#modern, message, sender);
    else if (this.#probe === null) this.#sendOlder(message);
  }

  /** A client's request goes out in that client's version. */
  #sendEither(modern: ModernServer, message: RpcMessage, sender: Sender | null): void {
    const legacy = this.#legacy;
    if (legacy === null) modern.send(message, sender);
    else if (!("method" in message)) {
      if (message.id !== null && legacy.asks(message.id)) legacy.send(message, sender);
      else modern.send(message, sender);
    } else if (!("id" in message)) {
      const requestId = message.params?.["requestId"];
      if (message.method === "notifications/cancelled" && modern.has(requestId)) modern.send(message, sender);
      else legacy.send(message, sender);
    } else if (this.#isForLegacy(message, sender, modern)) legacy.send(message, sender);
    else {
      if (message.method === "logging/setLevel") legacy.tell(message.method, message.params);
      modern.send(message, sender);
    }
  }

  #isForLegacy(message: RpcRequest, sender: Sender | null, modern: ModernServer): boolean {
    if (SUBSCRIBES.has(message.method)) return this.#subscribesOver === "legacy";
    if (message.method === "ping") return this.#legacy?.isDoubted === true;
    return sender !== null && !isModern(message.params) && !modern.wraps(message);
  }

  #sendOlder(message: RpcMessage): void {
    if (!("method" in message) || !("id" in message) || !bringsState(message)) {
      this.#link.send(olderRequest(message));
      return;
    }
    // It would run as a new call.
    const { id } = message;
    const reply = errorReply(INVALID_PARAMS, STATE_GONE);
    queueMicrotask(() => void this.#events.onMessage({ jsonrpc: "2.0", id, ...reply }, null));
  }

  established(version: SpokenVersion): void {
    if (this.#modern === null) this.#link.established(version);
    else {
      this.#modern.established();
      this.#legacy?.established();
    }
  }

  toolFault(tool: JsonObject): string | null {
    if (this.#modern === null || this.#link.stateless === undefined) return null;
    return this.#modern.toolFault(tool);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#endProbe();
    this.#modern?.dispose(null);
    await Promise.all([this.#link.close(), this.#legacy?.close(null)]);
  }

  #begin(initialize: RpcRequest): void {
    if (this.#modern !== null && this.#legacy !== null && !this.#isChanged) {
      // Only its session of 2025-11-25 was lost: what goes on in the other version has no session.
      void this.#initializeBoth(this.#modern, initialize, true);
      return;
    }
    this.#isChanged = false;
    this.#modern?.dispose(INITIALIZED_ANEW);
    this.#modern = null;
    this.#dropLegacy();
    this.#endProbe();
    const { over, isPinned, memory, key } = this.#options;
    // A program that speaks both serves the version of the first message that it gets.
    if (!isPinned && (over === "process" || memory.isUnprobed(key))) {
      this.#initialize = initialize;
      this.#link.send(initialize);
    } else this.#startProbe(initialize, null);
  }

  #dropLegacy(): void {
    const legacy = this.#legacy;
    this.#legacy = null;
    void legacy?.close(INITIALIZED_ANEW);
    this.#subscribesOver = "modern";
  }

  #startProbe(initialize: RpcRequest, answered: Reply | null): void {
    this.#initialize = null;
    this.#probe = new Probe({
      link: this.#link,
      clock: this.#options.clock,
      initialize,
      probeId: ++this.#lastOwnId,
      isPinned: this.#options.isPinned,
      onFound: (judged) => this.#found(initialize, answered, judged),
    });
  }

  #endProbe(): void {
    this.#probe?.[Symbol.dispose]();
    this.#probe = null;
  }

  /** `answered`: it got `initialize` first, and said this. */
  #found(initialize: RpcRequest, answered: Reply | null, judged: Judged | null): void {
    this.#probe = null;
    const { memory, key, isPinned } = this.#options;
    if (judged?.kind === "modern") {
      memory.probeAgain(key);
      void this.#beModern(initialize, judged.discovered);
    } else if (judged?.kind === "failed") this.#events.onRequestFailed(initialize.id, judged.failure);
    else if (isPinned) this.#events.onRequestFailed(initialize.id, NOT_MODERN);
    else {
      if (judged === null) memory.leaveUnprobed(key);
      this.#initialize = initialize;
      if (answered === null) this.#link.send(initialize);
      else void this.#initialized(answered, null);
    }
  }

  async #beModern(initialize: RpcRequest, discovered: JsonObject): Promise<void> {
    const { clock, callerMarks, over, isPinned, open } = this.#options;
    const nextId = (): number => ++this.#lastOwnId;
    const modern = new ModernServer({
      link: this.#link,
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
    if (over === "http" && !isPinned) {
      const legacy = new LegacySession({ open, events: this.#events, clock, nextId });
      this.#legacy = legacy;
    }
    await this.#initializeBoth(modern, initialize, false);
  }

  async #initializeBoth(modern: ModernServer, initialize: RpcRequest, isAnew: boolean): Promise<void> {
    const { discovered } = modern;
    const legacy = this.#legacy;
    const begun: Begun = legacy === null ? { kind: "refused" } : await legacy.begin(initialize);
    if (this.#closing !== null || this.#modern !== modern) return;
    // What it spoke before it still speaks, for all that is known: it is away.
    if (isAnew && begun.kind === "failed" && isAway(begun.failure)) {
      this.#events.onRequestFailed(initialize.id, begun.failure);
      return;
    }
    let { capabilities } = discovered;
    if (begun.kind !== "begun") this.#dropLegacy();
    else {
      const answer = begun.result;
      const offers = (one: unknown): boolean =>
        isJsonObject(one) && isJsonObject(one["resources"]) && one["resources"]["subscribe"] === true;
      const isLegacyAlone = offers(answer["capabilities"]) && !offers(capabilities);
      this.#subscribesOver = isLegacyAlone ? "legacy" : "modern";
      capabilities = eitherCapabilities(capabilities, answer["capabilities"]);
    }
    const result = initializeResult({ ...discovered, capabilities });
    void this.#events.onMessage({ jsonrpc: "2.0", id: initialize.id, result }, null);
  }

  #take(message: unknown, streamOf: RpcId | null): Promise<void> | null {
    if (this.#modern !== null) return this.#modern.take(message, streamOf);
    if (this.#probe?.take(message) === true) return null;
    if (!isJsonObject(message) || message["method"] !== undefined)
      return this.#events.onMessage(message, streamOf);
    if (this.#initialize !== null && message["id"] === this.#initialize.id) {
      const { result, error } = message;
      if (isJsonObject(result)) return this.#initialized({ result }, message);
      if (isJsonObject(error)) return this.#initialized({ error: error as never }, message);
    }
    const { id, error } = message;
    if (error === undefined || !this.#isOtherVersion(error)) return this.#events.onMessage(message, streamOf);
    this.#events.onRequestFailed(id as RpcId, OTHER_VERSION);
    return null;
  }

  /** A server over HTTP was replaced by one that knows no sessions. */
  #isOtherVersion(error: unknown): boolean {
    const { over } = this.#options;
    return over !== "process" && isJsonObject(error) && error["code"] === UNSUPPORTED_VERSION;
  }

  /** `message`: the answer as it came; null: the probe was answered, too. */
  #initialized(reply: Reply, message: unknown): Promise<void> | null {
    const initialize = this.#initialize;
    if (initialize === null) return null;
    this.#initialize = null;
    const { memory, key } = this.#options;
    if ("error" in reply) {
      if (message !== null && mayBeModern(reply)) {
        memory.probeAgain(key);
        this.#startProbe(initialize, reply);
        return null;
      }
      return this.#events.onMessage({ jsonrpc: "2.0", id: initialize.id, ...reply }, null);
    }
    const { protocolVersion, serverInfo } = reply.result;
    if (protocolVersion === MODERN_VERSION) {
      const why = `the server answers initialize with ${MODERN_VERSION}, which has no initialize`;
      const failure = linkFailure("protocol", why, "use another version of the server");
      this.#events.onRequestFailed(initialize.id, failure);
      return null;
    }
    memory.initialized(key, JSON.stringify(serverInfo) ?? "");
    if (isProtocolVersion(protocolVersion)) this.#spoke(protocolVersion);
    return this.#events.onMessage({ jsonrpc: "2.0", id: initialize.id, ...reply }, null);
  }

  #spoke(version: SpokenVersion): void {
    const { backend, memory, logger } = this.#options;
    const before = memory.spoke(backend, version);
    if (before === null) logger.info("a backend's protocol version was found", { backend, version });
    else if (before !== version) {
      logger.info("a backend speaks another protocol version than before", { backend, version, before });
    }
  }

  #requestFailed(id: RpcId, failure: LinkFailure): void {
    if (this.#modern !== null) this.#modern.requestFailed(id, failure);
    else if (this.#probe?.requestFailed(id, failure) !== true) this.#events.onRequestFailed(id, failure);
  }
}

/** It says nothing of what the server speaks. */
function isAway(failure: LinkFailure): boolean {
  return failure.kind === "closed" || (failure.status ?? 0) >= 500 || judgeFailure(failure).kind === "failed";
}

// What was learned of servers that do not answer a probe, and which version each backend spoke last; for the daemon's
// life.

const MOST = 1_000;

export class EraMemory {
  /** By connection key: what the server said it was when that was learned; null: it has not said anything yet. */
  readonly #unprobed = new Map<string, string | null>();
  readonly #spoken = new Map<string, SpokenVersion>();

  /** It is silent at a probe: it gets `initialize` first. */
  isUnprobed(key: string): boolean {
    return this.#unprobed.has(key);
  }

  leaveUnprobed(key: string): void {
    const [oldest] = this.#unprobed.keys();
    if (this.#unprobed.size >= MOST && oldest !== undefined) this.#unprobed.delete(oldest);
    this.#unprobed.set(key, null);
  }

  /** The next start probes it again. */
  probeAgain(key: string): void {
    this.#unprobed.delete(key);
  }

  /** It was initialized without a probe. Another server, or another version of it, is probed at its next start. */
  initialized(key: string, server: string): void {
    const known = this.#unprobed.get(key);
    if (known === null) this.#unprobed.set(key, server);
    else if (known !== undefined && known !== server) this.#unprobed.delete(key);
  }

  /** What it spoke before: null for the first time. */
  spoke(backend: string, version: SpokenVersion): SpokenVersion | null {
    const before = this.#spoken.get(backend) ?? null;
    this.#spoken.set(backend, version);
    return before;
  }
}
