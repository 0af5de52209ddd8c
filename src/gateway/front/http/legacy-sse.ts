// The HTTP+SSE transport of protocol 2024-11-05: GET /sse opens a stream, whose first event gives the address that
// messages are posted to. Everything from the gateway goes to that stream. The session ends with the stream.
import type { ServerResponse } from "node:http";
import { mayGoOn, type Principal, principalKey } from "../../client-port.ts";
import { INVALID_REQUEST, type Reply, type RpcId, type RpcRequest } from "../../json-rpc.ts";
import { isProtocolVersion, LIST_KINDS } from "../../protocol.ts";
import { readIncoming, serveBatch } from "../session/incoming.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import { type CallOutlet, createBatchOutlet, responseJson } from "../session/outlet.ts";
import type { ListeningOutlet, Session } from "../session/session.ts";
import { actingPrincipal, checkOf, newSessionId, proofOf } from "../session/session-record.ts";
import { answerEmpty } from "./answer.ts";
import { accepted, MESSAGES_PATH, NO_EVENTS, queryOf, type Visit } from "./request.ts";
import { type FrontTools, refusalOfBody, refusalOfSession } from "./request-admission.ts";
import { SseStream } from "./sse-stream.ts";

/** Maximum number of streams whose client has not initialized; beyond it the oldest is closed. */
const MOST_UNINITIALIZED = 128;
/** A stream whose client leaves more results unread is closed. */
const UNREAD_LIMIT_BYTES = 128 * 1024 * 1024;
/** Time after which a client opens a new stream when this one ends, ms. */
const RETRY_MS = 1_000;

export class LegacySse {
  readonly #tools: FrontTools;
  readonly #channels = new Map<string, Channel>();
  #isLeaving = false;

  constructor(tools: FrontTools) {
    this.#tools = tools;
  }

  /** GET /sse */
  listen(visit: Visit): void {
    const { request, response, principal } = visit;
    const { sessions, refuse } = this.#tools;
    if (!accepted(request.headers.accept).events) {
      refuse(visit, NO_EVENTS);
      return;
    }
    // The version header means that the client was initialized on an earlier stream, and does not initialize
    // again.
    const version = request.headers["mcp-protocol-version"];
    const protocolVersion = isProtocolVersion(version) ? version : null;
    const room = protocolVersion === null ? null : sessions.makeRoom(principal);
    if (room !== null && room.kind !== "room") {
      refuse(visit, refusalOfSession(room, principal));
      return;
    }
    const channel = this.#open(response, principal);
    if (protocolVersion === null) return;
    const session = this.#begin(channel, { protocolVersion, capabilities: {}, clientInfo: {} });
    channel.isProvisional = true;
    for (const kind of LIST_KINDS) session.listChanged(kind);
  }

