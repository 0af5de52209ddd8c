// Owns MCP over streamable HTTP: who may ask, which session it is about, and what is answered to what no session
// handles. It knows nothing of sockets.
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { errorText } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { type Clock, settledWithin } from "../../../runtime/time/clock.ts";
import {
  type Classified,
  classifyMessage,
  INTERNAL_ERROR,
  INVALID_REQUEST,
  PARSE_ERROR,
  type RpcRequest,
} from "../../json-rpc.ts";
import { readBatch } from "../session/batch.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import { parseMessage } from "../session/message-text.ts";
import { responseJson } from "../session/outlet.ts";
import { Session } from "../session/session.ts";
import { createSessionStore, type SessionStore } from "../session/session-store.ts";
import { createStreamWatch, type StreamWatch } from "../session/stream-watch.ts";
import { type AnswerParts, answerEmpty, answerJson, type Refusal, refuse } from "./answer.ts";
import { type BodyIntake, createBodyIntake } from "./body-intake.ts";
import { createHttpDoor, type Exchange, type HttpDoor, type Visit } from "./door.ts";
import { type Accepts, PostExchange } from "./post-exchange.ts";
import {
  accepted,
  formFor,
  isJsonType,
  notAllowed,
  OVERRUN,
  pathOf,
  sessionId,
  tooLarge,
} from "./request.ts";
import { SseStream } from "./sse-stream.ts";

const MCP_PATH = "/mcp";
const HEALTH_PATH = "/manage/v1/health";

interface HttpFrontOptions {
  readonly gateway: FrontGateway;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bodyLimitBytes: () => number;
  /** As configured: a name or an IP address, without brackets. */
  readonly boundHost: () => string;
}

/** Disposing is `stop(0)`. */
export interface HttpFront extends AsyncDisposable {
  /** Answers any request, sooner or later; never throws. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  readonly sessions: number;
  readonly inFlight: number;
  /**
   * Takes no more requests (503), ends the streams on which clients listen, waits `graceMs` at most for what is in
   * flight, then ends every session. Again: the same ending.
   */
  stop(graceMs: number): Promise<void>;
}

