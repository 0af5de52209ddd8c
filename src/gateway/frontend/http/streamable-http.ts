// The streamable HTTP transport at /mcp: POST brings a message, GET opens a stream to listen on, DELETE ends the session.
import type { IncomingMessage } from "node:http";
import { INVALID_REQUEST, type RpcRequest } from "../../json-rpc.ts";
import { HEADER_MISMATCH, isModern, LISTEN, MODERN_VERSION } from "../../protocol.ts";
import type { ModernFront } from "../modern/modern-front.ts";
import { checkModern, checkParamHeaders, isMethodOf } from "../modern/request.ts";
import { NO_STREAM, responseJson } from "../session/client-stream.ts";
import {
  type Incoming,
  incomingFor,
  initializeIn,
  type SessionBatch,
  serveBatch,
  type ValidMessage,
} from "../session/incoming.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import { type ClientNotice, Session } from "../session/session.ts";
import { answerEmpty, answerJson, type Refusal } from "./answer.ts";
import { CoarseTimer } from "./coarse-timer.ts";
import { HttpExchange, type SlowAnswers } from "./http-exchange.ts";
import {
  type Accepts,
  type AuthenticatedRequest,
  accepted,
  addressOf,
  groupOf,
  headersOf,
  NO_EVENTS,
  notAllowed,
  refusesLargeEvents,
  sessionId,
  traceOf,
} from "./request.ts";
import {
  type FrontTools,
  NO_QUESTION,
  refusalOfBody,
  refusalOfCapacity,
  refusalOfMessage,
} from "./request-admission.ts";
import { Resumption } from "./resumption.ts";
import { SseStream } from "./sse-stream.ts";

const NO_JSON: Refusal = {
  status: 406,
  message: "the client must accept application/json and text/event-stream",
};
const NO_SESSION: Refusal = { status: 400, message: "the Mcp-Session-Id header is missing" };

/** If an answer takes longer than this, ms, its response begins, at the latest after twice this time. */
const SLOW_MS = {
  usual: 5_000,
  /**
   * For requests of 2026-07-28. Not longer, because proxies close a silent connection after 60 s; not shorter,
   * because an answer that has become a stream always has status 200.
   */
  modern: 15_000,
};

/** A POST whose body has come. */
interface Post extends AuthenticatedRequest {
  readonly accepts: Accepts;
}

export class StreamableHttp implements Disposable {
  readonly #tools: FrontTools;
  readonly #modern: ModernFront;
  readonly #resumption: Resumption;
  readonly #slow: Readonly<Record<keyof typeof SLOW_MS, SlowAnswers>>;
  /** The next daemon has taken over. */
  #isGone = false;

  constructor(tools: FrontTools, modern: ModernFront) {
    const { clock, parts } = tools;
    this.#tools = tools;
    this.#modern = modern;
    this.#resumption = new Resumption(parts);
    const slowAfter = (ms: number): SlowAnswers => new CoarseTimer(clock, ms, (answer) => answer.begin());
    this.#slow = { usual: slowAfter(SLOW_MS.usual), modern: slowAfter(SLOW_MS.modern) };
  }

  serve(authenticated: AuthenticatedRequest): void {
    const { request } = authenticated;
    if (request.method === "POST") this.#post(authenticated);
    else if (hasModernHead(request)) this.#tools.refuse(authenticated, notAllowed("POST"));
    else if (request.method === "GET") this.#listen(authenticated);
    else this.#remove(authenticated);
  }

  /** The next daemon has taken over: streams on which clients listen end, and clients open new ones there. */
  leave(): void {
    this.#isGone = true;
    this.#tools.sessions.endStreams();
  }

