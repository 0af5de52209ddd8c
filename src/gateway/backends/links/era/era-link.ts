// A link that presents a server of 2025-11-25, whatever is behind it: it finds out which version the server speaks at
// each `initialize`, and puts itself between where that is 2026-07-28.
import type { Logger } from "../../../../runtime/log/log.ts";
import type { Clock } from "../../../../runtime/time/clock.ts";
import type { CallerMarks } from "../../../caller-marks.ts";
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
import type { EraMemory } from "./era-memory.ts";
import { mayBeModern } from "./judge-discover.ts";
import { ModernServer } from "./modern-server.ts";
import { bringsState, initializeResult, olderRequest } from "./older-form.ts";
import { type Found, Probe } from "./probe.ts";

/** Ids of our own requests: a server may take them for no more than 32 bits, and the instance counts up from 1. */
const FIRST_OWN_ID = 1_000_000_000;

const STATE_GONE =
  "this requestState is of a server that spoke another version of MCP before it was started anew; make the call again without it";

interface EraOptions {
  readonly backend: string;
  /** The connection's key: what was learned of a server is kept under it. */
  readonly key: string;
  /** Opens what carries the messages; a program may be started twice. */
  readonly open: OpenLink;
  /** It is a program that is started, and no HTTP server. */
  readonly isProcess: boolean;
  /** The server is another machine's gateway, which is told which client a request is of; absent: it is not. */
  readonly callerMarks?: CallerMarks;
  readonly memory: EraMemory;
  readonly clock: Clock;
  readonly logger: Logger;
}

export function openEraLink(options: EraOptions): OpenLink {
  return (events) => new EraLink(options, events);
}

class EraLink implements BackendLink {
  readonly #options: EraOptions;
  readonly #events: LinkEvents;
  #link: BackendLink;
  /** Counts the links that were opened: what an earlier one tells is dropped. */
  #turn = 0;
  #probe: Probe | null = null;
  #modern: ModernServer | null = null;
  /** The instance's, until it is answered; null: none is open. */
  #initialize: RpcRequest | null = null;
  /** It was started again without a probe, which may have ended it. */
  #isSecond = false;
  #closing: Promise<void> | null = null;
  #lastOwnId = FIRST_OWN_ID;

  constructor(options: EraOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#link = this.#open();
  }

  get pid(): number | null {
    return this.#link.pid;
  }

  get backlogBytes(): number {
    return this.#link.backlogBytes;
  }

  send(message: RpcMessage, sender: Sender | null = null): void {
    if ("method" in message && message.method === "initialize" && "id" in message) this.#begin(message);
    else if (this.#modern !== null) this.#modern.send(message, sender);
    else if (this.#probe === null) this.#sendOlder(message);
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
    else this.#modern.established();
  }

  toolFault(tool: JsonObject): string | null {
    if (this.#modern === null || this.#link.stateless === undefined) return null;
    return this.#modern.toolFault(tool);
  }

  close(): Promise<void> {
    if (this.#closing === null) {
      // It had all its time, and answered nothing: the next start does not probe.
      const { isProcess, memory, key } = this.#options;
      if (isProcess && this.#probe?.isSilent === true) memory.leaveUnprobed(key);
      this.#endProbe();
      this.#modern?.dispose(null);
      this.#turn++;
      this.#closing = this.#link.close();
    }
    return this.#closing;
  }

  #open(): BackendLink {
    const turn = ++this.#turn;
    const events = this.#events;
    const isHeard = (): boolean => turn === this.#turn;
    return this.#options.open({
      onMessage: (message, streamOf) => (isHeard() ? this.#take(message, streamOf) : null),
      onRequestFailed: (id, failure) => {
        if (isHeard()) this.#requestFailed(id, failure);
      },
      onDoubt: () => {
        if (isHeard()) events.onDoubt();
      },
      onGap: () => {
        if (isHeard()) events.onGap();
      },
      onClosed: (failure) => {
        if (isHeard()) this.#closed(failure);
      },
      onLogLine: (line) => {
        if (!isHeard()) return;
        this.#probe?.onOutput(line);
        events.onLogLine(line);
      },
    });
  }

  #begin(initialize: RpcRequest): void {
    this.#modern?.dispose(linkFailure("closed", "the server was initialized anew"));
    this.#modern = null;
    this.#endProbe();
    if (this.#isPlain) this.#initializePlainly(initialize);
    else this.#startProbe(initialize, null);
  }

  /** This start goes without a probe. */
  get #isPlain(): boolean {
    const { memory, key } = this.#options;
    return memory.isUnprobed(key) || memory.onlyStart(key) === "plain";
  }

  #initializePlainly(initialize: RpcRequest): void {
    this.#initialize = initialize;
    this.#link.send(initialize);
  }