export function createHttpFront(options: HttpFrontOptions): HttpFront {
  const { gateway, clock, logger, bodyLimitBytes } = options;
  const intake = createBodyIntake();
  const watch = createStreamWatch(clock);
  const store = createSessionStore(clock);
  const parts: AnswerParts = { clock, watch };
  const idle = Promise.withResolvers<void>();
  let stopping: Promise<void> | null = null;

  const inFlight = (): number => {
    let count = 0;
    for (const session of store.sessions) count += session.inFlight;
    return count;
  };
  const refused = ({ request, response }: Exchange, refusal: Refusal): void =>
    refuse(parts, request, response, refusal);
  const { boundHost } = options;
  const door = createHttpDoor({ gateway, sessions: store, boundHost, refuse: refused });

  /** A mistake of ours costs its request, and nothing else. */
  const guarded = (request: IncomingMessage, response: ServerResponse, work: () => void): void => {
    try {
      work();
    } catch (error) {
      logger.error("a request was not handled", { path: pathOf(request.url), error: errorText(error) });
      if (response.headersSent) response.destroy();
      else refused({ request, response }, { status: 500, code: INTERNAL_ERROR, message: "internal error" });
    }
  };

  const route = (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = { request, response };
    if (!door.isOurs(exchange)) return;
    const path = pathOf(request.url);
    if (path === HEALTH_PATH) {
      // Some probes ask for no body.
      if (request.method !== "GET" && request.method !== "HEAD") refused(exchange, notAllowed("GET, HEAD"));
      else
        answerJson(parts, response, 200, JSON.stringify(gateway.health()), { "Cache-Control": "no-store" });
      return;
    }
    if (path !== MCP_PATH) {
      refused(exchange, { status: 404, message: `nothing is served here; MCP is at ${MCP_PATH}` });
      return;
    }
    const { method } = request;
    if (method !== "POST" && method !== "GET" && method !== "DELETE") {
      refused(exchange, notAllowed("GET, POST, DELETE"));
      return;
    }
    if (stopping !== null) {
      refused(exchange, { status: 503, message: "the gateway is stopping", headers: { "Retry-After": "2" } });
      return;
    }
    const principal = door.identify(exchange);
    if (principal === null) return;
    const visit: Visit = { request, response, principal };
    if (method === "POST") posts.post(visit);
    else if (method === "GET") listen(visit);
    else remove(visit);
  };
  const posts = createPosts({
    gateway,
    clock,
    logger,
    bodyLimitBytes,
    intake,
    watch,
    store,
    parts,
    idle,
    stopping: () => stopping,
    inFlight,
    refused,
    door,
    guarded,
  });

  const listen = (visit: Visit): void => {
    const { request, response } = visit;
    if (!accepted(request.headers.accept).events) {
      refused(visit, { status: 406, message: "the client must accept text/event-stream" });
      return;
    }
    const session = door.namedSession(visit);
    if (session === null) return;
    const onClosed = (): void => session.outletClosed(stream);
    const stream = new SseStream({ response, clock, watch, onClosed });
    session.listen(stream);
  };

  const remove = (visit: Visit): void => {
    const session = door.namedSession(visit);
    if (session === null) return;
    session.end("the client ended the session");
    answerEmpty(visit.response, 200);
  };

  const stop = async (graceMs: number): Promise<void> => {
    for (const session of store.sessions) session.endStreams();
    if (inFlight() > 0 && graceMs > 0) await settledWithin(clock, graceMs, idle.promise);
    for (const session of store.sessions) session.end("the gateway is stopping");
    store[Symbol.dispose]();
  };

  return {
    handle: (request, response) => guarded(request, response, () => route(request, response)),
    get sessions() {
      return store.size;
    },
    get inFlight() {
      return inFlight();
    },
    stop(graceMs) {
      if (stopping === null) {
        const begun = Promise.withResolvers<void>();
        stopping = begun.promise;
        stop(graceMs).then(begun.resolve, begun.reject);
      }
      return stopping;
    },
    [Symbol.asyncDispose]() {
      return this.stop(0);
    },
  };
}

interface PostsParts {
  readonly gateway: FrontGateway;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bodyLimitBytes: () => number;
  readonly intake: BodyIntake;
  readonly watch: StreamWatch;
  readonly store: SessionStore;
  readonly parts: AnswerParts;
  readonly idle: PromiseWithResolvers<void>;
  readonly stopping: () => Promise<void> | null;
  readonly inFlight: () => number;
  readonly refused: (arg0: Exchange, refusal: Refusal) => void;
  readonly door: HttpDoor;
  readonly guarded: (request: IncomingMessage, response: ServerResponse, work: () => void) => void;
}

