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
  type ReachedAt,
  type ServerRequest,
} from "../../client-handle.ts";
import {
  BACKEND_UNAVAILABLE,
  type Classified,
  errorReply,
  INVALID_REQUEST,
  idKey,
  isError,
  isRpcId,
  type JsonObject,
  jsonOf,
  type Reply,
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
import { type CallStream, type ClientStream, NO_STREAM, refusalInFlight } from "./client-stream.ts";
import type { FrontGateway, SessionPort } from "./front-contract.ts";
import { PendingServerRequests } from "./pending-server-requests.ts";
import type { SealedSession } from "./sealed-session.ts";
import type { SessionChange } from "./session-memory.ts";

/** A subscription to a longer URI is not kept for the next daemon. */
const LONGEST_KEPT_URI = 1_024;
/** Maximum number of resource subscriptions that are kept of one session. */
const MOST_SUBSCRIPTIONS = 64;
export const WITHDRAWN = "the token of this request is no longer accepted";
export const RIGHTS_ENDED = "the rights for this request have ended";
/** Maximum number of listening streams; beyond it the oldest is closed. */
const LISTENING_LIMIT = 4;

export interface SessionOptions
  extends Omit<SealedSession, "principal">,
    Pick<ClientHandle, "principal" | "transport" | "messageLimitBytes" | "folder" | "caller"> {
  readonly id: string;
  /** Whose session it is (`principalKey`). Default: the principal's. */
  readonly owner?: string;
  /** The log level of a continued session. */
  readonly logLevel?: McpLogLevel | null;
  readonly gateway: FrontGateway;
  readonly logger: Logger;
  readonly onAnswered: () => void;
  /** Called once, when the session has ended. */
  readonly onEnded: () => void;
  /** Called when the client has changed something that outlasts its requests. */
  readonly onChanged?: (change: SessionChange) => void;
}

/** A notification of a client, or its answer to a question. */
export type ClientNotice = Extract<Classified, { readonly kind: "notification" | "response" }>;

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
  readonly caller: string | null;
  readonly transport?: "sse";
  readonly messageLimitBytes?: number;
  logLevel: McpLogLevel | null = null;
  address?: ReachedAt;
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
  /** Subscriptions that are being renewed. */
  readonly #renewed = new Set<string>();
  /** Subscribed resources that may have changed while the client had no stream. */
  readonly #unseen = new Set<string>();
  /** Streams to the client, oldest first; the newest is in use. */
  readonly #streams: ListeningStream[] = [];
  principal: Principal;
  /** Whose session it is (`principalKey`): the user who has used it first, once one has. */
  owner: string;
  /** False: the client is no longer admitted, and gets nothing outside of calls until its next request. */
  #isAdmitted = true;

  constructor(options: SessionOptions) {
    const { id, principal, protocolVersion, capabilities, clientInfo, group } = options;
    this.sessionId = id;
    this.principal = principal;
    this.owner = options.owner ?? principalKey(principal);
    this.protocolVersion = protocolVersion;
    this.capabilities = capabilities;
    this.clientInfo = clientInfo;
    this.group = group;
    this.folder = options.folder ?? null;
    this.caller = options.caller ?? null;
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
    if (level === this.logLevel) return;
    this.logLevel = level;
    this.#changed({ kind: "level", level });
  }

  /**
   * Adopts the principal of the newest request. Returns false and changes nothing if the session belongs to another
   * principal.
   */
  identify(principal: Principal): boolean {
    const isSame = this.principal === principal;
    if (!isSame && !mayResumeAs(this.owner, principal)) return false;
    this.#isAdmitted = true;
    if (isSame) return true;
    this.principal = principal;
    this.#options.gateway.identified(this);
    if (principal.kind !== "anonymous") this.own(principalKey(principal));
    return true;
  }

  /** A user has used the session, which is that user's from now on. */
  own(owner: string): void {
    if (owner === this.owner) return;
    this.owner = owner;
    this.#changed({ kind: "owned", owner });
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

  endForbidden(served: ServingSet, principal: Principal): readonly string[] {
    for (const call of [...this.#calls.values()]) {
      const refusal = served.forbidden({ ...call.work, served }, principal);
      if (refusal !== null) this.#close(call, refusal, new MountaineerError("aborted", RIGHTS_ENDED));
    }
    const handle = { client: this };
    const ended = this.subscriptions.filter((uri) => {
      const request = { method: "resources/subscribe", params: { uri }, served, handle };
      return served.forbidden(request, principal) !== null;
    });
    for (const uri of ended) this.#forgetSubscription(uri);
    return ended;
  }

  listChanged(kind: ListKind): void {
    if (!this.#emit(LIST_CHANGED[kind], undefined)) this.pendingListChanges.add(kind);
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

  /** Repeats what the client has changed at another daemon, as soon as the backends that it concerns are ready. */
  repeat(change: Extract<SessionChange, { kind: "level" | "subscribed" | "unsubscribed" | "owned" }>): void {
    switch (change.kind) {
      case "owned":
        this.own(change.owner);
        break;
      case "level":
        if (change.level !== this.logLevel) this.#request("logging/setLevel", { level: change.level });
        break;
      case "unsubscribed":
        if (this.#subscriptions.has(change.uri)) this.#request("resources/unsubscribe", { uri: change.uri });
        break;
      case "subscribed":
        if (!this.#subscriptions.has(change.uri)) this.#subscribeAgain(change.uri);
    }
  }

  /** The client is notified of a change of the resource, because a change may have gone unseen. */
  #subscribeAgain(uri: string): void {
    this.#renewed.add(uri);
    this.#request("resources/subscribe", { uri }, (reply) => {
      const isWanted = this.#renewed.delete(uri);
      if (reply === null || isError(reply)) return;
      // The client has unsubscribed while the server was starting.
      if (!isWanted) {
        this.#request("resources/unsubscribe", { uri });
        return;
      }
      this.#unseen.add(uri);
      this.#notifyUnseen();
    });
  }

  #request(method: string, params: JsonObject, onReply: (reply: Reply | null) => void = () => {}): void {
    const id = `mountaineer-${method}-${JSON.stringify(params)}`;
    this.serve(
      { jsonrpc: "2.0", id, method, params },
      { ...NO_STREAM, answer: (_, reply) => onReply(reply) },
    );
  }

  #notifyUnseen(): void {
    if (this.#streams.length === 0) return;
    const unseen = [...this.#unseen];
    this.#unseen.clear();
    for (const uri of unseen) this.notify(RESOURCE_UPDATED, { uri });
  }

  /** Takes a notification of the client, or its answer to a question. False: it may concern another daemon. */
  take(notice: ClientNotice): boolean {
    if (notice.kind === "response")
      return typeof notice.id === "string" && this.#questions.complete(notice.id, notice.reply);
    const { method, params } = notice.message;
    if (this.#ended.signal.aborted || method === "notifications/initialized") return true;
    if (method === "notifications/cancelled") return this.#cancel(params);
    if (method === "notifications/progress") return this.#questions.progress(params);
    this.#options.gateway.notified(this, method, params);
    return false;
  }

  /** The client's answer to that question is not valid. The server must not wait in vain. */
  answerInvalid(question: string): void {
    const message = "the client's answer is not a JSON-RPC response";
    this.#questions.complete(question, errorReply(INVALID_REQUEST, message));
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
    if (typeof uri !== "string" || uri.length > LONGEST_KEPT_URI) return;
    const has = this.#subscriptions.has(uri);
    if (method === "resources/subscribe") {
      this.#subscriptions.set(uri, true);
      dropOldest(this.#subscriptions, MOST_SUBSCRIPTIONS);
      if (!has) this.#changed({ kind: "subscribed", uri });
    } else if (method === "resources/unsubscribe") this.#forgetSubscription(uri);
  }

  #forgetSubscription(uri: string): void {
    this.#renewed.delete(uri);
    this.#unseen.delete(uri);
    if (this.#subscriptions.delete(uri)) this.#changed({ kind: "unsubscribed", uri });
  }

  #changed(change: SessionChange): void {
    if (!this.#ended.signal.aborted) this.#options.onChanged?.(change);
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