  [Symbol.dispose](): void {
    for (const owned of [...Object.values(this.#slow), this.#resumption]) owned[Symbol.dispose]();
  }

  #post(authenticated: AuthenticatedRequest): void {
    const { intake, refuse } = this.#tools;
    const accepts = accepted(authenticated.request.headers.accept);
    const refusal = refusalOfBody(authenticated.request) ?? (accepts.json || accepts.events ? null : NO_JSON);
    if (refusal !== null) refuse(authenticated, refusal);
    else intake.receive(authenticated, (incoming) => this.#take({ ...authenticated, accepts }, incoming));
  }

  #take(post: Post, given: Incoming): void {
    if (hasModernHead(post.request) || isModernRequest(given)) {
      this.#takeModern(post, given);
      return;
    }
    const id = sessionId(post.request);
    const found = id === undefined ? null : this.#tools.sessions.find(id, post.principal);
    const initialize = initializeIn(given);
    // Some clients send the id of a session that has ended also with their next `initialize`.
    if (initialize !== null && !(found instanceof Session)) this.#initialize(post, initialize);
    else if (found !== null) {
      const session = this.#tools.admission.session(post, found);
      if (session !== null) this.#takeIn(session, post, given);
    } else this.#tools.refuse(post, given.kind === "refused" ? refusalOfMessage(given) : NO_SESSION);
  }

  #initialize(post: Post, { id, params }: RpcRequest): void {
    const { gateway, sessions, parts, refuse } = this.#tools;
    const { request, response, principal, accepts } = post;
    const exchange = new HttpExchange(parts, response, accepts, { session: null });
    const introduction = readIntroduction(params);
    if (!introduction.ok) {
      exchange.answer(id, introduction.reply);
      return;
    }
    const client = { ...introduction.client, principal, group: groupOf(request.url) };
    const reply = initializeReply(gateway, client);
    const session = sessions.open(client);
    if (!(session instanceof Session)) {
      refuse(post, { ...refusalOfCapacity(session, principal), id });
      return;
    }
    response.setHeader("Mcp-Session-Id", session.sessionId);
    exchange.answer(id, reply);
  }

  #takeIn(session: Session, post: Post, given: Incoming): void {
    const incoming = incomingFor(session, given);
    if (incoming.kind === "refused") this.#tools.refuse(post, refusalOfMessage(incoming));
    else if (incoming.kind === "batch") this.#takeBatch(post, incoming);
    else if (incoming.message.kind === "request") this.#call(session, post, incoming.message.message);
    else void this.#notice(session, post, incoming.message);
  }

  #call(session: Session, post: Post, message: RpcRequest): void {
    const { admission, parts } = this.#tools;
    const { request, response, accepts } = post;
    if (!admission.mayRequest(post, session, message)) return;
    const staysJson = accepts.json && refusesLargeEvents(request);
    // Clients of older protocol versions treat an event without data as an error, so their answers are not resumable.
    const isResumable = accepts.json && session.protocolVersion === "2025-11-25";
    const exchange = new HttpExchange(parts, response, accepts, {
      session,
      trace: traceOf(request),
      slow: accepts.json ? this.#slow.usual : null,
      resumable: isResumable ? { resumption: this.#resumption, id: message.id } : null,
      staysJson,
    });
    session.serve(message, exchange);
  }

