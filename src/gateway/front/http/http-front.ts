// MCP over HTTP: which session a request is about, and the answers to requests that no session handles. It
// knows nothing of sockets.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { errorText } from "../../../runtime/errors.ts";
import { BodyIntake } from "../../../runtime/http/body-intake.ts";
import { principalKey } from "../../client-port.ts";
import { errorReply, INTERNAL_ERROR, INVALID_REQUEST, type RpcId, type RpcRequest } from "../../json-rpc.ts";
import { HEADER_MISMATCH, isModern, LISTEN, MODERN_VERSION } from "../../protocol.ts";
import type { ModernFront } from "../modern/modern-front.ts";
import { checkModern, checkParamHeaders, isMethodOf } from "../modern/request.ts";
import { type Batch, readIncoming, type ValidMessage } from "../session/incoming.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import { responseJson } from "../session/outlet.ts";
import { KeepAlive } from "../session/paced-writer.ts";
import type { Session } from "../session/session.ts";
import { newSessionId } from "../session/session-record.ts";
import { SessionStore, type StoreOptions } from "../session/session-store.ts";
import { answerEmpty, answerJson, type Refusal, refuse } from "./answer.ts";
import { answerDocument } from "./documents.ts";
import { ForwardedDoor } from "./forwarded-door.ts";
import { Forwarding, type SessionPeers } from "./forwarding.ts";
import { OlderDoor } from "./older-door.ts";
import { ModernExchange, PostExchange, SlowAnswers, type Slowness } from "./post-exchange.ts";
import {
  type Accepts,
  accepted,
  groupOf,
  MCP_PATH,
  MESSAGES_PATH,
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
  type Exchange,
  type FrontTools,
  RequestAdmission,
  refusalOfBody,
  refusalOfSession,
  type Visit,
} from "./request-admission.ts";
import { Resumption } from "./resumption.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** The methods by path. */
const METHODS: ReadonlyMap<string, readonly string[]> = new Map([
  [MCP_PATH, ["GET", "POST", "DELETE"]],
  [SSE_PATH, ["GET"]],
  [MESSAGES_PATH, ["POST"]],
]);

/** For answers that are on their way to another machine when all calls are over. */
const LAST_ANSWERS_MS = 250;

const COMPLETE = "that answer is complete";
const NO_EVENTS: Refusal = { status: 406, message: "the client must accept text/event-stream" };

interface HttpFrontOptions extends StoreOptions, AdmissionOptions {
  /** Serves what comes without a session. */
  readonly modern: ModernFront;
  readonly bodyLimitBytes: () => number;
  /** Machines with which sessions are shared; absent: none are. */
  readonly peers?: (() => SessionPeers) | undefined;
}

/** The official Python SDK gives up what says nothing for 300 s: before that a stream keeps the connection alive. */
const VERY_SLOW_MS = 120_000;
/** Proxies close what is silent for a minute, and that would cancel the request. The answer's status is lost then. */
const MODERN_SLOW_MS = 15_000;

/** Disposing is `stop(0)`. */
export class HttpFront implements AsyncDisposable {
  readonly #options: HttpFrontOptions;
  readonly #parts: StreamParts;
  readonly #tools: FrontTools;
  readonly store: SessionStore;
  readonly #bodies: BodyIntake;
  readonly #admission: RequestAdmission;
  readonly #older: OlderDoor;
  readonly #resumption: Resumption;
  readonly #slow: SlowAnswers;
  /** To clients that refuse large events. */
  readonly #verySlow: SlowAnswers;
  readonly #slowModern: SlowAnswers;
  readonly #forwarding: Forwarding;
  readonly #forwarded: ForwardedDoor;
  #stopping: Promise<void> | null = null;
  #isLeaving = false;

