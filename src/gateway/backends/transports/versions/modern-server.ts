// Presents a server of 2026-07-28 to the gateway as one of 2025-11-25, by converting each message in both directions.
// Requests of modern clients pass unchanged.
import { ShortLivedMap } from "../../../../runtime/short-lived.ts";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { type CallerMarks, withCaller } from "../../../caller-marks.ts";
import {
  classifyMessage,
  errorReply,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  isRpcId,
  type JsonObject,
  METHOD_NOT_FOUND,
  type Reply,
  type RpcId,
  type RpcMessage,
  type RpcRequest,
  rpcNotification,
  rpcRequest,
} from "../../../json-rpc.ts";
import { isWrapped } from "../../../legacy-output.ts";
import { type ParamHeader, paramHeadersOf } from "../../../param-headers.ts";
import {
  HEADER_MISMATCH,
  isLogLevel,
  isModern,
  LIST_CHANGED,
  LISTEN,
  LISTEN_ACKNOWLEDGED,
  type McpLogLevel,
  META,
  RESOURCE_UPDATED,
  TASK_NOTICE,
  UNSUPPORTED_VERSION,
  UNWATCH_TASK,
  WATCH_TASK,
} from "../../../protocol.ts";
import {
  type BackendTransport,
  type Sender,
  type TransportEvents,
  type TransportFailure,
  transportFailure,
} from "../backend-transport.ts";
import { type Asker, ElicitationRounds } from "./elicitation-rounds.ts";
import {
  legacyReply,
  modernCapabilities,
  modernParams,
  requestHeaders,
  withoutSubscription,
} from "./legacy-form.ts";
import { Listening, resourceTopic, taskTopic } from "./listening.ts";
import { judgeFailure, judgeReply, OTHER_VERSION } from "./probe.ts";

const OWN_REQUEST_MS = 5_000;
/** Pause before a retry that the server asks for without asking for input, ms. */
const RETRY_MS = 250;
const MOST_PAGES = 100;
/**
 * The log level for legacy clients that set none: all messages, as from legacy servers on the official SDKs.
 */
const DEFAULT_LEVEL: McpLogLevel = "debug";
/** Statuses by which a legacy server may refuse a request without a session. */
const NOT_UNDERSTOOD: ReadonlySet<number> = new Set([400, 404, 405, 406, 415]);

interface KnownTool {
  readonly headers: readonly ParamHeader[];
  /** The tool's output schema is not that of an object. */
  readonly wraps: boolean;
}

const UNKNOWN_TOOL: KnownTool = { headers: [], wraps: false };

/** One request of the gateway. */
interface Flight extends Asker {
  readonly sender: Sender | null;
  /** A client of 2026-07-28 sent the request. */
  readonly isModern: boolean;
  /** The request's id at the server, which changes when the request is sent again. */
  inner: RpcId;
  /** The server has refused the headers of this call once, and the tools were listed again. */
  relisted: boolean;
}

interface ModernServerOptions {
  readonly transport: BackendTransport;
  readonly events: TransportEvents;
  readonly clock: Clock;
  /** The params of the gateway's `initialize`. The capabilities in these params apply to requests without a sender. */
  readonly initialize: JsonObject;
  readonly discovered: JsonObject;
  readonly nextId: () => number;
  readonly callerMarks: CallerMarks | undefined;
}

export class ModernServer {
  readonly #options: ModernServerOptions;
  readonly #listening: Listening;
  readonly #rounds: ElicitationRounds<Flight>;
  /** By the gateway's id. */
  readonly #flights = new ShortLivedMap<RpcId, Flight>();
  /** The gateway's own id of a request, by the id that the server knows. */
  readonly #renamed = new Map<RpcId, RpcId>();
  /** Handlers for the outcomes of requests that the link itself sends, by the request's id. */
  readonly #own = new Map<RpcId, (outcome: Reply | TransportFailure) => void>();
  readonly #tools = new Map<string, KnownTool>();
  readonly #capabilities = new WeakMap<JsonObject, JsonObject>();
  readonly #declared: JsonObject;
  #level: McpLogLevel | null = null;
  #isProbing = false;
  #over = false;

