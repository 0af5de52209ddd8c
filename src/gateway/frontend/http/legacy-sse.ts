// The HTTP+SSE transport of protocol 2024-11-05: GET /sse opens a stream, whose first event gives the address that messages
// are posted to. Everything from the gateway goes to that stream. The session ends with the stream.

import { ofLargest } from "../../../runtime/bounded-map.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { mayResumeAs, type Principal, principalKey } from "../../client-handle.ts";
import { errorReply, jsonOf, METHOD_NOT_FOUND, type Reply, type RpcRequest } from "../../json-rpc.ts";
import { isProtocolVersion, type ProtocolVersion } from "../../protocol.ts";
import { createBatchStream, responseJson } from "../session/client-stream.ts";
import {
  type Incoming,
  incomingFor,
  readIncoming,
  serveBatch,
  type ValidMessage,
} from "../session/incoming.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import type { StrayMessage } from "../session/other-daemons.ts";
import type { SealedSession } from "../session/sealed-session.ts";
import { Session } from "../session/session.ts";
import type { NoCapacity } from "../session/session-store.ts";
import { answerEmpty, type Refusal } from "./answer.ts";
import { type AuthenticatedRequest, accepted, NO_EVENTS, queryOf } from "./request.ts";
import {
  type FrontTools,
  NO_QUESTION,
  refusalOfBody,
  refusalOfCapacity,
  refusalOfMessage,
} from "./request-admission.ts";
import { endForNextDaemon, SseChannel } from "./sse-channel.ts";
import { SseStream } from "./sse-stream.ts";

/** Maximum number of streams whose client has not initialized; beyond it the oldest is closed. */
const MOST_UNINITIALIZED = 128;
/** A method of 2026-07-28, which this transport does not have. */
const DISCOVER = "server/discover";
/** The version of a client that sends none (transport specification of 2025-06-18). */
const DEFAULT_VERSION = "2025-03-26";
/** What a client has told that calls on a new stream without initializing again. */
const UNKNOWN_CLIENT = { capabilities: {}, clientInfo: {}, group: null };

const NO_STREAM_HERE: Refusal = {
  status: 404,
  message: "the stream is not known, or has ended; open another one",
};

/** A client's message for a stream. */
interface Posted {
  readonly principal: Principal;
  /** Null: the client names none, or an unknown one. */
  readonly version: ProtocolVersion | null;
  /** Null: the message was taken; its answer, if any, comes on the stream. */
  readonly respond: (refusal: Refusal | null) => void;
}

export class LegacySse {
  readonly #tools: FrontTools;
  readonly #channels = new Map<string, SseChannel>();
  #isMovingOn = false;

  constructor(tools: FrontTools) {
    this.#tools = tools;
  }