  constructor(options: HttpFrontOptions) {
    const { clock } = options;
    this.#options = options;
    this.#parts = { clock, keepAlive: new KeepAlive(clock) };
    this.#bodies = new BodyIntake(clock);
    this.store = new SessionStore(options);
    this.#admission = new RequestAdmission(options, this.store, this.#refuse);
    this.#resumption = new Resumption(this.#parts);
    this.#slow = new SlowAnswers(clock);
    this.#verySlow = new SlowAnswers(clock, VERY_SLOW_MS);
    this.#slowModern = new SlowAnswers(clock, MODERN_SLOW_MS);
    this.#forwarding = new Forwarding({ ...options, refuse: this.#refuse });
    this.#tools = {
      ...options,
      parts: this.#parts,
      sessions: this.store,
      admission: this.#admission,
      refuse: this.#refuse,
      receive: this.#receive,
    };
    this.#older = new OlderDoor({ ...this.#tools, forwarding: this.#forwarding });
    this.#forwarded = new ForwardedDoor({
      ...this.#tools,
      older: this.#older,
      refusalOf: (path, method) => this.#refusalOf(path, method),
      take: (visit) => this.#visit(visit),
      guarded: (exchange, work) => this.#guarded(exchange, work),
    });
  }

  /** Answers any request, sooner or later; never throws. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = { request, response };
    this.#guarded(exchange, () => this.#route(exchange));
  };

  /** Serves one request that another machine brings for a session that is held here. */
  serveForwarded(stream: Duplex): void {
    this.#forwarded.serve(stream);
  }

  /** Resolves when other machines have all the answers that they wait for. */
  forwardedAnswered(): Promise<void> {
    return this.#forwarded.idle();
  }

  /** JSON-RPC that a client of ours said elsewhere, about something in flight here. Never throws. */
  hear(hash: string, text: string): void {
    try {
      this.store.hear(hash, text);
    } catch (error) {
      this.#options.logger.error("a message was not handled", { error: errorText(error) });
    }
  }

  /** Streams on which clients listen end, so that they listen where they will be served from now on. */
  leave(): void {
    this.#isLeaving = true;
    this.store.endStreams();
    this.#older.leave();
    this.#forwarding.leave();
  }

  endWithdrawn(): void {
    this.#forwarding.endWithdrawn(this.#options.gateway.served);
    this.#older.endWithdrawn();
  }

  get sessions(): number {
    return this.store.size;
  }

  get inFlight(): number {
    return this.store.inFlight + this.#forwarding.inFlight;
  }

  /** What clients were asked and have not answered yet. */
  get openQuestions(): number {
    return this.store.openQuestions;
  }

  /**
   * Takes no more requests (503), ends the streams on which clients listen, waits `graceMs` at most for what is in
   * flight, then ends every session. Again: the same ending.
   */
  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#end(graceMs).finally(() => {
      this.#older.end();
      const slow = [this.#slow, this.#verySlow, this.#slowModern];
      const used = [...slow, this.#resumption, this.#parts.keepAlive, this.#bodies];
      for (const each of used) each[Symbol.dispose]();
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

  /** A mistake of ours costs its request, and nothing else. */
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
    if (!this.#admission.isOurs(exchange)) return;
    const { request, response } = exchange;
    const path = pathOf(request.url);
    if (answerDocument(this.#tools, exchange, path)) return;
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
      // Whoever went away meanwhile wants nothing any more.
      if (known === null || response.destroyed) return;
      this.#guarded(exchange, () => this.#visit({ request, response, principal: known }));
    });
  }

  #visit(visit: Visit): void {
    const { method, url } = visit.request;
    const path = pathOf(url);
    if (path === SSE_PATH) this.#older.listen(visit);
    else if (path === MESSAGES_PATH) this.#older.post(visit);
    else if (method === "POST") this.#post(visit);
    else if (isOfModern(visit.request)) this.#refuse(visit, notAllowed("POST"));
    else if (this.#isElsewhere(visit)) return;
    else if (method === "GET") this.#listen(visit);
    else this.#remove(visit);
  }

  /** True: another machine holds its session, and is asked. */
  #isElsewhere(visit: Visit): boolean {
    const { request } = visit;
    const id = sessionId(request) ?? null;
    const machine = id === null || this.store.has(id) ? null : this.#forwarding.holder(id);
    if (id === null || machine === null) return false;
    if (request.method !== "POST") this.#forwarding.pass(visit, machine, id, null);
    else this.#receive(visit, (body) => this.#forwarding.pass(visit, machine, id, body));
    return true;
  }

  /** Null: it is about MCP, and can be looked at. */
  #refusalOf(path: string, method = ""): Refusal | null {
    const group = groupOf(path);
    const allowed = METHODS.get(group === null ? path : MCP_PATH);
    if (allowed === undefined || (group !== null && !this.#options.gateway.hasGroup(group)))
      return { status: 404, message: nothingAt(group) };
    if (!allowed.includes(method)) return notAllowed(allowed.join(", "));
    if (this.#stopping === null) return null;
    return { status: 503, message: "the gateway is stopping", headers: { "Retry-After": "2" } };
  }

  #listen(visit: Visit): void {
    const { request, response } = visit;
    if (!accepted(request.headers.accept).events) {
      this.#refuse(visit, NO_EVENTS);
      return;
    }
    const session = this.#admission.namedSession(visit);
    if (session === null) return;
    const { "last-event-id": lastEventId } = request.headers;
    if (typeof lastEventId === "string" && this.#resume(visit, session, lastEventId)) return;
    const stream = new SseStream(this.#parts, response, () => session.outletClosed(stream));
    session.listen(stream);
    if (this.#isLeaving) stream.end();
  }

  /** False: it names no event of a call. */
  #resume(visit: Visit, session: Session, lastEventId: string): boolean {
    const outcome = this.#resumption.resume(session, lastEventId, visit.response);
    // SDK clients look for more after an error, too; to this they say no more.
    if (outcome === "complete") this.#refuse(visit, { ...notAllowed("POST, DELETE"), message: COMPLETE });
    return outcome !== "unknown";
  }

  #remove(visit: Visit): void {
    const session = this.#admission.namedSession(visit);
    if (session === null) return;
    this.store.remove(session);
    answerEmpty(visit.response, 200);
  }

  #post(visit: Visit): void {
    const { request } = visit;
    const accepts = accepted(request.headers.accept);
    const refusal = refusalOfBody(request) ?? refusalOfForm(accepts);
    if (refusal !== null) {
      this.#refuse(visit, refusal);
      return;
    }
    const isOfOlder = !isOfModern(request);
    if (isOfOlder && this.#isElsewhere(visit)) return;
    const id = isOfOlder ? sessionId(request) : undefined;
    const session = id === undefined ? null : this.#admission.session(visit, id);
    if (id !== undefined && session === null) return;
    this.#receive(visit, (body) => this.#read(visit, session, accepts, body));
  }

  readonly #receive = (visit: Visit, take: (body: Buffer) => void): void => {
    const { request } = visit;
    const limitBytes = this.#options.bodyLimitBytes();
    const sender = principalKey(visit.principal);
    const done: Parameters<BodyIntake["receive"]>[0]["done"] = (body) =>
      this.#guarded(visit, () => {
        if (!this.#admission.isStillIn(visit)) return;
        if (body.kind === "whole") take(body.bytes);
        else this.#refuse(visit, body.kind === "too_large" ? tooLarge(limitBytes) : NOT_READ[body.kind]);
      });
    this.#bodies.receive({ request, limitBytes, sender, done });
  };

  #read(visit: Visit, session: Session | null, accepts: Accepts, bytes: Buffer): void {
    const incoming = readIncoming(bytes, session);
    if (incoming.kind === "refused") {
      const { code, id, reason: message } = incoming;
      this.#refuse(visit, { status: 400, code, id, message });
      return;
    }
    if (incoming.kind === "batch") {
      this.#takeBatch(visit, accepts, incoming);
      return;
    }
    const { message } = incoming;
    if (isOfModern(visit.request) || (message.kind === "request" && isModern(message.message.params))) {
      this.#readModern(visit, accepts, message);
    } else if (session === null) {
      if (message.kind === "request" && message.message.method === "initialize") {
        this.#initialize(visit, accepts, message.message);
      } else this.#refuse(visit, { status: 400, message: "the Mcp-Session-Id header is missing" });
    } else if (message.kind === "request") {
      if (!this.#admission.mayAsk(visit, session, message.message)) return;
      const trace = traceOf(visit.request);
      const staysJson = accepts.json && refusesLargeEvents(visit.request);
      const slow = staysJson ? this.#verySlow : this.#slow;
      const slowness = accepts.json ? this.#slownessOf(session, message.message.id, slow) : null;
      session.serve(
        message.message,
        new PostExchange(this.#parts, visit.response, session, accepts, null, { trace, slowness, staysJson }),
      );
    } else {
      session.handle(message);
      answerEmpty(visit.response, 202);
    }
  }

  #slownessOf({ protocolVersion }: Session, id: RpcId, slow: SlowAnswers): Slowness {
    // Clients of older versions take an event without data for a mistake.
    const resumableId = protocolVersion === "2025-11-25" ? id : null;
    return { slow, resumption: this.#resumption, resumableId };
  }

  #readModern(visit: Visit, accepts: Accepts, message: ValidMessage): void {
    const { request, response, principal } = visit;
    const { headers } = request;
    const refuse = (id: RpcId | null, status: number, { error }: ReturnType<typeof errorReply>): void =>
      this.#refuse(visit, { ...error, status, id });
    if (message.kind === "response") {
      refuse(message.id, 400, errorReply(INVALID_REQUEST, `${MODERN_VERSION} has no answers of clients`));
      return;
    }
    if (message.kind === "notification") {
      if (isMethodOf(message.message.method, headers)) answerEmpty(response, 202);
      else refuse(null, 400, errorReply(HEADER_MISMATCH, "the Mcp-Method header names another method"));
      return;
    }
    const { id } = message.message;
    const cameBy = { trace: traceOf(request), group: groupOf(request.url) };
    const checked = checkModern(message.message, principal, headers, cameBy);
    if (!checked.ok) {
      refuse(id, checked.status, checked.reply);
      return;
    }
    if (!this.#admission.mayAsk(visit, checked.request, message.message)) return;
    const { gateway, modern } = this.#options;
    const fault = checkParamHeaders(checked.request, headers, () =>
      gateway.served.forClient(checked.request),
    );
    if (fault !== null) refuse(id, 400, fault);
    else if (checked.request.method === LISTEN && !accepts.events) this.#refuse(visit, NO_EVENTS);
    else {
      const holds = checked.request.method !== LISTEN && refusesLargeEvents(request);
      const exchange = new ModernExchange(this.#parts, response, accepts, this.#slowModern, holds);
      exchange.whenGone(modern.serve(checked.request, exchange));
    }
  }

  #takeBatch(visit: Visit, accepts: Accepts, { session, messages, errors, answers }: Batch): void {
    const { request, response } = visit;
    const requests = messages.filter((message) => message.kind === "request");
    if (!requests.every(({ message }) => this.#admission.mayAsk(visit, session, message))) return;
    if (answers === errors.length) {
      for (const message of messages) if (message.kind !== "request") session.handle(message);
      const told = errors.map(({ id, reply }) => responseJson(id, reply));
      if (told.length === 0) answerEmpty(response, 202);
      else answerJson(this.#parts, response, 400, `[${told.join(",")}]`);
      return;
    }
    const exchange = new PostExchange(this.#parts, response, session, accepts, answers, {
      trace: traceOf(request),
    });
    for (const { id, reply } of errors) exchange.answer(id, reply);
    for (const message of messages) {
      if (message.kind === "request") session.serve(message.message, exchange);
      else session.handle(message);
    }
  }

  #initialize(visit: Visit, accepts: Accepts, request: RpcRequest): void {
    const { gateway } = this.#options;
    const introduction = readIntroduction(request.params);
    if (!introduction.ok) {
      this.#answer(visit, accepts, responseJson(request.id, introduction.reply));
      return;
    }
    const room = this.store.makeRoom(visit.principal);
    if (room.kind !== "room") {
      this.#refuse(visit, { ...refusalOfSession(room, visit.principal), id: request.id });
      return;
    }
    const { principal } = visit;
    const client = { ...introduction.client, principal, group: groupOf(visit.request.url) };
    const reply = initializeReply(gateway, client);
    const id = newSessionId(this.#forwarding.machine);
    const session = this.store.open({ ...client, id });
    gateway.opened(session);
    const answer = (): void => {
      visit.response.setHeader("Mcp-Session-Id", id);
      this.#answer(visit, accepts, responseJson(request.id, reply));
    };
    // Whoever knows an id can count on it.
    const saved = this.store.save(session);
    if (saved === null) answer();
    else void saved.then(() => this.#guarded(visit, answer));
  }

  #answer({ response }: Visit, accepts: Accepts, json: string): void {
    if (accepts.json) {
      answerJson(this.#parts, response, 200, json);
      return;
    }
    const stream = new SseStream(this.#parts, response, () => {});
    stream.sendAnyway(json);
    stream.end();
  }
}

/** Its head says so; a request's body has the last word. */
function isOfModern({ headers }: IncomingMessage): boolean {
  return headers["mcp-protocol-version"] === MODERN_VERSION;
}

function nothingAt(group: string | null): string {
  if (group === null) return `nothing is served here; MCP is at ${MCP_PATH}`;
  return `there is no group ${group}; everything is at ${MCP_PATH}`;
}

function refusalOfForm({ json, events }: Accepts): Refusal | null {
  if (json || events) return null;
  return { status: 406, message: "the client must accept application/json and text/event-stream" };
}
