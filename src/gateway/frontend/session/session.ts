// One client session, for all transports. It has the client's initialize request, calls in flight, server requests to
// the client, and notifications that are not delivered yet.
import { dropOldest } from "../../../runtime/bounded-map.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { ShortLivedMap } from "../../../runtime/short-lived.ts";
import {
  type ClientHandle,
  mayResumeAs,
  type Principal,
  principalKey,
  type ServerRequest,
} from "../../client-handle.ts";
import {
  BACKEND_UNAVAILABLE,
  type Classified,
  errorReply,
  INVALID_REQUEST,
  idKey,
  isError,
  isJsonObject,
  isRpcId,
  type JsonObject,
  jsonOf,
  type Reply,
  type RpcId,
  type RpcNotification,
  type RpcRequest,
} from "../../json-rpc.ts";
import type { ServingSet } from "../../middleware/middleware.ts";
import {
  isModern,
  LIST_CHANGED,
  type ListKind,
  type McpLogLevel,
  type ProtocolVersion,
  RESOURCE_UPDATED,
  UNSUPPORTED_VERSION,
} from "../../protocol.ts";
import { Call, runCall } from "./call.ts";
import {
  type CallStream,
  type ClientStream,
  NO_STREAM,
  refusalInFlight,
  responseJson,
} from "./client-stream.ts";
import type { FrontGateway, SessionPort } from "./front-contract.ts";
import type { Side } from "./handover-peers.ts";
import { PendingServerRequests } from "./pending-server-requests.ts";
import { MOST_SUBSCRIPTIONS, type SessionRecord } from "./session-record.ts";

/** A subscription to a longer URI is not saved for a restart. */
const LONGEST_SAVED_URI = 1_024;
export const WITHDRAWN = "the token of this request is no longer accepted";
/** Maximum number of listening streams; beyond it the oldest is closed. */
const LISTENING_LIMIT = 4;

export interface SessionOptions
  extends Pick<SessionRecord, "protocolVersion" | "capabilities" | "clientInfo" | "group">,
    Pick<ClientHandle, "principal" | "transport" | "messageLimitBytes" | "folder"> {
  readonly id: string;
  /** The log level of a resumed session. */
  readonly logLevel?: McpLogLevel | null;
  readonly gateway: FrontGateway;
  readonly logger: Logger;
  readonly onAnswered: () => void;
  /** Called once, when the session has ended. */
  readonly onEnded: () => void;
  /** Called when something that is saved has changed. */
  readonly onChanged?: () => void;
  /** Called with a JSON-RPC message about a question or a call that is not known here, and with the side it came from. */
  readonly onForeign?: (text: string, from: Side | null) => void;
}

/** A stream on which the client listens outside of calls. */
export interface ListeningStream extends ClientStream {
  end(): void;
}

