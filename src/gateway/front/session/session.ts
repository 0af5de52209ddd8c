// One client session, whatever carries it: what the client said of itself, its calls in flight, what was asked of it,
// and the notices it is owed.
import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import { FleetingMap } from "../../../runtime/fleeting.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { type ClientPort, mayGoOn, type Principal, principalKey, type Question } from "../../client-port.ts";
import {
  BACKEND_UNAVAILABLE,
  type Classified,
  errorReply,
  INTERNAL_ERROR,
  INVALID_REQUEST,
  idKey,
  isError,
  isJsonObject,
  isRpcId,
  type JsonObject,
  LIMIT_REACHED,
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
import { Call } from "./call.ts";
import type { FrontGateway, SessionPort } from "./front-contract.ts";
import { type CallOutlet, type Outlet, responseJson } from "./outlet.ts";
import { messageJson, Questions } from "./questions.ts";
import { MOST_SUBSCRIPTIONS, type SessionRecord } from "./session-record.ts";

/** Calls of one session in flight. */
const IN_FLIGHT_LIMIT = 512;
/** Of a resource's URI, so that a subscription to it is known after a restart. */
const LONGEST_KEPT_URI = 1_024;
/** What the calls of a client are told whose token was taken back. */
export const WITHDRAWN = "the token of this request is not accepted any more";
/** Streams that one session listens on; the oldest gives way. */
const LISTENING_LIMIT = 4;

export interface SessionOptions
  extends Pick<SessionRecord, "protocolVersion" | "capabilities" | "clientInfo" | "group">,
    Pick<ClientPort, "principal" | "transport"> {
  readonly id: string;
  /** Of a session that goes on after a restart. */
  readonly logLevel?: McpLogLevel | null;
  readonly gateway: FrontGateway;
  readonly logger: Logger;
  /** Called whenever a call in flight has settled. */
  readonly onSettled: () => void;
  /** Called once, when it has ended. */
  readonly onEnded: () => void;
  /** Called when something has changed that a restart must not lose. */
  readonly onChanged?: () => void;
  /** Called with what the client said of a question or a request that is not known here: JSON-RPC. */
  readonly onForeign?: (text: string) => void;
}

/** A stream on which the client listens outside of calls. */
export interface ListeningOutlet extends Outlet {
  end(): void;
}

export class Session implements SessionPort {
  readonly sessionId: string;
  readonly protocolVersion: ProtocolVersion;
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
  readonly group: string | null;
  readonly transport?: "sse";
  logLevel: McpLogLevel | null = null;
  /** Calls handed on and not settled yet; cancelled ones count until they are. */
  inFlight = 0;
  readonly #options: SessionOptions;
  readonly #ended = new AbortController();
  readonly #calls = new FleetingMap<ReturnType<typeof idKey>, Call>();
  readonly #questions = new Questions((json) => {
    if (this.#isAdmitted) this.#streams.at(-1)?.send(json);
  });
  /** The lists that the client has still to be told of. */
  readonly owed = new Set<ListKind>();
  /** Resources that the client wants to hear of, oldest first. */
  readonly #subscriptions = new Set<string>();
  readonly #streams: ListeningOutlet[] = [];
  principal: Principal;
  #isAdmitted = true;

  constructor(options: SessionOptions) {
    this.sessionId = options.id;
    this.principal = options.principal;
    this.protocolVersion = options.protocolVersion;
    this.capabilities = options.capabilities;
    this.clientInfo = options.clientInfo;
    this.group = options.group ?? null;
    if (options.transport !== undefined) this.transport = options.transport;
    this.logLevel = options.logLevel ?? null;
    this.#options = options;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** What the client was asked and has not answered yet. */
  get openQuestions(): number {
    return this.#questions.size;
  }

  get busy(): boolean {
    return this.inFlight > 0 || this.#streams.length > 0;
  }

  get subscriptions(): readonly string[] {
    return [...this.#subscriptions];
  }

  setLogLevel(level: McpLogLevel): void {
    this.logLevel = level;
    this.#changed();
  }

  /** Takes on who the newest request says it is; false, and nothing is changed, when that is another one. */
  identify(principal: Principal): boolean {
    const own = this.principal;
    const key = own === principal ? null : principalKey(own);
    if (key !== null && !mayGoOn(key, principal)) return false;
    this.#isAdmitted = true;
    if (key === null) return true;
    this.principal = principal;
    this.#options.gateway.identified(this);
    if (key !== principalKey(principal)) this.#changed();
    return true;
  }

  notify(method: string, params: JsonObject | undefined): void {
    if (!this.#isAdmitted) return;
    // A subscription outlives the rules under which it was made.
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
    if (!this.#emit(LIST_CHANGED[kind], undefined)) this.owed.add(kind);
    this.#changed();
  }

  async request(...question: Question): Promise<Reply> {
    const stream = this.#isAdmitted ? this.#streams.at(-1) : undefined;
    if (stream === undefined) return errorReply(BACKEND_UNAVAILABLE, "the client has no open stream");
    const reply = await this.#questions.ask(stream, ...question);
    return reply ?? errorReply(BACKEND_UNAVAILABLE, "the client closed the stream it was asked on");
  }

  /** Hands a request on; `outlet` gets its answer, at the latest when the session ends. */
  serve(message: RpcRequest, outlet: CallOutlet): void {
    const refusal = this.#answerHere(message);
    if (refusal !== null) {
      outlet.answer(message.id, refusal);
      return;
    }
    const { gateway } = this.#options;
    const call = new Call(this, this.#questions, message, outlet, this.#served);
    this.#calls.set(idKey(message.id), call);
    this.inFlight += 1;
    const settled = (reply: Reply): void => {
      this.inFlight -= 1;
      if (!isError(reply)) this.#noteSubscription(message);
      this.#close(call, reply);
      this.#options.onSettled();
    };
    const failed = (error: unknown): void => {
      this.#options.logger.error("a request was not handled", {
        method: message.method,
        error: errorText(error),
      });
      settled(errorReply(INTERNAL_ERROR, "internal error"));
    };
    try {
      const comes = gateway.awaited(this, call.work);
      const work = comes === null ? call.work.served.handle(call.work) : this.#handleAfter(comes, call);
      work.then(settled, failed);
    } catch (error) {
      failed(error);
    }
  }

  /** The client was subscribed to these before a restart, and is again as soon as they are there. */
  subscribeAgain(uris: readonly string[]): void {
    const outlet: CallOutlet = { congested: null, send: () => false, answer() {} };
    for (const [index, uri] of uris.entries()) {
      const id = `mountaineer-subscribes-again-${index}`;
      this.serve({ jsonrpc: "2.0", id, method: "resources/subscribe", params: { uri } }, outlet);
    }
  }

  /** Takes a notification of the client, or its response to what was asked of it. */
  handle(message: Extract<Classified, { readonly kind: "notification" | "response" }>): void {
    const { onForeign } = this.#options;
    if (message.kind === "notification") {
      if (this.#handleNotification(message.message) || onForeign === undefined) return;
      const json = messageJson({ ...message.message });
      if (json !== null) onForeign(json);
    } else if (!this.#settle(message.id, message.reply)) onForeign?.(responseJson(message.id, message.reply));
  }

  /** False: it is about something that is not known here. */
  #handleNotification({ method, params }: RpcNotification): boolean {
    if (this.#ended.signal.aborted || method === "notifications/initialized") return true;
    if (method === "notifications/cancelled") return this.#cancel(params);
    if (method === "notifications/progress") return this.#questions.progress(params);
    this.#options.gateway.notified(this, method, params);
    return true;
  }

  /** Takes the client's response to what was asked of it; false: nothing was, by that id. */
  #settle(id: RpcId | null, reply: Reply): boolean {
    return typeof id === "string" && this.#questions.settle(id, reply);
  }

  /** What was meant as a response is one: better an error for who asked now than none until the end. */
  settleInvalid(value: unknown, id: RpcId | null): void {
    if (!isJsonObject(value) || value["method"] !== undefined) return;
    this.#settle(id, errorReply(INVALID_REQUEST, "the client's answer is no JSON-RPC response"));
  }

  /** The client listens on `stream`; what it is owed goes there. Of several, the newest is used. */
  listen(stream: ListeningOutlet): void {
    this.#streams.push(stream);
    if (this.#streams.length > LISTENING_LIMIT) this.#streams[0]?.end();
    const owed = [...this.owed];
    this.owed.clear();
    for (const kind of owed) this.listChanged(kind);
  }

  /** `outlet` is closed: nothing goes there any more, and what was asked on it gets no answer. */
  outletClosed(outlet: Outlet): void {
    const streams: readonly Outlet[] = this.#streams;
    const at = streams.indexOf(outlet);
    if (at >= 0) this.#streams.splice(at, 1);
    this.#questions.drop(outlet);
  }

  /** The client says no more, though it may still read: it answers nothing. */
  fallSilent(): void {
    this.#questions.end("the client says no more");
  }

  /** The streams on which the client listens end; calls go on. */
  endStreams(): void {
    for (const stream of [...this.#streams]) stream.end();
  }

  /** Once; what is in flight is aborted and answered with `reason`. */
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

  /** What serves a request of this client that begins now. */
  get #served(): ServingSet {
    return this.#options.gateway.served.forClient(this);
  }

  async #handleAfter(comes: Promise<void>, { work }: Call): Promise<Reply> {
    await comes;
    if (work.signal.aborted) return errorReply(BACKEND_UNAVAILABLE, "the request was taken back");
    const served = this.#served;
    return served.handle({ ...work, served });
  }

  #noteSubscription({ method, params }: RpcRequest): void {
    const uri = params?.["uri"];
    if (typeof uri !== "string" || uri.length > LONGEST_KEPT_URI) return;
    if (method === "resources/subscribe") this.#subscriptions.add(uri);
    else if (method !== "resources/unsubscribe" || !this.#subscriptions.delete(uri)) return;
    for (const oldest of this.#subscriptions) {
      if (this.#subscriptions.size <= MOST_SUBSCRIPTIONS) break;
      this.#subscriptions.delete(oldest);
    }
    this.#changed();
  }

  #changed(): void {
    if (!this.#ended.signal.aborted) this.#options.onChanged?.();
  }

  /** The reply to what is not handed on; null: it is. */
  #answerHere({ id, method, params }: RpcRequest): Reply | null {
    if (this.#ended.signal.aborted) return errorReply(BACKEND_UNAVAILABLE, "the session has ended");
    if (method === "ping") return { result: {} };
    if (method === "initialize") return errorReply(INVALID_REQUEST, "this session is initialized already");
    // Beyond this point it would be taken for a request of that version.
    if (isModern(params))
      return errorReply(UNSUPPORTED_VERSION, `this session speaks ${this.protocolVersion}`);
    if (this.#calls.has(idKey(id))) return errorReply(INVALID_REQUEST, "a request with this id is in flight");
    if (this.inFlight < IN_FLIGHT_LIMIT) return null;
    const message = `this session has ${IN_FLIGHT_LIMIT} requests in flight, the most that one may have; try again in 1 s`;
    return errorReply(LIMIT_REACHED, message, { allowed: IN_FLIGHT_LIMIT, retryAfterMs: 1_000 });
  }

  /** The end of a call, whoever comes first: its reply, or null and why it is aborted. */
  #close(call: Call, reply: Reply | null, aborted?: MountaineerError): void {
    const outlet = call.close();
    if (outlet === null) return;
    this.#calls.delete(idKey(call.id));
    // Before the last word, so that questions of this call are withdrawn on its stream.
    if (aborted !== undefined) call.abort(aborted);
    outlet.answer(call.id, reply);
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

  /** False: it does not listen. */
  notifyWhereItListens(json: string): boolean {
    return this.#streams.at(-1)?.send(json) ?? false;
  }

  #emit(method: string, params: JsonObject | undefined): boolean {
    const stream = this.#streams.at(-1);
    if (stream === undefined) return false;
    const json = messageJson({ jsonrpc: "2.0", method, params });
    return json !== null && stream.send(json);
  }
}