  /** GET /sse */
  listen(authenticated: AuthenticatedRequest): void {
    const { parts, refuse, sessions } = this.#tools;
    const { request, response, principal } = authenticated;
    if (!accepted(request.headers.accept).events) {
      refuse(authenticated, NO_EVENTS);
      return;
    }
    if (this.#isMovingOn) {
      endForNextDaemon(new SseStream(parts, response, () => {}));
      return;
    }
    const channel: SseChannel = new SseChannel({
      parts,
      response,
      principal,
      onWritten: () => this.#active(channel),
      onClosed: () => void this.#channels.delete(channel.id),
    });
    this.#channels.set(channel.id, channel);
    channel.greet();
    const { "last-event-id": eventId } = request.headers;
    const before = typeof eventId === "string" ? sessions.unseal(eventId, principal) : null;
    if (before !== null) this.#begin(channel, before, principal, true);
    const uninitialized = [...this.#channels.values()].filter(({ session }) => session === null);
    if (uninitialized.length > MOST_UNINITIALIZED)
      ofLargest(uninitialized, (one) => principalKey(one.principal))[0]?.finish();
  }

  /** POST /messages */
  post(authenticated: AuthenticatedRequest): void {
    const { refuse, admission } = this.#tools;
    const { request, principal } = authenticated;
    const refusal = refusalOfBody(request);
    const id = queryOf(request.url).get("sessionId");
    const channel = id === null ? undefined : this.#channels.get(id);
    if (refusal !== null) refuse(authenticated, refusal);
    else if (id === null)
      refuse(authenticated, {
        status: 400,
        message: "the address lacks its sessionId; a GET of /sse gives one",
      });
    else if (channel === undefined) this.#passOn(authenticated, id);
    else if (!mayUse(channel, principal)) admission.refuseSession(authenticated, { kind: "foreign" });
    else this.#receive(authenticated, channel);
  }

  /** Takes a client's message that another daemon has received, because this one has the client's stream. */
  async deliver({ hash, principal, text }: StrayMessage): Promise<boolean> {
    const channel = this.#channels.values().find(({ id }) => sha256Of(id) === hash);
    if (channel === undefined || principal === undefined || !mayUse(channel, principal)) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const posted: Posted = { principal, version: null, respond: (refusal) => resolve(refusal === null) };
    void readIncoming(Buffer.from(text), (incoming) => this.#take(channel, posted, incoming))?.catch(() =>
      resolve(false),
    );
    return promise;
  }

  /** Ends each stream once it has been quiet for a while; its client connects to the next daemon. */
  leave(): void {
    this.#isMovingOn = true;
    for (const channel of this.#channels.values()) this.#active(channel);
  }

  /** Ends each stream that has no session and whose token was revoked. A stream with a session ends with the session. */
  endWithdrawn(): void {
    const { served } = this.#tools.gateway;
    for (const channel of [...this.#channels.values()]) {
      if (channel.session === null && served.isWithdrawn(channel.principal)) channel.finish();
    }
  }

  end(): void {
    for (const channel of [...this.#channels.values()]) channel.finish();
  }

  /** Something has happened on the stream. */
  #active(channel: SseChannel): void {
    if (this.#isMovingOn) channel.moveOnWhenQuiet(this.#tools.clock);
  }

  /** The stream may still be at the daemon before this one. */
  #passOn(authenticated: AuthenticatedRequest, id: string): void {
    const { admission, intake, others } = this.#tools;
    const unknown = (): void => admission.refuseSession(authenticated, { kind: "unknown" });
    if (others === undefined || others.isEmpty) {
      unknown();
      return;
    }
    intake.receive(authenticated, (incoming) => {
      const message = incoming.kind === "message" ? incoming.message : null;
      const text = message === null ? null : textOf(message);
      if (text === null || message === null) unknown();
      else if (this.#mayRequest(authenticated, message)) {
        const { principal, response } = authenticated;
        const delivered = others.deliver({ to: "stream", hash: sha256Of(id), principal, text });
        void delivered.then((isTaken) => (isTaken ? answerEmpty(response, 202) : unknown()));
      }
    });
  }

  #receive(authenticated: AuthenticatedRequest, channel: SseChannel): void {
    const { intake, refuse } = this.#tools;
    const { principal, response } = authenticated;
    channel.arriving += 1;
    response.once("close", () => {
      channel.arriving -= 1;
      this.#active(channel);
    });
    const respond: Posted["respond"] = (refusal) =>
      refusal === null ? answerEmpty(response, 202) : refuse(authenticated, refusal);
    const receive = (): void =>
      intake.receive(authenticated, (incoming) => {
        const messages = incoming.kind === "message" ? [incoming.message] : [];
        const all = incoming.kind === "batch" ? incoming.messages : messages;
        if (all.every((message) => this.#mayRequest(authenticated, message, channel.session)))
          this.#take(channel, { principal, version: versionOf(authenticated), respond }, incoming);
      });
    // Backpressure: while a client leaves its answers unread, its messages are not read.
    if (channel.congested === null) receive();
    else void channel.congested.then(receive);
  }

  #mayRequest(
    authenticated: AuthenticatedRequest,
    message: ValidMessage,
    session: Session | null = null,
  ): boolean {
    const client = session ?? { ...UNKNOWN_CLIENT, principal: authenticated.principal };
    return (
      message.kind !== "request" || this.#tools.admission.mayRequest(authenticated, client, message.message)
    );
  }

  #take(channel: SseChannel, posted: Posted, given: Incoming): void {
    const { session } = channel;
    const isOver = !this.#channels.has(channel.id) || session?.identify(posted.principal) === false;
    const incoming = incomingFor(session, given);
    if (isOver) posted.respond(NO_STREAM_HERE);
    else if (incoming.kind === "refused") {
      const { code, id, reason } = incoming;
      posted.respond(id === null ? refusalOfMessage(incoming) : null);
      if (id !== null) channel.answer(id, errorReply(code, reason));
    } else if (incoming.kind === "batch") {
      posted.respond(null);
      const stream = createBatchStream(channel, incoming.answers, (json) => channel.write(json));
      serveBatch(incoming, stream, (notice) => void session?.take(notice));
    } else if (incoming.message.kind === "request") this.#serve(channel, posted, incoming.message.message);
    else {
      const isTaken = session?.take(incoming.message) === true;
      posted.respond(isTaken || incoming.message.kind === "notification" ? null : NO_QUESTION);
    }
  }

  #serve(channel: SseChannel, posted: Posted, request: RpcRequest): void {
    const { id, method } = request;
    const reply = (given: Reply): void => {
      posted.respond(null);
      channel.answer(id, given);
    };
    if (method === "initialize" && channel.session === null) this.#initialize(channel, posted, request);
    // Clients that try 2026-07-28 first then initialize.
    else if (method === DISCOVER)
      reply(errorReply(METHOD_NOT_FOUND, `${DISCOVER} is not a method of this transport`));
    else if (method === "ping" && channel.session === null) reply({ result: {} });
    else {
      // The client was initialized on an earlier stream, and does not say who it is.
      const unnamed = { ...UNKNOWN_CLIENT, protocolVersion: posted.version ?? DEFAULT_VERSION };
      const isKnown = channel.session !== null;
      const session = channel.session ?? this.#begin(channel, unnamed, posted.principal, false);
      if (session instanceof Session) {
        posted.respond(null);
        // Its lists may have changed since.
        if (!isKnown) channel.sendListChanges();
        session.serve(request, channel);
      } else posted.respond({ ...refusalOfCapacity(session, posted.principal), id });
    }
  }

  #initialize(channel: SseChannel, posted: Posted, { id, params }: RpcRequest): void {
    const { gateway, sessions } = this.#tools;
    const { principal } = posted;
    const introduction = readIntroduction(params);
    if (!introduction.ok) {
      posted.respond(null);
      channel.answer(id, introduction.reply);
      return;
    }
    const client = { ...introduction.client, principal, group: null };
    const reply = initializeReply(gateway, client);
    const session = this.#begin(channel, client, principal, false);
    if (session instanceof Session) {
      posted.respond(null);
      channel.write(responseJson(id, reply), sessions.seal(client));
    } else posted.respond({ ...refusalOfCapacity(session, principal), id });
  }

  #begin(
    channel: SseChannel,
    client: Omit<SealedSession, "principal">,
    principal: Principal,
    isContinued: boolean,
  ): Session | NoCapacity {
    const session = this.#tools.sessions.openOnStream(
      { ...client, ...channel.limit, principal, transport: "sse" },
      isContinued,
    );
    if (session instanceof Session) {
      channel.session = session;
      session.listen(channel);
    }
    return session;
  }
}

function mayUse({ principal, session }: SseChannel, caller: Principal): boolean {
  return mayResumeAs(session?.owner ?? principalKey(principal), caller);
}

/** The version that the client's header names; null: none, or an unknown one. */
function versionOf({ request }: AuthenticatedRequest): ProtocolVersion | null {
  const version = request.headers["mcp-protocol-version"];
  return isProtocolVersion(version) ? version : null;
}

/** The message as JSON; null: it is nested too deep. */
function textOf(message: ValidMessage): string | null {
  return message.kind === "response"
    ? responseJson(message.id, message.reply)
    : jsonOf({ ...message.message });
}