  /** A message that is about nothing in this daemon goes to the daemons before and after it. */
  async #notice(session: Session, post: Post, notice: ClientNotice): Promise<void> {
    const isTaken = session.take(notice) || this.#tools.sessions.passOn(session, notice);
    // Nothing waits for a notification. It may be late, as a cancellation of a call that is answered.
    if (isTaken === true || notice.kind === "notification" || (await isTaken))
      answerEmpty(post.response, 202);
    else this.#tools.refuse(post, NO_QUESTION);
  }

  #takeBatch(post: Post, batch: SessionBatch): void {
    const { admission, parts, sessions } = this.#tools;
    const { request, response, accepts } = post;
    const { session, invalid, answers } = batch;
    if (!admission.mayRequestAll(post, batch)) return;
    const take = (notice: ClientNotice): void => {
      if (!session.take(notice)) void sessions.passOn(session, notice);
    };
    if (answers > invalid.length) {
      const options = { session, trace: traceOf(request), batch: answers };
      serveBatch(batch, new HttpExchange(parts, response, accepts, options), take);
      return;
    }
    serveBatch({ ...batch, invalid: [] }, NO_STREAM, take);
    const replies = invalid.map(({ id, code, reason: message }) =>
      responseJson(id, { error: { code, message } }),
    );
    if (replies.length === 0) answerEmpty(response, 202);
    else answerJson(parts, response, 400, `[${replies.join(",")}]`);
  }

  #takeModern(post: Post, given: Incoming): void {
    const incoming = incomingFor(null, given);
    if (incoming.kind === "message") this.#readModern(post, incoming.message);
    else if (incoming.kind === "refused") this.#tools.refuse(post, refusalOfMessage(incoming));
  }

  #readModern(post: Post, message: ValidMessage): void {
    const { request, response, principal, accepts } = post;
    const { gateway, admission, parts, refuse } = this.#tools;
    const headers = headersOf(request);
    if (message.kind === "response") {
      const reason = `${MODERN_VERSION} has no answers of clients`;
      refuse(post, { status: 400, code: INVALID_REQUEST, id: message.id, message: reason });
      return;
    }
    if (message.kind === "notification") {
      const reason = "the Mcp-Method header names another method";
      if (isMethodOf(message.message.method, headers)) answerEmpty(response, 202);
      else refuse(post, { status: 400, code: HEADER_MISMATCH, message: reason });
      return;
    }
    const { id } = message.message;
    const via = {
      trace: traceOf(request),
      group: groupOf(request.url),
      folder: null,
      address: addressOf(request),
    };
    const checked = checkModern(message.message, principal, headers, via);
    if (!checked.ok) {
      refuse(post, { ...checked.reply.error, status: checked.status, id });
      return;
    }
    if (!admission.mayRequest(post, checked.request, message.message)) return;
    const fault = checkParamHeaders(checked.request, headers, () =>
      gateway.served.forClient(checked.request),
    );
    const isListen = checked.request.method === LISTEN;
    if (fault !== null) refuse(post, { ...fault.error, status: 400, id });
    else if (isListen && !accepts.events) refuse(post, NO_EVENTS);
    else {
      const staysJson = !isListen && refusesLargeEvents(request);
      const options = { session: null, slow: this.#slow.modern, staysJson };
      const exchange = new HttpExchange(parts, response, accepts, options);
      exchange.whenGone(this.#modern.serve(checked.request, exchange));
    }
  }

  #listen(authenticated: AuthenticatedRequest): void {
    const { parts, refuse } = this.#tools;
    const { request, response } = authenticated;
    if (!accepted(request.headers.accept).events) {
      refuse(authenticated, NO_EVENTS);
      return;
    }
    const session = this.#named(authenticated);
    if (session === null) return;
    const { "last-event-id": lastEventId } = request.headers;
    if (typeof lastEventId === "string" && this.#resume(authenticated, session, lastEventId)) return;
    const stream = new SseStream(parts, response, () => session.streamClosed(stream));
    session.listen(stream);
    if (this.#isGone) stream.end();
  }

  /** False: `lastEventId` is not an event of an answer. */
  #resume(authenticated: AuthenticatedRequest, session: Session, lastEventId: string): boolean {
    const outcome = this.#resumption.resume(session, lastEventId, authenticated.response);
    // The SDKs' clients stop resuming only after 405.
    if (outcome === "complete") {
      const refusal = { ...notAllowed("POST, DELETE"), message: "that answer is complete" };
      this.#tools.refuse(authenticated, refusal);
    }
    return outcome !== "unknown";
  }

  #remove(authenticated: AuthenticatedRequest): void {
    const session = this.#named(authenticated);
    if (session === null) return;
    this.#tools.sessions.remove(session);
    answerEmpty(authenticated.response, 200);
  }

  /** The session that the request names. Null: the request is refused. */
  #named(authenticated: AuthenticatedRequest): Session | null {
    const { sessions, admission, refuse } = this.#tools;
    const id = sessionId(authenticated.request);
    if (id !== undefined) return admission.session(authenticated, sessions.find(id, authenticated.principal));
    refuse(authenticated, NO_SESSION);
    return null;
  }
}

/** True if the headers name 2026-07-28; the body of a request without the header may still name it. */
function hasModernHead({ headers }: IncomingMessage): boolean {
  return headers["mcp-protocol-version"] === MODERN_VERSION;
}

function isModernRequest(incoming: Incoming): boolean {
  const request =
    incoming.kind === "message" && incoming.message.kind === "request" ? incoming.message.message : null;
  return request !== null && isModern(request.params);
}
