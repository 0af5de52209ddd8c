// MCP over HTTP: routes each request to its session, or answers it here. The listener owns the sockets.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { errorText } from "../../../runtime/errors.ts";
import { BodyIntake } from "../../../runtime/http/body-intake.ts";
import { principalKey } from "../../client-handle.ts";
import { INTERNAL_ERROR, INVALID_REQUEST, type RpcRequest } from "../../json-rpc.ts";
import { HEADER_MISMATCH, isModern, LISTEN, MODERN_VERSION } from "../../protocol.ts";
import type { ModernFront } from "../modern/modern-front.ts";
import { checkModern, checkParamHeaders, isMethodOf } from "../modern/request.ts";
import { NO_STREAM, responseJson } from "../session/client-stream.ts";
import type { ClientMessage, Side } from "../session/handover-peers.ts";
import {
  type Batch,
  beginsSession,
  type Incoming,
  initializeIn,
  readIncoming,
  serveBatch,
  type ValidMessage,
} from "../session/incoming.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import { KeepAlive } from "../session/paced-writer.ts";
import type { Session } from "../session/session.ts";
import { newSessionId } from "../session/session-record.ts";
import { SessionStore, type StoreOptions } from "../session/session-store.ts";
import { answerEmpty, answerJson, type Refusal, refuse } from "./answer.ts";
import { CoarseTimer } from "./coarse-timer.ts";
import { answerDocument } from "./documents.ts";
import { ForwardedRequests } from "./forwarded-requests.ts";
import { Forwarding, type SessionPeers } from "./forwarding.ts";
import { HttpExchange, type SlowAnswers } from "./http-exchange.ts";
import { LegacySse } from "./legacy-sse.ts";
import { answerPreflight } from "./other-pages.ts";
import type { HandedOffStream, HandOffConnection } from "./passed-connections.ts";
import {
  type Accepts,
  type AuthenticatedRequest,
  accepted,
  addressOf,
  type Exchange,
  groupOf,
  MCP_PATH,
  MESSAGES_PATH,
  methodsAt,
  NO_EVENTS,
  NOT_READ,
  notAllowed,
  pathOf,
  refusesLargeEvents,
  SSE_PATH,
  sessionId,
  tooLarge,
  traceOf,
} from "./request.ts";
import {
  type AdmissionOptions,
  type FrontTools,
  RequestAdmission,
  refusalOfBody,
  refusalOfMessage,
  refusalOfSession,
} from "./request-admission.ts";
import { Resumption } from "./resumption.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** Time to finish sending answers to other machines when all calls have ended. */
const LAST_ANSWERS_MS = 250;

const STOPPING: Refusal = {
  status: 503,
  message: "the gateway is stopping",
  headers: { "Retry-After": "2" },
};
const NO_JSON: Refusal = {
  status: 406,
  message: "the client must accept application/json and text/event-stream",
};

interface HttpFrontOptions extends StoreOptions, AdmissionOptions {
  readonly modern: ModernFront;
  readonly bodyLimitBytes: () => number;
  readonly peers?: (() => SessionPeers) | undefined;
  /** Resolves when the previous daemon has ended; absent: there was none. */
  readonly previousGone?: Promise<void> | undefined;
}

/** If an answer takes longer than this, ms, it becomes an event stream, at the latest after twice this time. */
const SLOW_MS = {
  usual: 5_000,
  /**
   * For clients that refuse large events. Long, so that large replies can go out as JSON, but short enough for the
   * official Python SDK, which drops a connection that is silent for 300 s.
   */
  staysJson: 120_000,
  /**
   * For requests of 2026-07-28. Not longer, because proxies close a silent connection after 60 s; not shorter,
   * because an answer that has become a stream always has status 200.
   */
  modern: 15_000,
};

/** Disposing is `stop(0)`. */
export class HttpFront implements AsyncDisposable {
  readonly #options: HttpFrontOptions;
  readonly #parts: StreamParts;
  readonly #tools: FrontTools;
  readonly store: SessionStore;
  readonly #bodies: BodyIntake;
  readonly #admission: RequestAdmission;
  readonly #legacy: LegacySse;
  readonly #resumption: Resumption;
  readonly #slow: Readonly<Record<keyof typeof SLOW_MS, SlowAnswers>>;
  readonly #forwarding: Forwarding;
  readonly #forwarded: ForwardedRequests;
  #stopping: Promise<void> | null = null;