  /** POST /messages */
  post(visit: Visit): void {
    const { refuse, receive, forwarding } = this.#tools;
    const refusal = refusalOfBody(visit.request);
    if (refusal !== null) {
      refuse(visit, refusal);
      return;
    }
    const id = queryOf(visit.request.url).get("sessionId");
    const machine = id === null || this.#channels.has(id) ? null : forwarding.holder(id);
    if (id !== null && machine !== null) {
      receive(visit, (body) => forwarding.pass(visit, machine, id, body));
      return;
    }
    const channel = this.#channelOf(visit, id);
    if (channel === null) return;
    // Backpressure: while a client leaves its answers unread, its messages are not read.
    const { congested } = channel;
    if (congested === null) receive(visit, (body) => this.#read(visit, channel, body));
    else void congested.then(() => receive(visit, (body) => this.#read(visit, channel, body)));
  }

  /**
   * Finds a stream by the proof of its id. `said`: the principal that another machine has authenticated; `principal`:
   * the client's principal on this machine. Returns null if there is no such stream, or the client may not use it.
   */
  findShared(proof: string, said: Principal): { readonly id: string; readonly principal: Principal } | null {
    const check = checkOf(proof);
    const channel = this.#channels.values().find((one) => one.check === check);
    if (channel === undefined) return null;
    const own = channel.session?.principal ?? channel.principal;
    const principal = actingPrincipal(said, own, this.#tools.gateway.served);
    return principal === null ? null : { id: channel.id, principal };
  }

  /** Ends each stream as soon as no call is in flight on it; its client then connects to the next daemon. */
  leave(): void {
    this.#isLeaving = true;
    for (const channel of [...this.#channels.values()]) channel.finishIfQuiet();
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

  #open(response: ServerResponse, principal: Principal): Channel {
    const id = newSessionId(this.#tools.forwarding.machine);
    const channel: Channel = new Channel(id, principal, {
      openStream: (onClosed) => new SseStream(this.#tools.parts, response, onClosed),
      isLeaving: () => this.#isLeaving,
      onClosed: () => this.#channels.delete(id),
    });
    this.#channels.set(id, channel);
    const uninitialized = [...this.#channels.values()].filter(({ session }) => session === null);
    if (uninitialized.length > MOST_UNINITIALIZED) uninitialized[0]?.finish();
    if (this.#isLeaving) channel.finish();
    return channel;
  }

  #begin(
    channel: Channel,
    client: Pick<Session, "protocolVersion" | "capabilities" | "clientInfo">,
    principal = channel.principal,
  ): Session {
    const { gateway, sessions } = this.#tools;
    const id = newSessionId(null);
    const session = sessions.open({ ...client, id, principal, transport: "sse", isPassing: true });
    channel.session = session;
    gateway.opened(session);
    session.listen(channel);
    return session;
  }

  /**
   * The request's channel. Null: the request is refused, because the stream does not exist or belongs to
   * another principal.
   */
  #channelOf(visit: Visit, id: string | null): Channel | null {
    const { admission, refuse } = this.#tools;
    if (id === null) {
      refuse(visit, { status: 400, message: "the address lacks its sessionId; a GET of /sse gives one" });
      return null;
    }
    const channel = this.#channels.get(id);
    if (channel === undefined || !mayGoOn(principalKey(channel.principal), visit.principal)) {
      admission.refuseSession(visit, channel === undefined ? null : "foreign");
      return null;
    }
    const { session } = channel;
    return session === null || admission.session(visit, session.sessionId) !== null ? channel : null;
  }

  #read(visit: Visit, channel: Channel, body: Buffer): void {
    const { admission, refuse } = this.#tools;
    if (!this.#channels.has(channel.id)) {
      admission.refuseSession(visit, null);
      return;
    }
    const { session } = channel;
    const incoming = readIncoming(body, session);
    if (incoming.kind === "refused") {
      const { code, id, reason: message } = incoming;
      refuse(visit, { status: 400, code, id, message });
      return;
    }
    if (incoming.kind === "batch") {
      if (!admission.mayAskAll(visit, incoming)) return;
      answerEmpty(visit.response, 202);
      serveBatch(
        incoming,
        createBatchOutlet(channel, incoming.answers, (json) => channel.write(json)),
      );
      return;
    }
    const { message } = incoming;
    if (message.kind !== "request") {
      answerEmpty(visit.response, 202);
      session?.handle(message);
    } else if (message.message.method === "initialize" && (session === null || channel.isProvisional)) {
      this.#initialize(visit, channel, message.message);
    } else if (session === null) {
      const { id } = message.message;
      refuse(visit, { status: 400, code: INVALID_REQUEST, id, message: "initialize comes first" });
    } else if (admission.mayAsk(visit, session, message.message)) {
      channel.isProvisional = false;
      answerEmpty(visit.response, 202);
      session.serve(message.message, channel);
    }
  }

  #initialize(visit: Visit, channel: Channel, { id, params }: RpcRequest): void {
    const { gateway, sessions, refuse } = this.#tools;
    const { response, principal } = visit;
    const introduction = readIntroduction(params);
    if (!introduction.ok) {
      answerEmpty(response, 202);
      channel.answer(id, introduction.reply);
      return;
    }
    const provisional = channel.session;
    channel.session = null;
    channel.isProvisional = false;
    provisional?.end("the client initialized");
    const room = sessions.makeRoom(principal);
    if (room.kind !== "room") {
      refuse(visit, { ...refusalOfSession(room, principal), id });
      return;
    }
    const { client } = introduction;
    answerEmpty(response, 202);
    channel.answer(id, initializeReply(gateway, { ...client, principal, group: null }));
    this.#begin(channel, client, principal);
  }
}

interface ChannelOptions {
  readonly openStream: (onClosed: () => void) => SseStream;
  readonly isLeaving: () => boolean;
  readonly onClosed: () => void;
}

/** One stream and its session; what is written to the client goes through it. */
class Channel implements CallOutlet, ListeningOutlet {
  readonly id: string;
  /** The result of `checkOf`, with which a proof of the stream's id is verified. */
  readonly check: string;
  readonly principal: Principal;
  /** Null before `initialize`. */
  session: Session | null = null;
  /**
   * True: the session continues the session of an earlier stream. An `initialize` of the client may still replace it.
   */
  isProvisional = false;
  readonly #options: ChannelOptions;
  readonly #stream: SseStream;

  /** Sends the event with the address for messages. */
  constructor(id: string, principal: Principal, options: ChannelOptions) {
    this.id = id;
    this.check = checkOf(proofOf(id));
    this.principal = principal;
    this.#options = options;
    this.#stream = options.openStream(() => {
      options.onClosed();
      this.session?.outletClosed(this);
      this.session?.end("the client closed its stream");
    });
    const endpoint = `${MESSAGES_PATH}?sessionId=${id}`;
    this.#stream.sendEvent(`retry: ${RETRY_MS}\nevent: endpoint\ndata: ${endpoint}`);
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
    if (this.#options.isLeaving()) this.finishIfQuiet();
  }

  /** Does nothing while the session lives, because the session needs this stream. */
  end(): void {
    if (this.session?.ended.aborted === true) this.finish();
  }

  /** Ends the stream once everything is written. */
  finish(): void {
    this.#stream.end();
  }

  finishIfQuiet(): void {
    const { inFlight = 0, openQuestions = 0 } = this.session ?? {};
    if (inFlight === 0 && openQuestions === 0) this.finish();
  }
}