export class Session implements SessionPort {
  readonly sessionId: string;
  readonly protocolVersion: ProtocolVersion;
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
  readonly group: string | null;
  readonly folder: string | null;
  readonly transport?: "sse";
  readonly messageLimitBytes?: number;
  logLevel: McpLogLevel | null = null;
  /** Number of calls that have not settled; a cancelled call counts until it settles. */
  inFlight = 0;
  readonly #options: SessionOptions;
  readonly #ended = new AbortController();
  readonly #calls = new ShortLivedMap<ReturnType<typeof idKey>, Call>();
  readonly #questions = new PendingServerRequests((json) => {
    if (this.#isAdmitted) this.#streams.at(-1)?.send(json);
  });
  /** Changed lists of which the client is still to be notified. */
  readonly pendingListChanges = new Set<ListKind>();
  /** URIs of subscribed resources, the oldest first. */
  readonly #subscriptions = new Map<string, true>();
  /** Subscriptions from before a restart that are being renewed. */
  readonly #renewed = new Set<string>();
  /** Subscribed resources that may have changed while the client had no stream. */
  readonly #unseen = new Set<string>();
  /** Streams to the client, oldest first; the newest is in use. */
  readonly #streams: ListeningStream[] = [];
  principal: Principal;
  /** False: the client is no longer admitted, and gets nothing outside of calls until its next request. */
  #isAdmitted = true;

  constructor(options: SessionOptions) {
    this.sessionId = options.id;
    this.principal = options.principal;
    this.protocolVersion = options.protocolVersion;
    this.capabilities = options.capabilities;
    this.clientInfo = options.clientInfo;
    this.group = options.group ?? null;
    this.folder = options.folder ?? null;
    const { transport, messageLimitBytes } = options;
    if (transport !== undefined) this.transport = transport;
    if (messageLimitBytes !== undefined) this.messageLimitBytes = messageLimitBytes;
    this.logLevel = options.logLevel ?? null;
    this.#options = options;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  get openQuestions(): number {
    return this.#questions.size;
  }

  get busy(): boolean {
    return this.inFlight > 0 || this.#streams.length > 0;
  }

  get subscriptions(): readonly string[] {
    return [...this.#subscriptions.keys()];
  }

  setLogLevel(level: McpLogLevel): void {
    this.logLevel = level;
    this.#changed();
  }

  /**
   * Adopts the principal of the newest request. Returns false and changes nothing if the session belongs to another
   * principal.
   */
  identify(principal: Principal): boolean {
    const own = this.principal;
    const key = own === principal ? null : principalKey(own);
    if (key !== null && !mayResumeAs(key, principal)) return false;
    this.#isAdmitted = true;
    if (key === null) return true;
    this.principal = principal;
    this.#options.gateway.identified(this);
    if (key !== principalKey(principal)) this.#changed();
    return true;
  }

  notify(method: string, params: JsonObject | undefined): void {
    if (!this.#isAdmitted) return;
    // The principal's rights may have changed since it subscribed.
    const uri = method === RESOURCE_UPDATED ? params?.["uri"] : null;
    if (typeof uri === "string" && !this.#served.mayBeNotified(this.principal, uri)) return;
    this.#emit(method, params);
  }

  admit(isAdmitted: boolean): void {
    this.#isAdmitted = isAdmitted;
  }

  withdraw(): void {
    this.end(WITHDRAWN);
  }

  listChanged(kind: ListKind): void {
    if (!this.#emit(LIST_CHANGED[kind], undefined)) this.pendingListChanges.add(kind);
    this.#changed();
  }

  async request(...question: ServerRequest): Promise<Reply> {
    const stream = this.#isAdmitted ? this.#streams.at(-1) : undefined;
    if (stream === undefined) return errorReply(BACKEND_UNAVAILABLE, "the client has no open stream");
    const reply = await this.#questions.request(stream, ...question);
    return reply ?? errorReply(BACKEND_UNAVAILABLE, "the client closed the stream it was asked on");
  }

  /** Starts a call; `stream` gets the answer, at the latest when the session ends. */
  serve(message: RpcRequest, stream: CallStream): void {
    const immediate = this.#immediateReply(message);
    if (immediate !== null) {
      stream.answer(message.id, immediate);
      return;
    }
    const { gateway, logger } = this.#options;
    const call = new Call(this, this.#questions, message, stream, this.#served);
    this.#calls.set(idKey(message.id), call);
    this.inFlight += 1;
    runCall(gateway, logger, call, (reply) => {
      this.inFlight -= 1;
      if (!isError(reply)) this.#recordSubscription(message);
      this.#close(call, reply);
      this.#options.onAnswered();
    });
  }

  /**
   * Renews the subscriptions from before a restart, each as soon as its backend is ready. The client is notified of a
   * change of the resource, because a change may have gone unseen.
   */
  subscribeAgain(uris: readonly string[]): void {
    for (const [index, uri] of uris.entries()) {
      const request = (method: string, answer: CallStream["answer"]): void =>
        this.serve(
          { jsonrpc: "2.0", id: `mountaineer-${method}-${index}`, method, params: { uri } },
          { ...NO_STREAM, answer },
        );
      this.#renewed.add(uri);
      request("resources/subscribe", (_, reply) => {
        const isWanted = this.#renewed.delete(uri);
        if (reply === null || isError(reply)) return;
        // The client has unsubscribed while the server was starting.
        if (!isWanted) return request("resources/unsubscribe", NO_STREAM.answer);
        this.#unseen.add(uri);
        this.#notifyUnseen();
      });
    }
  }

  #notifyUnseen(): void {
    if (this.#streams.length === 0) return;
    const unseen = [...this.#unseen];
    this.#unseen.clear();
    for (const uri of unseen) this.notify(RESOURCE_UPDATED, { uri });
  }

  /**
   * Takes a notification of the client, or its response to a question. `from`: another daemon got it from the client; null:
   * the client sent it here.
   */
  handle(
    message: Extract<Classified, { readonly kind: "notification" | "response" }>,
    from: Side | null = null,
  ): void {
    const { onForeign } = this.#options;
    if (message.kind === "notification") {
      if (this.#handleNotification(message.message) || onForeign === undefined) return;
      const json = jsonOf({ ...message.message });
      if (json !== null) onForeign(json, from);
    } else if (!this.#complete(message.id, message.reply))
      onForeign?.(responseJson(message.id, message.reply), from);
  }

  /**
   * Returns false if another daemon must also get the notification: it is about a call or a question that is not known
   * here, or about the client.
   */
  #handleNotification({ method, params }: RpcNotification): boolean {
    if (this.#ended.signal.aborted || method === "notifications/initialized") return true;
    if (method === "notifications/cancelled") return this.#cancel(params);
    if (method === "notifications/progress") return this.#questions.progress(params);
    this.#options.gateway.notified(this, method, params);
    return false;
  }

  #complete(id: RpcId | null, reply: Reply): boolean {
    return typeof id === "string" && this.#questions.complete(id, reply);
  }

  /**
   * If an invalid response names a server's question, answers that question with an error, so that the server does
   * not wait in vain.
   */
  completeInvalid(value: unknown, id: RpcId | null): void {
    if (!isJsonObject(value) || value["method"] !== undefined || typeof id !== "string") return;
    const reply = errorReply(INVALID_REQUEST, "the client's answer is not a JSON-RPC response");
    if (!this.#complete(id, reply)) this.#options.onForeign?.(responseJson(id, reply), null);
  }

  /** Opens a listening stream, and sends it the notifications that could not be delivered before. */
  listen(stream: ListeningStream): void {
    this.#streams.push(stream);
    if (this.#streams.length > LISTENING_LIMIT) this.#streams[0]?.end();
    const owed = [...this.pendingListChanges];
    this.pendingListChanges.clear();
    for (const kind of owed) this.listChanged(kind);
    this.#notifyUnseen();
  }

  /** `stream` is closed: questions that were asked on it get no answer. */
  streamClosed(stream: ClientStream): void {
    const streams: readonly ClientStream[] = this.#streams;
    const index = streams.indexOf(stream);
    if (index >= 0) this.#streams.splice(index, 1);
    this.#questions.drop(stream);
  }

  /** The client has ended its sending side: it may still read, but answers no question. */
  fallSilent(): void {
    this.#questions.end("the client's input has ended");
  }

  /** Ends the listening streams; calls continue. */
  endStreams(): void {
    for (const stream of [...this.#streams]) stream.end();
  }

  /** Aborts the calls in flight, and answers them with `reason`. A second call does nothing. */
  end(reason: string): void {
    if (this.#ended.signal.aborted) return;
    const cause = new MountaineerError("aborted", reason);
    this.#ended.abort(cause);
    const reply = errorReply(BACKEND_UNAVAILABLE, reason);
    for (const call of [...this.#calls.values()]) this.#close(call, reply, cause);
    this.#questions.end(reason);
    this.endStreams();
    this.#options.onEnded();
    this.#options.gateway.closed(this);
  }

  get #served(): ServingSet {
    return this.#options.gateway.served.forClient(this);
  }

  #recordSubscription({ method, params }: RpcRequest): void {
    const uri = params?.["uri"];
    if (typeof uri !== "string" || uri.length > LONGEST_SAVED_URI) return;
    if (method === "resources/subscribe") this.#subscriptions.set(uri, true);
    else if (method === "resources/unsubscribe") {
      this.#subscriptions.delete(uri);
      this.#renewed.delete(uri);
      this.#unseen.delete(uri);
    } else return;
    dropOldest(this.#subscriptions, MOST_SUBSCRIPTIONS);
    this.#changed();
  }

  #changed(): void {
    if (!this.#ended.signal.aborted) this.#options.onChanged?.();
  }

  /** The reply to a request that needs no call; null: the request becomes a call. */
  #immediateReply({ id, method, params }: RpcRequest): Reply | null {
    if (this.#ended.signal.aborted) return errorReply(BACKEND_UNAVAILABLE, "the session has ended");
    if (method === "ping") return { result: {} };
    if (method === "initialize") return errorReply(INVALID_REQUEST, "this session is initialized already");
    // Otherwise the middleware would take the request for one of protocol 2026-07-28.
    if (isModern(params))
      return errorReply(UNSUPPORTED_VERSION, `this session speaks ${this.protocolVersion}`);
    return refusalInFlight(this.#calls.has(idKey(id)), this.inFlight, "this session");
  }

  /** Ends a call, once, with its reply; `aborted`: the call is cancelled. */
  #close(call: Call, reply: Reply | null, aborted?: MountaineerError): void {
    const stream = call.close();
    if (stream === null) return;
    this.#calls.delete(idKey(call.id));
    // The call is aborted before the answer, so that its open questions are withdrawn on its stream.
    if (aborted !== undefined) call.abort(aborted);
    stream.answer(call.id, reply);
  }

  #cancel(params: JsonObject | undefined): boolean {
    const id = params?.["requestId"];
    const call = isRpcId(id) ? this.#calls.get(idKey(id)) : undefined;
    if (call === undefined) return false;
    const reason = params?.["reason"];
    const text = typeof reason === "string" && reason !== "" ? reason : "the client cancelled the request";
    this.#close(call, null, new MountaineerError("aborted", text));
    return true;
  }

  /** Sends a message on the listening stream; false: none is open. */
  notifyWhereItListens(json: string): boolean {
    return this.#streams.at(-1)?.send(json) ?? false;
  }

  #emit(method: string, params: JsonObject | undefined): boolean {
    const stream = this.#streams.at(-1);
    if (stream === undefined) return false;
    const json = jsonOf({ jsonrpc: "2.0", method, params });
    return json !== null && stream.send(json);
  }
}
