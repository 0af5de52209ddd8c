// The door for clients of the older transport, HTTP+SSE of 2024-11-05: GET /sse opens a stream whose first event says
// where messages are posted, and all that the gateway says goes to that stream. A session is as long as its stream.
import type { ServerResponse } from "node:http";
import { mayGoOn, type Principal, principalKey } from "../../client-port.ts";
import { INVALID_REQUEST, type Reply, type RpcId, type RpcRequest } from "../../json-rpc.ts";
import { isProtocolVersion, LIST_KINDS } from "../../protocol.ts";
import { type Batch, readIncoming } from "../session/incoming.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import { type CallOutlet, createBatchOutlet, responseJson } from "../session/outlet.ts";
import type { ListeningOutlet, Session } from "../session/session.ts";
import { actingPrincipal, checkOf, newSessionId, proofOf } from "../session/session-record.ts";
import { answerEmpty } from "./answer.ts";
import type { Forwarding } from "./forwarding.ts";
import { accepted, MESSAGES_PATH, queryOf } from "./request.ts";
import { type FrontTools, refusalOfBody, refusalOfSession, type Visit } from "./request-admission.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** Streams whose client has not initialized; the oldest gives way. */
const MOST_SILENT = 128;
/** Results that a client leaves unread; beyond it the stream is cut. */
const UNREAD_LIMIT_BYTES = 128 * 1024 * 1024;
/** A client whose stream ends looks again after this time. */
const RETRY_MS = 1_000;

interface OlderDoorOptions extends FrontTools {
  readonly forwarding: Pick<Forwarding, "machine" | "holder" | "pass">;
}

/** One stream, and the session on it. */
interface Channel {
  readonly id: string;
  /** As of a session's id. */
  readonly check: string;
  readonly principal: Principal;
  readonly outlet: ChannelOutlet;
  /** Null before `initialize`. */
  session: Session | null;
  /** Its client was initialized on an earlier stream, and may still initialize on this one. */
  isProvisional: boolean;
}

export class OlderDoor {
  readonly #options: OlderDoorOptions;
  readonly #channels = new Map<string, Channel>();
  #isLeaving = false;

  constructor(options: OlderDoorOptions) {
    this.#options = options;
  }

  /** GET /sse */
  listen(visit: Visit): void {
    const { request, response, principal } = visit;
    const { sessions, refuse } = this.#options;
    if (!accepted(request.headers.accept).events) {
      refuse(visit, { status: 406, message: "the client must accept text/event-stream" });
      return;
    }
    // A client that names its version was initialized on a stream that has ended, and does not do so again.
    const version = request.headers["mcp-protocol-version"];
    const goesOn = isProtocolVersion(version) ? version : null;
    const room = goesOn === null ? null : sessions.makeRoom(principal);
    if (room !== null && room.kind !== "room") {
      refuse(visit, refusalOfSession(room, principal));
      return;
    }
    const channel = this.#open(response, principal);
    if (goesOn === null) return;
    const session = this.#begin(channel, { protocolVersion: goesOn, capabilities: {}, clientInfo: {} });
    channel.isProvisional = true;
    for (const kind of LIST_KINDS) session.listChanged(kind);
  }