/** Takes what clients post: single messages, batches, and the `initialize` that opens a session. */
function createPosts({
  gateway,
  clock,
  logger,
  bodyLimitBytes,
  intake,
  watch,
  store,
  parts,
  idle,
  stopping,
  inFlight,
  refused,
  door,
  guarded,
}: PostsParts) {
  const post = (visit: Visit): void => {
    const { request } = visit;
    if (!isJsonType(request.headers["content-type"])) {
      refused(visit, { status: 415, message: "the Content-Type must be application/json" });
      return;
    }
    const coding = request.headers["content-encoding"];
    if (coding !== undefined && coding !== "identity") {
      const message = "the body must not be compressed (Content-Encoding)";
      refused(visit, { status: 415, message, headers: { "Accept-Encoding": "identity" } });
      return;
    }
    const accepts = accepted(request.headers.accept);
    if (!accepts.json && !accepts.events) {
      const message = "the client must accept application/json and text/event-stream";
      refused(visit, { status: 406, message });
      return;
    }
    const id = sessionId(request);
    const session = id === undefined ? null : door.session(visit, id);
    if (id !== undefined && session === null) return;
    const limitBytes = bodyLimitBytes();
    intake.receive(request, limitBytes, (body) => {
      guarded(request, visit.response, () => {
        if (body.kind === "whole") read(visit, session, accepts, body.bytes);
        else refused(visit, body.kind === "too_large" ? tooLarge(limitBytes) : OVERRUN);
      });
    });
  };

  const read = (visit: Visit, session: Session | null, accepts: Accepts, bytes: Buffer): void => {
    const parsed = parseMessage(bytes);
    if (!parsed.ok) {
      refused(visit, { status: 400, code: PARSE_ERROR, message: parsed.reason });
      return;
    }
    if (Array.isArray(parsed.value)) {
      intakes.takeBatch(visit, session, accepts, parsed.value);
      return;
    }
    const message = classifyMessage(parsed.value);
    if (message.kind === "invalid") {
      session?.settleInvalid(parsed.value, message.id);
      refused(visit, { status: 400, code: INVALID_REQUEST, id: message.id, message: message.reason });
    } else if (session === null) {
      if (message.kind === "request" && message.message.method === "initialize") {
        initialize(visit, accepts, message.message);
      } else refused(visit, { status: 400, message: "the Mcp-Session-Id header is missing" });
    } else if (message.kind === "request") {
      const form = formFor(message.message.method, accepts);
      session.serve(message.message, new PostExchange(parts, visit.response, session, form, null));
    } else {
      intakes.take(session, message);
      answerEmpty(visit.response, 202);
    }
  };
  const intakes = createIntake({ parts, refused });

  const initialize = (visit: Visit, accepts: Accepts, request: RpcRequest): void => {
    const introduction = readIntroduction(request.params);
    if (!introduction.ok) {
      answer(visit, accepts, responseJson(request.id, introduction.reply));
      return;
    }
    if (!store.makeRoom()) {
      const message = `there are ${store.size} sessions, all of them in use`;
      refused(visit, { status: 503, id: request.id, message, headers: { "Retry-After": "10" } });
      return;
    }
    const { protocolVersion, capabilities, clientInfo } = introduction;
    const reply = initializeReply(gateway, protocolVersion);
    const session = new Session({
      id: randomBytes(24).toString("base64url"),
      principal: visit.principal,
      protocolVersion,
      capabilities,
      clientInfo,
      gateway,
      logger,
      onSettled: () => {
        if (stopping() !== null && inFlight() === 0) idle.resolve();
      },
      onEnded: () => store.delete(session),
    });
    store.add(session);
    gateway.opened(session);
    visit.response.setHeader("Mcp-Session-Id", session.sessionId);
    answer(visit, accepts, responseJson(request.id, reply));
  };

  const answer = ({ response }: Visit, accepts: Accepts, json: string): void => {
    if (accepts.json) {
      answerJson(parts, response, 200, json);
      return;
    }
    const stream = new SseStream({ response, clock, watch, onClosed() {} });
    stream.sendAnyway(json);
    stream.end();
  };

  return { post };
}

interface IntakeParts {
  readonly parts: AnswerParts;
  readonly refused: (arg0: Exchange, refusal: Refusal) => void;
}

/** Gives each message of a post to its session. */
function createIntake({ parts, refused }: IntakeParts) {
  const take = (session: Session, message: Classified): void => {
    if (message.kind === "notification") session.hear(message.message);
    else if (message.kind === "response") session.settle(message.id, message.reply);
  };

  const takeBatch = (
    visit: Visit,
    session: Session | null,
    accepts: Accepts,
    values: readonly unknown[],
  ): void => {
    const { response } = visit;
    const batch = readBatch(values, session);
    if (batch.kind === "refused") {
      refused(visit, { status: 400, code: INVALID_REQUEST, message: batch.reason });
      return;
    }
    const { requests, errors } = batch;
    if (requests === 0) {
      for (const message of batch.messages) take(batch.session, message);
      const told = errors.map(({ id, reply }) => responseJson(id, reply));
      if (told.length === 0) answerEmpty(response, 202);
      else answerJson(parts, response, 400, `[${told.join(",")}]`);
      return;
    }
    const exchange = new PostExchange(parts, response, batch.session, accepts, requests + errors.length);
    for (const { id, reply } of errors) exchange.answer(id, reply);
    for (const message of batch.messages) {
      if (message.kind === "request") batch.session.serve(message.message, exchange);
      else take(batch.session, message);
    }
  };

  return { takeBatch, take };
}
