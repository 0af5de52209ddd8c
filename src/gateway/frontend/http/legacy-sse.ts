// The HTTP+SSE transport of protocol 2024-11-05: GET /sse opens a stream, whose first event gives the address that
// messages are posted to. Everything from the gateway goes to that stream. The session ends with the stream; a stream
// continues in the next daemon.
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Timer } from "../../../runtime/time/clock.ts";
import { mayResumeAs, type Principal, principalKey } from "../../client-handle.ts";
import { errorReply, METHOD_NOT_FOUND, type Reply, type RpcId, type RpcRequest } from "../../json-rpc.ts";
import { isProtocolVersion, LIST_CHANGED, LIST_KINDS, type ProtocolVersion } from "../../protocol.ts";
import { type CallStream, createBatchStream, responseJson } from "../session/client-stream.ts";
import { type Incoming, readIncoming, serveBatch } from "../session/incoming.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import type { ListeningStream, Session } from "../session/session.ts";
import {
  actingPrincipal,
  checkOf,
  newSessionId,
  proofOf,
  type SessionRecord,
} from "../session/session-record.ts";
import { answerEmpty } from "./answer.ts";
import type { HandedOffStream, HandOffConnection, StreamIdentity } from "./passed-connections.ts";
import {
  type AuthenticatedRequest,
  accepted,
  LARGE_REPLY_BYTES,
  MESSAGES_PATH,
  NO_EVENTS,
  queryOf,
  refusesLargeEvents,
} from "./request.ts";
import { type FrontTools, refusalOfBody, refusalOfMessage, refusalOfSession } from "./request-admission.ts";
import { SseStream } from "./sse-stream.ts";

/** Maximum number of streams whose client has not initialized; beyond it the oldest is closed. */
const MOST_UNINITIALIZED = 128;
/** A stream whose client leaves more results unread is closed. */
const UNREAD_LIMIT_BYTES = 128 * 1024 * 1024;
/** Time after which a client opens a new stream when this one ends, ms. */
const RETRY_MS = 1_000;
/** A method of 2026-07-28, which this transport does not have. */
const DISCOVER = "server/discover";
/** The version of a client that sends none (transport specification of 2025-06-18). */
const UNSAID_VERSION = "2025-03-26";
/** A message may come before its stream, which the previous daemon still has: how long it waits, ms. */
const EARLY_MS = 5_000;
const MOST_EARLY = { ofStream: 8, all: 128 };

export class LegacySse {
  readonly #tools: FrontTools;
  readonly #channels = new Map<string, Channel>();
  /** By stream: how to serve the messages that wait for it. */
  readonly #early = new Map<string, (() => void)[]>();
  #draining: { readonly pass: HandOffConnection | null } | null = null;
  readonly #left = Promise.withResolvers<void>();
  #isPreviousHere: boolean;