  /** POST /messages */
  post(visit: Visit): void {
    const { refuse, receive } = this.#options;
    const refusal = refusalOfBody(visit.request);
    if (refusal !== null) {
      refuse(visit, refusal);
      return;
    }
    const id = queryOf(visit.request.url).get("sessionId");
    const { forwarding } = this.#options;
    const machine = id === null || this.#channels.has(id) ? null : forwarding.holder(id);
    if (id !== null && machine !== null) {
      receive(visit, (body) => forwarding.pass(visit, machine, id, body));
      return;
    }
    const channel = this.#channelOf(visit, id);
    if (channel === null) return;
    // Nothing is read from a client that leaves its answers unread.
    const { congested } = channel.outlet;
    if (congested === null) receive(visit, (body) => this.#read(visit, channel, body));
    else void congested.then(() => receive(visit, (body) => this.#read(visit, channel, body)));
  }

  /** As of sessions: the stream whose address another machine's client knows, and as whom that client acts. */
  findShared(proof: string, said: Principal): { readonly id: string; readonly principal: Principal } | null {
    const check = checkOf(proof);
    const channel = this.#channels.values().find((one) => one.check === check);
    if (channel === undefined) return null;
    const own = channel.session?.principal ?? channel.principal;
    const principal = actingPrincipal(said, own, this.#options.gateway.served);
    return principal === null ? null : { id: channel.id, principal };
  }

  /** Streams end as soon as nothing is under way there, so that their clients look for who serves them from now on. */
  leave(): void {
    this.#isLeaving = true;
    for (const channel of [...this.#channels.values()]) this.#endIfQuiet(channel);
  }

  /** Streams without a session; others end with theirs. */
  endWithdrawn(): void {
    const { served } = this.#options.gateway;
    for (const { session, principal, outlet } of [...this.#channels.values()]) {
      if (session === null && served.isWithdrawn(principal)) outlet.finish();
    }
  }

  end(): void {
    for (const { outlet } of [...this.#channels.values()]) outlet.finish();
  }

  #open(response: ServerResponse, principal: Principal): Channel {
    const id = newSessionId(this.#options.forwarding.machine);
    const outlet = new ChannelOutlet(this.#options.parts, response, {
      isOver: () => channel.session?.ended.aborted === true,
      onAnswered: () => {
        if (this.#isLeaving) this.#endIfQuiet(channel);
      },
      onClosed: () => {
        this.#channels.delete(id);
        channel.session?.outletClosed(outlet);
        channel.session?.end("the client closed its stream");
      },
    });
    const check = checkOf(proofOf(id));
    const channel: Channel = { id, check, principal, outlet, session: null, isProvisional: false };
    this.#channels.set(id, channel);
    outlet.open(`${MESSAGES_PATH}?sessionId=${id}`);
    const silent = [...this.#channels.values()].filter(({ session }) => session === null);
    if (silent.length > MOST_SILENT) silent[0]?.outlet.finish();
    if (this.#isLeaving) outlet.finish();
    return channel;
  }

  #begin(
    channel: Channel,
    client: Pick<Session, "protocolVersion" | "capabilities" | "clientInfo">,
    principal = channel.principal,
  ): Session {
    const { gateway, sessions } = this.#options;
    const id = newSessionId(null);
    const session = sessions.open({ ...client, id, principal, transport: "sse", isPassing: true });
    channel.session = session;
    gateway.opened(session);
    session.listen(channel.outlet);
    return session;
  }

  /** Null, and the request is answered: there is none, or not for this principal. */
  #channelOf(visit: Visit, id: string | null): Channel | null {
    const { admission, refuse } = this.#options;
    if (id === null) {
      refuse(visit, { status: 400, message: "the address lacks its sessionId; a GET of /sse gives one" });
      return null;
    }
    const channel = this.#channels.get(id);
    const isOwn = channel !== undefined && mayGoOn(principalKey(channel.principal), visit.principal);
    const session = channel?.session ?? null;
    if (channel === undefined || !isOwn) {
      admission.refuseSession(visit, channel === undefined ? null : "foreign");
      return null;
    }
    if (session === null) return channel;
    return admission.session(visit, session.sessionId) === null ? null : channel;
  }

  #read(visit: Visit, channel: Channel, body: Buffer): void {
    const { admission, refuse } = this.#options;
    if (!this.#channels.has(channel.id)) {
      admission.refuseSession(visit, null);
      return;
    }
    const { session, outlet } = channel;
    const incoming = readIncoming(body, session);
    if (incoming.kind === "refused") {
      const { code, id, reason: message } = incoming;
      refuse(visit, { status: 400, code, id, message });
      return;
    }
    if (incoming.kind === "batch") {
      const requests = incoming.messages.filter((message) => message.kind === "request");
      if (!requests.every(({ message }) => admission.mayAsk(visit, incoming.session, message))) return;
      answerEmpty(visit.response, 202);
      takeBatch(incoming, outlet);
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
      session.serve(message.message, outlet);
    }
  }

  #initialize(visit: Visit, channel: Channel, { id, params }: RpcRequest): void {
    const { gateway, sessions, refuse } = this.#options;
    const { response, principal } = visit;
    const introduction = readIntroduction(params);
    if (!introduction.ok) {
      answerEmpty(response, 202);
      channel.outlet.answer(id, introduction.reply);
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
    channel.outlet.answer(id, initializeReply(gateway, { ...client, principal, group: null }));
    this.#begin(channel, client, principal);
  }

  #endIfQuiet({ session, outlet }: Channel): void {
    if (session === null || (session.inFlight === 0 && session.openQuestions === 0)) outlet.finish();
  }
}

function takeBatch({ session, messages, errors, answers }: Batch, outlet: ChannelOutlet): void {
  const target = createBatchOutlet(outlet, answers, (json) => outlet.write(json));
  for (const { id, reply } of errors) target.answer(id, reply);
  for (const message of messages) {
    if (message.kind === "request") session.serve(message.message, target);
    else session.handle(message);
  }
}

interface ChannelEvents {
  /** The session has ended. */
  readonly isOver: () => boolean;
  readonly onAnswered: () => void;
  readonly onClosed: () => void;
}

/** What is written to the client: the answers to its calls, and all it is told and asked. */
class ChannelOutlet implements CallOutlet, ListeningOutlet {
  readonly #stream: SseStream;
  readonly #events: ChannelEvents;

  constructor(parts: StreamParts, response: ServerResponse, events: ChannelEvents) {
    this.#events = events;
    this.#stream = new SseStream(parts, response, events.onClosed);
  }

  get congested(): Promise<void> | null {
    return this.#stream.congested;
  }

  open(endpoint: string): void {
    this.#stream.sendEvent(`retry: ${RETRY_MS}\nevent: endpoint\ndata: ${endpoint}`);
  }

  send(json: string): boolean {
    return this.#stream.send(json);
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    this.write(reply === null ? null : responseJson(id, reply));
  }

  /** Null: what was asked was cancelled. */
  write(json: string | null): void {
    if (this.#stream.backlog > UNREAD_LIMIT_BYTES) this.#stream.destroy();
    else if (json !== null) this.#stream.sendAnyway(json);
    this.#events.onAnswered();
  }

  /** The stream is the session: it ends with it alone. */
  end(): void {
    if (this.#events.isOver()) this.finish();
  }

  /** Ends the stream once everything is written. */
  finish(): void {
    this.#stream.end();
  }
}