  constructor(options: ModernServerOptions) {
    const { clock, events, discovered, initialize } = options;
    this.#options = options;
    const { capabilities } = initialize;
    this.#declared = isJsonObject(capabilities) ? capabilities : {};
    this.#listening = new Listening({
      clock,
      capabilities: discovered["capabilities"],
      listen: (notifications) =>
        this.#requestOwn(LISTEN, { notifications }, (how, id) => this.#listening.ended(id, how)),
      abandon: (id) => this.#abandon(id),
      onGap: () => events.onGap(),
    });
    this.#rounds = new ElicitationRounds({
      nextId: options.nextId,
      request: (flight, request) => void events.onMessage(request, flight.message.id),
      retry: (flight, params, isLater) => this.#retry(flight, params, isLater),
      fail: (flight, reply) => this.#finish(flight, reply),
    });
  }

  get discovered(): JsonObject {
    return this.#options.discovered;
  }

  /** The gateway's request with this id is in flight here. */
  has(id: unknown): boolean {
    return this.#flights.has(id as RpcId);
  }

  /** The called tool's output has to be converted for legacy clients. */
  wraps({ method, params }: RpcRequest): boolean {
    return method === "tools/call" && this.#toolOf(params).wraps;
  }

  established(): void {
    this.#listening.start();
  }

  /** Requests in flight fail with `failure`. If `failure` is null, they are dropped. */
  dispose(failure: TransportFailure | null): void {
    this.#over = true;
    this.#listening[Symbol.dispose]();
    const flights = [...this.#flights.keys()];
    this.#flights.clear();
    if (failure !== null) for (const id of flights) this.#options.events.onRequestFailed(id, failure);
  }

  send(message: RpcMessage, sender: Sender | null): void {
    if (!("method" in message)) {
      if (message.id === null) return;
      const reply = "error" in message ? { error: message.error } : { result: message.result };
      this.#rounds.take(message.id, reply);
    } else if (!("id" in message)) {
      // Modern servers accept only this notification.
      if (message.method === "notifications/cancelled") this.#cancel(message.params);
    } else this.#request(message, sender);
  }

  take(message: unknown, streamOf: RpcId | null): Promise<void> | null {
    const { events } = this.#options;
    const classified = classifyMessage(message);
    if (classified.kind === "response" && classified.id !== null) {
      return this.#takeReply(classified.id, classified.reply, message, streamOf);
    }
    if (classified.kind === "notification") {
      return this.#takeNotification(message, classified.message.method, classified.message.params, streamOf);
    }
    if (classified.kind === "request") {
      const { id, method } = classified.message;
      const { transport } = this.#options;
      events.onLogLine(`the server sent a request (${method}), which 2026-07-28 does not allow`);
      const refusal = errorReply(METHOD_NOT_FOUND, "servers of 2026-07-28 send no requests");
      if (transport.stateless === undefined) transport.send({ jsonrpc: "2.0", id, ...refusal });
      return null;
    }
    return events.onMessage(message, this.outer(streamOf));
  }

  requestFailed(id: RpcId, failure: TransportFailure): void {
    const own = this.#own.get(id);
    if (own !== undefined) {
      this.#own.delete(id);
      own(failure);
      return;
    }
    const flight = this.#flightOf(id);
    if (flight === undefined) return;
    this.#forget(flight);
    const mayBeLegacy = failure.kind === "refused" && NOT_UNDERSTOOD.has(failure.status ?? 0);
    if (mayBeLegacy)
      void this.#isStillModern().then((is) => this.#fail(flight, is ? failure : OTHER_VERSION));
    else this.#fail(flight, failure);
  }

  /** Why this tool cannot be called over HTTP; null: it can. */
  toolFault(tool: JsonObject): string | null {
    const wanted = paramHeadersOf(tool["inputSchema"]);
    return "fault" in wanted ? wanted.fault : null;
  }

  #request(message: RpcRequest, sender: Sender | null): void {
    const { id, method, params } = message;
    switch (method) {
      case "ping":
        this.#requestOwn("server/discover", undefined, (outcome) => {
          if (!("kind" in outcome)) this.#reply(id, { result: {} });
          else this.#options.events.onRequestFailed(id, outcome);
        });
        return;
      case "logging/setLevel":
        this.#level = isLogLevel(params?.["level"]) ? params["level"] : this.#level;
        queueMicrotask(() => this.#reply(id, { result: {} }));
        return;
      case "resources/subscribe":
      case "resources/unsubscribe":
        this.#subscription(id, method === "resources/subscribe", "uri", params);
        return;
      case WATCH_TASK:
      case UNWATCH_TASK:
        this.#subscription(id, method === WATCH_TASK, "taskId", params);
        return;
    }
    const flight: Flight = {
      message,
      sender,
      isModern: isModern(params),
      inner: id,
      relisted: false,
      rounds: 0,
      pages: [],
    };
    this.#flights.set(id, flight);
    this.#dispatch(flight, params);
  }

  #subscription(id: RpcId, begins: boolean, key: "uri" | "taskId", params: JsonObject | undefined): void {
    const name = params?.[key];
    if (typeof name !== "string") {
      queueMicrotask(() => this.#reply(id, errorReply(INVALID_PARAMS, `\`${key}\` must be a string`)));
      return;
    }
    const topic = key === "uri" ? resourceTopic(name) : taskTopic(name);
    if (begins) {
      void this.#listening.subscribe(topic).then((reply) => this.#reply(id, reply));
    } else {
      this.#listening.unsubscribe(topic);
      queueMicrotask(() => this.#reply(id, { result: {} }));
    }
  }

  #dispatch({ message, sender, isModern: isAsIs, inner }: Flight, params: JsonObject | undefined): void {
    const { callerMarks } = this.#options;
    const modern = isAsIs ? params : modernParams(params, this.#clientMeta(sender));
    // A mark identifies a session, and a modern client has no session.
    const mark = sender === null || isAsIs ? null : (callerMarks?.(sender) ?? null);
    const sent = callerMarks === undefined ? modern : withCaller(modern, mark);
    this.#post(rpcRequest(inner, message.method, sent));
  }

  #clientMeta(sender: Sender | null): Parameters<typeof modernParams>[1] {
    const { clientInfo } = this.#options.initialize;
    const declared = sender?.capabilities ?? this.#declared;
    let capabilities = this.#capabilities.get(declared);
    if (capabilities === undefined) {
      capabilities = modernCapabilities(declared);
      this.#capabilities.set(declared, capabilities);
    }
    const logLevel = sender === null ? this.#level : (sender.logLevel ?? DEFAULT_LEVEL);
    return { clientInfo, capabilities, logLevel };
  }

  #post(message: RpcRequest): void {
    const { transport } = this.#options;
    if (transport.stateless === undefined) transport.send(message);
    else {
      const { method, params } = message;
      const wanted = method === "tools/call" ? this.#toolOf(params).headers : [];
      transport.stateless.send(message, requestHeaders(method, params, wanted));
    }
  }

  #toolOf(params: JsonObject | undefined): KnownTool {
    const name = params?.["name"];
    return (typeof name === "string" ? this.#tools.get(name) : undefined) ?? UNKNOWN_TOOL;
  }

  #requestOwn(
    method: string,
    params: JsonObject | undefined,
    onOutcome: (outcome: Reply | TransportFailure, id: RpcId) => void,
  ): RpcId {
    const id = this.#options.nextId();
    this.#own.set(id, (outcome) => onOutcome(outcome, id));
    const meta = { ...this.#clientMeta(null), logLevel: null, takesTasks: method === LISTEN };
    this.#post(rpcRequest(id, method, modernParams(params, meta)));
    return id;
  }

  /** Sends a request from the gateway itself, with a timeout. */
  #requestInTime(method: string, params: JsonObject | undefined): Promise<Reply | TransportFailure> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const timer = clock.setTimer(OWN_REQUEST_MS, () => {
        this.#abandon(id);
        resolve(transportFailure("unreachable", `no answer to ${method}`));
      });
      const id = this.#requestOwn(method, params, (outcome) => {
        timer[Symbol.dispose]();
        resolve(outcome);
      });
    });
  }

  #cancel(params: JsonObject | undefined): void {
    const flight = this.#flights.get(params?.["requestId"] as RpcId);
    if (flight === undefined) return;
    this.#rounds.drop(flight);
    this.#forget(flight);
    this.#abandon(flight.inner, params?.["reason"]);
  }

  #abandon(id: RpcId, reason?: unknown): void {
    const { transport } = this.#options;
    this.#own.delete(id);
    if (transport.stateless !== undefined) transport.stateless.abandon(id);
    else {
      const params = reason === undefined ? { requestId: id } : { requestId: id, reason };
      transport.send(rpcNotification("notifications/cancelled", params));
    }
  }

  outer(id: RpcId | null): RpcId | null {
    return id === null || this.#renamed.size === 0 ? id : (this.#renamed.get(id) ?? id);
  }

  #flightOf(id: RpcId): Flight | undefined {
    return this.#flights.get(this.#renamed.get(id) ?? id);
  }

  #forget(flight: Flight): void {
    this.#flights.delete(flight.message.id);
    this.#renamed.delete(flight.inner);
  }

  #reply(id: RpcId, reply: Reply): void {
    if (!this.#over) void this.#options.events.onMessage({ jsonrpc: "2.0", id, ...reply }, null);
  }

  #fail(flight: Flight, failure: TransportFailure): void {
    if (!this.#over) this.#options.events.onRequestFailed(flight.message.id, failure);
  }

  #finish(flight: Flight, reply: Reply): void {
    this.#forget(flight);
    this.#reply(flight.message.id, reply);
  }

  #takeReply(id: RpcId, reply: Reply, message: unknown, streamOf: RpcId | null): Promise<void> | null {
    const own = this.#own.get(id);
    if (own !== undefined) {
      this.#own.delete(id);
      own(reply);
      return null;
    }
    const flight = this.#flightOf(id);
    if (flight === undefined) return this.#options.events.onMessage(message, this.outer(streamOf));
    const { method, params } = flight.message;
    if (isError(reply) && this.#isHandled(flight, reply)) return null;
    if (!isError(reply) && method === "tools/list") this.#learn(reply.result);
    for (const elicitationId of flight.pages.splice(0)) {
      const notice = rpcNotification("notifications/elicitation/complete", { elicitationId });
      void this.#options.events.onMessage(notice, flight.message.id);
    }
    if (flight.isModern) this.#finish(flight, reply);
    else if (!isError(reply) && reply.result["resultType"] === "input_required") {
      this.#rounds.begin(flight, reply.result);
    } else this.#finish(flight, legacyReply(method, reply, this.#toolOf(params).wraps));
    return null;
  }

  /**
   * True if the server refused the form of the request and the refusal was handled: the request has failed, or is
   * sent again with other headers.
   */
  #isHandled(flight: Flight, { error: { code } }: Extract<Reply, { error: unknown }>): boolean {
    const { transport } = this.#options;
    if (code === UNSUPPORTED_VERSION) {
      this.#forget(flight);
      this.#fail(flight, OTHER_VERSION);
      return true;
    }
    const isCall = flight.message.method === "tools/call";
    if (code !== HEADER_MISMATCH || transport.stateless === undefined || !isCall || flight.relisted)
      return false;
    flight.relisted = true;
    void this.#listTools().then(() => {
      if (this.#flights.get(flight.message.id) === flight) this.#sendAgain(flight, flight.message.params);
    });
    return true;
  }

  /**
   * Reads the server's changed tools, for the headers that calls need, and tells the gateway that the lists
   * have changed.
   */
  async #listTools(): Promise<void> {
    let cursor: unknown;
    for (let page = 0; page < MOST_PAGES; page++) {
      const outcome = await this.#requestInTime("tools/list", cursor === undefined ? undefined : { cursor });
      if ("kind" in outcome || isError(outcome)) break;
      this.#learn(outcome.result);
      cursor = outcome.result["nextCursor"];
      if (typeof cursor !== "string") break;
    }
    const changed = rpcNotification(LIST_CHANGED.tools, undefined);
    if (!this.#over) void this.#options.events.onMessage(changed, null);
  }

  #learn({ tools }: JsonObject): void {
    if (!Array.isArray(tools)) return;
    for (const tool of tools) {
      if (!isJsonObject(tool) || typeof tool["name"] !== "string") continue;
      const wanted = paramHeadersOf(tool["inputSchema"]);
      const headers = "fault" in wanted ? [] : wanted;
      const wraps = isWrapped(tool["outputSchema"]);
      if (headers.length > 0 || wraps) this.#tools.set(tool["name"], { headers, wraps });
      else this.#tools.delete(tool["name"]);
    }
  }

  #retry(flight: Flight, params: JsonObject, isLater: boolean): void {
    if (!isLater) this.#sendAgain(flight, params);
    else {
      this.#options.clock.setTimer(RETRY_MS, () => {
        if (this.#flights.get(flight.message.id) === flight) this.#sendAgain(flight, params);
      });
    }
  }

  #sendAgain(flight: Flight, params: JsonObject | undefined): void {
    if (this.#over) return;
    this.#renamed.delete(flight.inner);
    flight.inner = this.#options.nextId();
    this.#renamed.set(flight.inner, flight.message.id);
    this.#dispatch(flight, params);
  }

  async #isStillModern(): Promise<boolean> {
    if (this.#isProbing) return true;
    this.#isProbing = true;
    const outcome = await this.#requestInTime("server/discover", undefined);
    this.#isProbing = false;
    const judged = "kind" in outcome ? judgeFailure(outcome) : judgeReply(outcome);
    return judged.kind !== "legacy";
  }

  #takeNotification(
    message: unknown,
    method: string,
    params: JsonObject | undefined,
    streamOf: RpcId | null,
  ): Promise<void> | null {
    const { events } = this.#options;
    const meta = params?.["_meta"];
    const named = isJsonObject(meta) ? meta[META.subscriptionId] : undefined;
    const stream = named ?? streamOf;
    if (method === LISTEN_ACKNOWLEDGED) {
      this.#listening.acknowledged(stream, params);
      return null;
    }
    if (method === "notifications/cancelled") {
      const id = params?.["requestId"] as RpcId;
      this.#own.get(id)?.(transportFailure("closed", "the server has ended it"));
      this.#own.delete(id);
      return null;
    }
    const isOfStream =
      method === RESOURCE_UPDATED || method === TASK_NOTICE || method.endsWith("/list_changed");
    if (!isOfStream)
      return events.onMessage(message, this.outer(streamOf ?? (isRpcId(named) ? named : null)));
    return events.onMessage(rpcNotification(method, withoutSubscription(params)), null);
  }
}