  constructor(options: HttpFrontOptions) {
    const { clock } = options;
    this.#options = options;
    this.#parts = { clock, keepAlive: new KeepAlive(clock) };
    this.#bodies = new BodyIntake(clock);
    this.store = new SessionStore(options);
    this.#admission = new RequestAdmission(options, this.store, this.#refuse);
    this.#resumption = new Resumption(this.#parts);
    const slowAfter = (ms: number): SlowAnswers =>
      new CoarseTimer(clock, ms, (answer) => answer.becomeStream());
    const { usual, staysJson, modern } = SLOW_MS;
    this.#slow = { usual: slowAfter(usual), staysJson: slowAfter(staysJson), modern: slowAfter(modern) };
    this.#forwarding = new Forwarding({ ...options, refuse: this.#refuse });
    this.#tools = {
      ...options,
      parts: this.#parts,
      sessions: this.store,
      admission: this.#admission,
      forwarding: this.#forwarding,
      refuse: this.#refuse,
      receive: this.#receive,
      guarded: (exchange, work) => this.#guarded(exchange, work),
    };
    this.#legacy = new LegacySse(this.#tools, options.previousGone);
    this.#forwarded = new ForwardedRequests({
      ...this.#tools,
      legacy: this.#legacy,
      refusalOf: (path, method) => this.#refusalOf(path, method),
      serve: (authenticated) => this.#visit(authenticated),
    });
  }

  /** Answers every request; never throws. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = { request, response };
    this.#guarded(exchange, () => this.#route(exchange));
  };

  /** Serves a request that another machine passes on, for a session of this machine. */
  serveForwarded(stream: Duplex): void {
    this.#forwarded.serve(stream);
  }

  forwardedAnswered(): Promise<void> {
    return this.#forwarded.idle();
  }

  /** Takes a client's message that the daemon `from` (the next or the previous one) has received. Never throws. */
  deliver(message: ClientMessage, from: Side): void {
    try {
      this.store.deliver(message, from);
    } catch (error) {
      this.#options.logger.error("a message was not handled", { error: errorText(error) });
    }
  }

  /** Ends the streams on which clients listen; clients then open new ones at the next daemon. */
  leave(): void {
    this.#admission.hasHandedOver = true;
    this.store.endStreams();
    this.#forwarding.leave();
  }

  /**
   * Passes each stream of HTTP+SSE to the next daemon, as soon as no call is in flight on it. `pass` null: ends it, and
   * its client connects to the next daemon.
   */
  leaveStreams(pass: HandOffConnection | null): void {
    this.#legacy.leave(pass);
  }

  /** Resolves when all streams of HTTP+SSE have left. */
  streamsDrained(): Promise<void> {
    return this.#legacy.left;
  }

  /** Continues a stream of the previous daemon. */
  continueStream(stream: HandedOffStream, socket: Socket): void {
    this.#legacy.continue(stream, socket);
  }

  endWithdrawn(): void {
    this.#forwarding.endWithdrawn(this.#options.gateway.served);
    this.#legacy.endWithdrawn();
  }

  get sessions(): number {
    return this.store.size;
  }

  get inFlight(): number {
    return this.store.inFlight + this.#forwarding.inFlight;
  }

  /**
   * Refuses new requests (503), ends the streams on which clients listen, waits `graceMs` at most for calls in flight,
   * then ends every session. A second call returns the same promise.
   */
  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#end(graceMs).finally(() => {
      this.#legacy.end();
      const owned = [...Object.values(this.#slow), this.#resumption, this.#parts.keepAlive, this.#bodies];
      for (const each of owned) each[Symbol.dispose]();
    });
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop(0);
  }

  async #end(graceMs: number): Promise<void> {
    const forwarding = this.#forwarding.end(graceMs);
    await this.store.end(graceMs, "the gateway is stopping");
    await Promise.all([forwarding, this.#forwarded.end(Math.min(graceMs, LAST_ANSWERS_MS))]);
  }

  readonly #refuse = ({ request, response }: Exchange, refusal: Refusal): void =>
    refuse(this.#parts, request, response, refusal);

  /** An unexpected error fails only its own request. */
  #guarded(exchange: Exchange, work: () => void): void {
    try {
      work();
    } catch (error) {
      const { request, response } = exchange;
      const { logger } = this.#options;
      logger.error("a request was not handled", { path: pathOf(request.url), error: errorText(error) });
      if (response.headersSent) response.destroy();
      else this.#refuse(exchange, { status: 500, code: INTERNAL_ERROR, message: "internal error" });
    }
  }

  #route(exchange: Exchange): void {
    const found = this.#admission.origin(exchange);
    if (found === null) return;
    const { request, response } = exchange;
    const path = pathOf(request.url);
    const { page } = found;
    if (page !== null && answerPreflight(exchange, page)) return;
    if (answerDocument(this.#tools, exchange, path)) return;
    if (this.#options.gateway.signIn(request, response, addressOf(request))) return;
    const refusal = this.#refusalOf(path, request.method);
    if (refusal !== null) {
      this.#refuse(exchange, refusal);
      return;
    }
    const principal = this.#admission.identify(exchange);
    if (!(principal instanceof Promise)) {
      if (principal !== null) this.#visit({ request, response, principal });
      return;
    }
    void principal.then((known) => {
      if (known === null || response.destroyed) return;
      this.#guarded(exchange, () => this.#visit({ request, response, principal: known }));
    });
  }

  #visit(authenticated: AuthenticatedRequest): void {
    const { method, url } = authenticated.request;
    const path = pathOf(url);
    if (path === SSE_PATH) this.#legacy.listen(authenticated);
    else if (path === MESSAGES_PATH) this.#legacy.post(authenticated);
    else if (method === "POST") this.#post(authenticated);
    else if (hasModernHead(authenticated.request)) this.#refuse(authenticated, notAllowed("POST"));
    else if (this.#forwards(authenticated)) return;
    else if (method === "GET") this.#listen(authenticated);
    else this.#remove(authenticated);
  }

  /** Returns true if another machine holds the request's session. That machine then gets the request. */
  #forwards(authenticated: AuthenticatedRequest): boolean {
    const { request } = authenticated;
    const id = sessionId(request) ?? null;
    const machine = id === null || this.store.has(id) ? null : this.#forwarding.holder(id);
    if (id === null || machine === null) return false;
    const forward = (body: Buffer | null): void => this.#forwarding.pass(authenticated, machine, id, body);
    if (request.method !== "POST") forward(null);
    else
      this.#receive(authenticated, (body) => {
        if (beginsSession(body)) this.#read(authenticated, null, accepted(request.headers.accept), body);
        else forward(body);
      });
    return true;
  }

  /** Why MCP is not served at that path with that method; null: it is. */
  #refusalOf(path: string, method = ""): Refusal | null {
    const group = groupOf(path);
    const allowed = methodsAt(path);
    if (allowed === undefined || (group !== null && !this.#options.gateway.hasGroup(group)))
      return { status: 404, message: nothingAt(group) };
    if (!allowed.includes(method)) return notAllowed(allowed.join(", "));
    if (this.#stopping === null) return null;
    return STOPPING;
  }

  #listen(authenticated: AuthenticatedRequest): void {
    const { request, response } = authenticated;
    if (!accepted(request.headers.accept).events) {
      this.#refuse(authenticated, NO_EVENTS);
      return;
    }
    const session = this.#admission.namedSession(authenticated);
    if (session === null) return;
    const { "last-event-id": lastEventId } = request.headers;
    if (typeof lastEventId === "string" && this.#resume(authenticated, session, lastEventId)) return;
    const stream = new SseStream(this.#parts, response, () => session.streamClosed(stream));
    session.listen(stream);
    if (this.#admission.hasHandedOver) stream.end();
  }

  /** False: `lastEventId` is not an event of an answer. */
  #resume(authenticated: AuthenticatedRequest, session: Session, lastEventId: string): boolean {
    const outcome = this.#resumption.resume(session, lastEventId, authenticated.response);
    // The SDKs' clients stop resuming only after 405.
    if (outcome === "complete") {
      this.#refuse(authenticated, { ...notAllowed("POST, DELETE"), message: "that answer is complete" });
    }
    return outcome !== "unknown";
  }

  #remove(authenticated: AuthenticatedRequest): void {
    const session = this.#admission.namedSession(authenticated);
    if (session === null) return;
    this.store.remove(session);
    answerEmpty(authenticated.response, 200);
  }

  #post(authenticated: AuthenticatedRequest): void {
    const { request } = authenticated;
    const accepts = accepted(request.headers.accept);
    const refusal = refusalOfBody(request) ?? (accepts.json || accepts.events ? null : NO_JSON);
    if (refusal !== null) {
      this.#refuse(authenticated, refusal);
      return;
    }
    const mayHaveSession = !hasModernHead(request);
    if (mayHaveSession && this.#forwards(authenticated)) return;
    const id = mayHaveSession ? sessionId(request) : undefined;
    const found = id === undefined ? null : this.store.find(id, authenticated.principal);
    const isHere = id !== undefined && found !== null && found !== "foreign";
    const session = isHere ? this.#admission.session(authenticated, id, found) : null;
    if (isHere && session === null) return;
    this.#receive(authenticated, (body) => this.#read(authenticated, session, accepts, body));
  }

  readonly #receive = (authenticated: AuthenticatedRequest, take: (body: Buffer) => void): void => {
    const { request } = authenticated;
    const limitBytes = this.#options.bodyLimitBytes();
    const sender = principalKey(authenticated.principal);
    const done: Parameters<BodyIntake["receive"]>[0]["done"] = (body) =>
      this.#guarded(authenticated, () => {
        if (!this.#admission.isStillValid(authenticated)) return;
        if (body.kind === "whole") take(body.bytes);
        else
          this.#refuse(authenticated, body.kind === "too_large" ? tooLarge(limitBytes) : NOT_READ[body.kind]);
      });
    this.#bodies.receive({ request, limitBytes, sender, done });
  };

  #read(authenticated: AuthenticatedRequest, session: Session | null, accepts: Accepts, bytes: Buffer): void {
    const taken = readIncoming(bytes, session, (incoming) =>
      this.#take(authenticated, session, accepts, incoming),
    );
    void taken?.catch((error) =>
      this.#guarded(authenticated, () => {
        throw error;
      }),
    );
  }

  #take(
    authenticated: AuthenticatedRequest,
    session: Session | null,
    accepts: Accepts,
    incoming: Incoming,
  ): void {
    if (session?.ended.aborted === true) {
      this.#admission.refuseSession(authenticated, null);
      return;
    }
    // Some clients send the id of a session that has ended also with their next `initialize`.
    const isNamed = !hasModernHead(authenticated.request) && sessionId(authenticated.request) !== undefined;
    const begins = initializeIn(incoming);
    if (session === null && isNamed && begins === null) {
      // It may have been handed to this daemon while the body came.
      const late = this.#admission.namedSession(authenticated);
      if (late !== null) this.#take(authenticated, late, accepts, incoming);
      return;
    }
    if (incoming.kind === "refused") {
      this.#refuse(authenticated, refusalOfMessage(incoming));
      return;
    }
    if (incoming.kind === "batch") {
      this.#takeBatch(authenticated, accepts, incoming);
      return;
    }
    const { message } = incoming;
    if (
      hasModernHead(authenticated.request) ||
      (message.kind === "request" && isModern(message.message.params))
    ) {
      this.#readModern(authenticated, accepts, message);
    } else if (session === null) {
      if (begins !== null) this.#initialize(authenticated, accepts, begins);
      else this.#refuse(authenticated, { status: 400, message: "the Mcp-Session-Id header is missing" });
    } else if (message.kind === "request") {
      if (!this.#admission.mayRequest(authenticated, session, message.message)) return;
      const staysJson = accepts.json && refusesLargeEvents(authenticated.request);
      const slow = this.#slow[staysJson ? "staysJson" : "usual"];
      // Clients of older protocol versions treat an event without data as an error, so their answers are not
      // resumable.
      const isResumable = accepts.json && session.protocolVersion === "2025-11-25";
      const exchange = new HttpExchange(this.#parts, authenticated.response, accepts, {
        session,
        trace: traceOf(authenticated.request),
        slow: accepts.json ? slow : null,
        resumable: isResumable ? { resumption: this.#resumption, id: message.message.id } : null,
        staysJson,
      });
      session.serve(message.message, exchange);
    } else {
      session.handle(message);
      answerEmpty(authenticated.response, 202);
    }
  }

  #readModern(authenticated: AuthenticatedRequest, accepts: Accepts, message: ValidMessage): void {
    const { request, response, principal } = authenticated;
    const { headers } = request;
    if (message.kind === "response") {
      const reason = `${MODERN_VERSION} has no answers of clients`;
      this.#refuse(authenticated, { status: 400, code: INVALID_REQUEST, id: message.id, message: reason });
      return;
    }
    if (message.kind === "notification") {
      const reason = "the Mcp-Method header names another method";
      if (isMethodOf(message.message.method, headers)) answerEmpty(response, 202);
      else this.#refuse(authenticated, { status: 400, code: HEADER_MISMATCH, message: reason });
      return;
    }
    const { id } = message.message;
    const via = { trace: traceOf(request), group: groupOf(request.url), folder: null };
    const checked = checkModern(message.message, principal, headers, via);
    if (!checked.ok) {
      this.#refuse(authenticated, { ...checked.reply.error, status: checked.status, id });
      return;
    }
    if (!this.#admission.mayRequest(authenticated, checked.request, message.message)) return;
    const { gateway, modern } = this.#options;
    const fault = checkParamHeaders(checked.request, headers, () =>
      gateway.served.forClient(checked.request),
    );
    const isListen = checked.request.method === LISTEN;
    if (fault !== null) this.#refuse(authenticated, { ...fault.error, status: 400, id });
    else if (isListen && !accepts.events) this.#refuse(authenticated, NO_EVENTS);
    else {
      const staysJson = !isListen && refusesLargeEvents(request);
      const options = { session: null, slow: this.#slow.modern, staysJson };
      const exchange = new HttpExchange(this.#parts, response, accepts, options);
      exchange.whenGone(modern.serve(checked.request, exchange));
    }
  }

  #takeBatch(authenticated: AuthenticatedRequest, accepts: Accepts, batch: Batch): void {
    const { request, response } = authenticated;
    const { session, errors, answers } = batch;
    if (!this.#admission.mayRequestAll(authenticated, batch)) return;
    if (answers > errors.length) {
      const options = { session, trace: traceOf(request), batch: answers };
      serveBatch(batch, new HttpExchange(this.#parts, response, accepts, options));
      return;
    }
    serveBatch({ ...batch, errors: [] }, NO_STREAM);
    const replies = errors.map(({ id, reply }) => responseJson(id, reply));
    if (replies.length === 0) answerEmpty(response, 202);
    else answerJson(this.#parts, response, 400, `[${replies.join(",")}]`);
  }

  #initialize(authenticated: AuthenticatedRequest, accepts: Accepts, request: RpcRequest): void {
    const { gateway } = this.#options;
    const exchange = new HttpExchange(this.#parts, authenticated.response, accepts, { session: null });
    const introduction = readIntroduction(request.params);
    if (!introduction.ok) {
      exchange.answer(request.id, introduction.reply);
      return;
    }
    const admission = this.store.admit(authenticated.principal);
    if (admission.kind !== "room") {
      this.#refuse(authenticated, {
        ...refusalOfSession(admission, authenticated.principal),
        id: request.id,
      });
      return;
    }
    const { principal } = authenticated;
    const client = { ...introduction.client, principal, group: groupOf(authenticated.request.url) };
    const reply = initializeReply(gateway, client);
    const id = newSessionId(this.#forwarding.machine);
    const session = this.store.open({ ...client, id });
    gateway.opened(session);
    const answer = (): void => {
      authenticated.response.setHeader("Mcp-Session-Id", id);
      exchange.answer(request.id, reply);
    };
    const refuse = (): void => {
      session.end(STOPPING.message);
      this.#refuse(authenticated, { ...STOPPING, id: request.id });
    };
    // The client gets the id only once the session is on disk.
    const saved = this.store.save(session);
    if (saved === null) answer();
    else
      void saved.then((stored) =>
        this.#guarded(authenticated, () => (stored === "lost" ? refuse() : answer())),
      );
  }
}

/** True if the headers name 2026-07-28; the body of a request without the header may still name it. */
function hasModernHead({ headers }: IncomingMessage): boolean {
  return headers["mcp-protocol-version"] === MODERN_VERSION;
}

function nothingAt(group: string | null): string {
  if (group === null) return `nothing is served here; MCP is at ${MCP_PATH}`;
  return `there is no group ${group}; everything is at ${MCP_PATH}`;
}