  #startProbe(initialize: RpcRequest, answered: Reply | null): void {
    const { clock, isProcess, memory, key } = this.#options;
    this.#initialize = null;
    this.#probe = new Probe({
      link: this.#link,
      clock,
      isProcess,
      isPatient: memory.isLate(key),
      initialize,
      probeId: ++this.#lastOwnId,
      answered,
      onFound: (found) => this.#found(initialize, found),
    });
  }

  #endProbe(): void {
    this.#probe?.[Symbol.dispose]();
    this.#probe = null;
  }

  #found(initialize: RpcRequest, found: Found): void {
    this.#probe = null;
    const { memory, key } = this.#options;
    if (found.kind !== "harmed" && found.kind !== "failed") memory.started(key);
    switch (found.kind) {
      case "modern":
        memory.probeAgain(key);
        this.#beModern(initialize, found.discovered);
        return;
      case "older":
        if (found.wasSilent) memory.leaveUnprobed(key);
        this.#initialize = initialize;
        if (found.reply !== null) void this.#initialized(found.reply, null);
        return;
      case "failed":
        this.#events.onRequestFailed(initialize.id, found.failure);
        return;
      case "harmed":
        this.#isSecond = true;
        void this.#startAgain(() => this.#initializePlainly(initialize));
        return;
      case "settled":
        memory.waitFor(key);
        void this.#startAgain(() => this.#startProbe(initialize, null));
    }
  }

  #beModern(initialize: RpcRequest, discovered: JsonObject): void {
    const { clock, callerMarks } = this.#options;
    this.#modern = new ModernServer({
      link: this.#link,
      events: this.#events,
      clock,
      initialize: initialize.params ?? {},
      discovered,
      nextId: () => ++this.#lastOwnId,
      callerMarks,
    });
    this.#spoke(MODERN_VERSION);
    const result = initializeResult(discovered);
    void this.#events.onMessage({ jsonrpc: "2.0", id: initialize.id, result }, null);
  }

  /** The program ended, hung or settled on the older version when it was probed. */
  async #startAgain(begin: () => void): Promise<void> {
    const old = this.#link;
    this.#turn++;
    await old.close();
    if (this.#closing !== null) return;
    this.#link = this.#open();
    begin();
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
    const failure = linkFailure("session_lost", "the server speaks another version of MCP than before");
    this.#events.onRequestFailed(id as RpcId, failure);
    return null;
  }

  /** A server over HTTP was replaced by one that knows no sessions. */
  #isOtherVersion(error: unknown): boolean {
    return !this.#options.isProcess && isJsonObject(error) && error["code"] === UNSUPPORTED_VERSION;
  }

  /** `message`: the answer as it came. */
  #initialized(reply: Reply, message: unknown): Promise<void> | null {
    const initialize = this.#initialize;
    if (initialize === null) return null;
    this.#initialize = null;
    const { memory, key } = this.#options;
    const isPlain = this.#isPlain;
    memory.started(key);
    if ("error" in reply) {
      // It was not probed for what an earlier one did.
      if (isPlain && message !== null && mayBeModern(reply)) {
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
    if (this.#isSecond) memory.leaveUnprobed(key);
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

  #closed(failure: LinkFailure): void {
    const { memory, key, isProcess } = this.#options;
    const only = memory.onlyStart(key);
    const mayBeHarmed = this.#probe?.mayBeHarmed === true;
    // What could not be started at all would not be without the probe either, nor what ended without one before.
    if (mayBeHarmed && failure.kind === "closed" && only === null) this.#probe?.ended();
    else {
      const isAtStart = isProcess && (mayBeHarmed || this.#initialize !== null);
      if (isAtStart && (only !== null || this.#isSecond)) {
        memory.endedAt(key, mayBeHarmed ? "probed" : "plain");
      }
      this.#endProbe();
      this.#modern?.dispose(null);
      this.#events.onClosed(failure);
    }
  }
}