  /** `previousGone`: resolves when the previous daemon has ended; absent: there was none. */
  constructor(tools: FrontTools, previousGone?: Promise<void>) {
    this.#tools = tools;
    this.#isPreviousHere = previousGone !== undefined;
    void previousGone?.then(() => {
      this.#isPreviousHere = false;
      for (const id of [...this.#early.keys()]) this.#serveEarly(id);
    });
  }

  /** Resolves when `leave` was called and no stream is left. */
  get left(): Promise<void> {
    return this.#left.promise;
  }

  /** GET /sse */
  listen(authenticated: AuthenticatedRequest): void {
    const { request, response, principal } = authenticated;
    if (!accepted(request.headers.accept).events) {
      this.#tools.refuse(authenticated, NO_EVENTS);
      return;
    }
    // The next daemon cannot continue with chunks, because it does not know whether one is open.
    response.useChunkedEncodingByDefault = false;
    const limit = refusesLargeEvents(request) ? { messageLimitBytes: LARGE_REPLY_BYTES } : {};
    const id = newSessionId(this.#tools.forwarding.machine);
    const channel = this.#open(response, { id, principal, limit });
    channel.greet();
    // The version header means that the client was initialized on an earlier stream. Its lists may have changed since.
    if (versionOf(authenticated) !== null) channel.sendListChanges();
    const uninitialized = [...this.#channels.values()].filter(({ session }) => session === null);
    if (uninitialized.length > MOST_UNINITIALIZED) uninitialized[0]?.finish();
    this.#moveIfQuiet(channel);
  }

  /** Continues a stream that the previous daemon has passed on; closes it if the client's token is withdrawn. */
  continue({ id, principal: caller, limit, session: record }: HandedOffStream, socket: Socket): void {
    const { gateway, sessions } = this.#tools;
    const principal = gateway.served.refresh(caller);
    if (principal === null) {
      socket.destroy();
      return;
    }
    socket.once("end", () => socket.destroy());
    socket.resume();
    const channel = this.#open(socket, { id, principal, limit });
    if (record !== null) {
      channel.session = sessions.continuePassing(record, principal, limit);
      channel.session.listen(channel);
    }
    this.#serveEarly(id);
    this.#moveIfQuiet(channel);
  }

  /** POST /messages */
  post(authenticated: AuthenticatedRequest): void {
    const { refuse, receive, forwarding } = this.#tools;
    const refusal = refusalOfBody(authenticated.request);
    if (refusal !== null) {
      refuse(authenticated, refusal);
      return;
    }
    const id = queryOf(authenticated.request.url).get("sessionId");
    const machine = id === null || this.#channels.has(id) ? null : forwarding.holder(id);
    if (id !== null && machine !== null) {
      receive(authenticated, (body) => forwarding.pass(authenticated, machine, id, body));
      return;
    }
    if (id === null || !this.#isEarly(id)) this.#accept(authenticated, id);
    else
      this.#delayEarly(id, () => this.#tools.guarded(authenticated, () => this.#accept(authenticated, id)));
  }

  #accept(authenticated: AuthenticatedRequest, id: string | null): void {
    const { receive } = this.#tools;
    const channel = this.#channelOf(authenticated, id);
    if (channel === null) return;
    channel.arriving += 1;
    authenticated.response.once("close", () => {
      channel.arriving -= 1;
      this.#moveIfQuiet(channel);
    });
    // Backpressure: while a client leaves its answers unread, its messages are not read.
    const { congested } = channel;
    if (congested === null) receive(authenticated, (body) => this.#read(authenticated, channel, body));
    else
      void congested.then(() => receive(authenticated, (body) => this.#read(authenticated, channel, body)));
  }

  /**
   * Finds a stream by the proof of its id. `caller`: the principal that another machine has authenticated; `principal`:
   * the client's principal on this machine. Returns null if there is no such stream, or the client may not use it.
   */
  findShared(
    proof: string,
    caller: Principal,
  ): { readonly id: string; readonly principal: Principal } | null {
    const check = checkOf(proof);
    const channel = this.#channels.values().find((one) => one.check === check);
    if (channel === undefined) return null;
    const own = channel.session?.principal ?? channel.principal;
    const principal = actingPrincipal(caller, own, this.#tools.gateway.served);
    return principal === null ? null : { id: channel.id, principal };
  }

  /**
   * Passes each stream on as soon as no call is in flight on it; `pass` null: ends it, and its client connects to the
   * next daemon.
   */
  leave(pass: HandOffConnection | null): void {
    this.#draining ??= { pass };
    for (const channel of [...this.#channels.values()]) this.#moveIfQuiet(channel);
    if (this.#channels.size === 0) this.#left.resolve();
  }

  /**
   * Ends each stream that has no session and whose token was revoked. A stream with a session ends with the session.
   */
  endWithdrawn(): void {
    const { served } = this.#tools.gateway;
    for (const channel of [...this.#channels.values()]) {
      if (channel.session === null && served.isWithdrawn(channel.principal)) channel.finish();
    }
  }

  end(): void {
    for (const channel of [...this.#channels.values()]) channel.finish();
  }

  #open(response: ServerResponse | Socket, stream: StreamIdentity): Channel {
    const { id } = stream;
    const channel: Channel = new Channel(stream, {
      openStream: (onClosed) => new SseStream(this.#tools.parts, response, onClosed),
      onWritten: () => this.#moveIfQuiet(channel),
      onClosed: () => {
        this.#channels.delete(id);
        if (this.#draining !== null && this.#channels.size === 0) this.#left.resolve();
      },
    });
    this.#channels.set(id, channel);
    return channel;
  }

  #moveIfQuiet(channel: Channel): void {
    if (this.#draining === null || !channel.isQuiet) return;
    const { pass } = this.#draining;
    const { session } = channel;
    if (pass === null) channel.finish();
    else channel.passOn(pass, session === null ? null : this.#tools.sessions.recordOf(session));
  }

  #isEarly(id: string): boolean {
    if (!this.#isPreviousHere || this.#channels.has(id)) return false;
    const all = [...this.#early.values()].reduce((sum, { length }) => sum + length, 0);
    return all < MOST_EARLY.all && (this.#early.get(id)?.length ?? 0) < MOST_EARLY.ofStream;
  }

  #delayEarly(id: string, serve: () => void): void {
    const timer: Timer = this.#tools.parts.clock.setTimer(EARLY_MS, () => this.#serveEarly(id));
    const waiting = this.#early.get(id) ?? [];
    waiting.push(() => {
      timer[Symbol.dispose]();
      serve();
    });
    this.#early.set(id, waiting);
  }

  #serveEarly(id: string): void {
    const waiting = this.#early.get(id) ?? [];
    this.#early.delete(id);
    for (const serve of waiting) serve();
  }

  #begin(
    channel: Channel,
    client: Pick<Session, "protocolVersion" | "capabilities" | "clientInfo">,
    principal: Principal,
  ): Session {
    const { gateway, sessions } = this.#tools;
    const id = newSessionId(null);
    const session = sessions.open({
      ...client,
      ...channel.limit,
      id,
      principal,
      transport: "sse",
      isPassing: true,
    });
    channel.session = session;
    gateway.opened(session);
    session.listen(channel);
    return session;
  }

  /**
   * The request's channel. Null: the request is refused, because the stream does not exist or belongs to
   * another principal.
   */
  #channelOf(authenticated: AuthenticatedRequest, id: string | null): Channel | null {
    const { admission, refuse } = this.#tools;
    if (id === null) {
      refuse(authenticated, {
        status: 400,
        message: "the address lacks its sessionId; a GET of /sse gives one",
      });
      return null;
    }
    const channel = this.#channels.get(id);
    if (channel === undefined || !mayResumeAs(principalKey(channel.principal), authenticated.principal)) {
      admission.refuseSession(authenticated, channel === undefined ? null : "foreign");
      return null;
    }
    const { session } = channel;
    return session === null || admission.session(authenticated, session.sessionId) !== null ? channel : null;
  }

  #read(authenticated: AuthenticatedRequest, channel: Channel, body: Buffer): void {
    const taken = readIncoming(body, channel.session, (incoming) =>
      this.#take(authenticated, channel, incoming),
    );
    void taken?.catch((error) =>
      this.#tools.guarded(authenticated, () => {
        throw error;
      }),
    );
  }

  #take(authenticated: AuthenticatedRequest, channel: Channel, incoming: Incoming): void {
    const { admission, refuse } = this.#tools;
    const { session } = channel;
    if (!this.#channels.has(channel.id)) {
      admission.refuseSession(authenticated, null);
      return;
    }
    if (incoming.kind === "refused") {
      const { code, id, reason } = incoming;
      if (id === null) refuse(authenticated, refusalOfMessage(incoming));
      else this.#reply(authenticated, channel, id, errorReply(code, reason));
      return;
    }
    if (incoming.kind === "batch") {
      if (!admission.mayRequestAll(authenticated, incoming)) return;
      answerEmpty(authenticated.response, 202);
      serveBatch(
        incoming,
        createBatchStream(channel, incoming.answers, (json) => channel.write(json)),
      );
      return;
    }
    const { message } = incoming;
    if (message.kind !== "request") {
      answerEmpty(authenticated.response, 202);
      session?.handle(message);
    } else this.#serve(authenticated, channel, message.message);
  }

  #serve(authenticated: AuthenticatedRequest, channel: Channel, request: RpcRequest): void {
    const { id, method } = request;
    if (method === "initialize" && channel.session === null)
      this.#initialize(authenticated, channel, request);
    else if (method === DISCOVER) {
      // Clients that try 2026-07-28 first then initialize.
      const reply = errorReply(METHOD_NOT_FOUND, `${DISCOVER} is not a method of this transport`);
      this.#reply(authenticated, channel, id, reply);
    } else if (method === "ping" && channel.session === null)
      this.#reply(authenticated, channel, id, { result: {} });
    else {
      const session = channel.session ?? this.#resume(authenticated, channel, id);
      if (session === null || !this.#tools.admission.mayRequest(authenticated, session, request)) return;
      answerEmpty(authenticated.response, 202);
      session.serve(request, channel);
    }
  }

  /**
   * For a client that was initialized on an earlier stream, and calls on this one without doing it again: an empty
   * session. Null: the request is refused.
   */
  #resume(authenticated: AuthenticatedRequest, channel: Channel, id: RpcId): Session | null {
    if (!this.#admit(authenticated, id)) return null;
    const protocolVersion = versionOf(authenticated) ?? UNSAID_VERSION;
    return this.#begin(
      channel,
      { protocolVersion, capabilities: {}, clientInfo: {} },
      authenticated.principal,
    );
  }

  /** False: there is no room for one more session, and the request is refused. */
  #admit(authenticated: AuthenticatedRequest, id: RpcId): boolean {
    const { sessions, refuse } = this.#tools;
    const admission = sessions.admit(authenticated.principal);
    if (admission.kind !== "room")
      refuse(authenticated, { ...refusalOfSession(admission, authenticated.principal), id });
    return admission.kind === "room";
  }

  #reply(authenticated: AuthenticatedRequest, channel: Channel, id: RpcId, reply: Reply): void {
    answerEmpty(authenticated.response, 202);
    channel.answer(id, reply);
  }

  #initialize(authenticated: AuthenticatedRequest, channel: Channel, { id, params }: RpcRequest): void {
    const { gateway } = this.#tools;
    const { principal } = authenticated;
    const introduction = readIntroduction(params);
    if (!introduction.ok) {
      this.#reply(authenticated, channel, id, introduction.reply);
      return;
    }
    if (!this.#admit(authenticated, id)) return;
    const { client } = introduction;
    this.#reply(authenticated, channel, id, initializeReply(gateway, { ...client, principal, group: null }));
    this.#begin(channel, client, principal);
  }
}

interface ChannelOptions {
  readonly openStream: (onClosed: () => void) => SseStream;
  /** Called after each answer. */
  readonly onWritten: () => void;
  readonly onClosed: () => void;
}

/** The version that the client's header names; null: none, or an unknown one. */
function versionOf({ request }: AuthenticatedRequest): ProtocolVersion | null {
  const version = request.headers["mcp-protocol-version"];
  return isProtocolVersion(version) ? version : null;
}

/** One stream and its session; everything sent to the client goes through it. */
class Channel implements CallStream, ListeningStream {
  readonly id: string;
  /** The result of `checkOf`, with which a proof of the stream's id is verified. */
  readonly check: string;
  readonly principal: Principal;
  readonly limit: StreamIdentity["limit"];
  /** Null before `initialize`, or before the first call of a client that was initialized on an earlier stream. */
  session: Session | null = null;
  /** Number of messages that are arriving. */
  arriving = 0;
  readonly #options: ChannelOptions;
  readonly #stream: SseStream;

  constructor({ id, principal, limit }: StreamIdentity, options: ChannelOptions) {
    this.id = id;
    this.check = checkOf(proofOf(id));
    this.principal = principal;
    this.limit = limit;
    this.#options = options;
    this.#stream = options.openStream(() => {
      options.onClosed();
      this.session?.streamClosed(this);
      this.session?.end("the client closed its stream");
    });
  }

  /** Sends the event with the address for messages. */
  greet(): void {
    const endpoint = `${MESSAGES_PATH}?sessionId=${this.id}`;
    this.#stream.sendEvent(`retry: ${RETRY_MS}\nevent: endpoint\ndata: ${endpoint}`);
  }

  sendListChanges(): void {
    for (const kind of LIST_KINDS) {
      this.send(JSON.stringify({ jsonrpc: "2.0", method: LIST_CHANGED[kind] }));
    }
  }

  get congested(): Promise<void> | null {
    return this.#stream.congested;
  }

  send(json: string): boolean {
    return this.#stream.send(json);
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    this.write(reply === null ? null : responseJson(id, reply));
  }

  /** `json` null: the request, or every request of the batch, was cancelled, so nothing is sent. */
  write(json: string | null): void {
    if (this.#stream.backlog > UNREAD_LIMIT_BYTES) this.#stream.destroy();
    else if (json !== null) this.#stream.sendAnyway(json);
    this.#options.onWritten();
  }

  /** Does nothing while the session lives, because the session needs this stream. */
  end(): void {
    if (this.session?.ended.aborted === true) this.finish();
  }

  /** Ends the stream once everything is written. */
  finish(): void {
    this.#stream.end();
  }

  get isQuiet(): boolean {
    const { inFlight = 0, openQuestions = 0 } = this.session ?? {};
    return inFlight === 0 && openQuestions === 0 && this.arriving === 0;
  }

  passOn(pass: HandOffConnection, session: SessionRecord | null): void {
    const { id, limit } = this;
    const principal = this.session?.principal ?? this.principal;
    this.#stream.passOn((handle) => pass(handle, { id, principal, limit, session }));
  }
}
