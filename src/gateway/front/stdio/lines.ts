// MCP over one stream of lines (stdio framing): one session, which ends with the stream, or requests of protocol
// 2026-07-28, which need none.
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { errorText } from "../../../runtime/errors.ts";
import { FleetingMap } from "../../../runtime/fleeting.ts";
import { createLineSplitter } from "../../../runtime/text/line-splitter.ts";
import { type Clock, settledWithin } from "../../../runtime/time/clock.ts";
import type { Principal } from "../../client-port.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  INVALID_REQUEST,
  idKey,
  isRpcId,
  type JsonObject,
  LIMIT_REACHED,
  type Reply,
  type RpcId,
  type RpcNotification,
  type RpcRequest,
} from "../../json-rpc.ts";
import { isModern, LISTEN } from "../../protocol.ts";
import type { Gone, ModernFront } from "../modern/modern-front.ts";
import { checkModern } from "../modern/request.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import { type Batch, readIncoming } from "../session/incoming.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import {
  BACKLOG_LIMIT_BYTES,
  type CallOutlet,
  createBatchOutlet,
  PassingOutlet,
  responseJson,
  responsePieces,
} from "../session/outlet.ts";
import { KeepAlive, type KeptStream, PacedWriter } from "../session/paced-writer.ts";
import { type ListeningOutlet, Session } from "../session/session.ts";

/** Clients that do not know it ignore it, as they do with any notice that is new to them. */
const HANDOVER_NOTICE = JSON.stringify({ jsonrpc: "2.0", method: "notifications/mountaineer/handover" });

/** By which `mountaineer mcp --group` says what it wants; daemons that do not know it answer an error. */
const GROUP_METHOD = "mountaineer/group";

/** For writing what is left when the stream ends. */
const LAST_WRITE_MS = 1_000;

interface LinesOptions extends GatewayTools {
  readonly gateway: FrontGateway;
  readonly modern: ModernFront;
  readonly principal: Principal;
  /** The only part of everything that it is served, whatever it asks for; absent: it may choose. */
  readonly group?: string;
  /** Of one line. */
  readonly bodyLimitBytes: () => number;
}

/** Serves one client until the stream ends, from either side. Never throws. Disposing is `stop(0)`. */
export class LinesFront implements AsyncDisposable {
  readonly #stream: Duplex;
  readonly #options: LinesOptions;
  readonly #outlet: LinesOutlet;
  readonly #closed = Promise.withResolvers<void>();
  readonly #modern: ModernLines;
  #settled = Promise.withResolvers<void>();
  #session: Session | null = null;
  /** What its client asked for before anything else; null: everything. */
  #group: string | null;
  #stopping = false;
  /** The client says no more, but may still read. */
  #isSilent = false;

  constructor(stream: Duplex, options: LinesOptions) {
    const { bodyLimitBytes } = options;
    this.#stream = stream;
    this.#options = options;
    this.#group = options.group ?? null;
    this.#outlet = new LinesOutlet(stream, options.clock, () => {
      this.#session?.end("the client closed its stream");
      this.#modern.end();
      this.#closed.resolve();
    });
    const { modern, principal } = options;
    this.#modern = new ModernLines({
      modern,
      principal,
      group: () => this.#group,
      outlet: this.#outlet,
      onSettled: this.#onSettled,
    });
    const splitter = createLineSplitter(bodyLimitBytes, () => {
      const message = `the message is longer than ${bodyLimitBytes()} bytes ([server].body_limit_mb)`;
      this.#refuse(INVALID_REQUEST, message);
    });
    stream.on("data", (chunk: Buffer) => {
      splitter.push(chunk);
      for (let line = splitter.nextBytes(); line !== null; line = splitter.nextBytes()) this.#read(line);
    });
    stream.once("end", () => {
      const last = splitter.restBytes();
      if (last !== null) this.#read(last);
      this.#isSilent = true;
      this.#session?.fallSilent();
      if (this.#waiting === 0) this.#end("the stream ends");
    });
    stream.once("close", () => this.#outlet.destroy());
    stream.on("error", () => this.#outlet.destroy());
  }

  /** 1 once initialized, until the end. */
  get sessions(): number {
    return this.#session === null || this.#session.ended.aborted ? 0 : 1;
  }

  /** Of its session. */
  get inFlight(): number {
    return this.#session?.inFlight ?? 0;
  }

  get #waiting(): number {
    return this.inFlight + this.#modern.inFlight;
  }

  /** Resolves when the stream has closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Another gateway is in charge: a client that understands it ends this stream in a quiet moment. */
  moveOn(): void {
    if (this.#session !== null || this.#modern.isUsed) this.#outlet.write(HANDOVER_NOTICE);
    else this.#end("the gateway is stopping");
  }

  /** Takes no more, waits `graceMs` at most for what is in flight, and ends the stream. */
  async stop(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    this.#stopping = true;
    if (this.#waiting > 0 && graceMs > 0) {
      this.#settled = Promise.withResolvers<void>();
      await settledWithin(clock, graceMs, this.#settled.promise);
    }
    this.#end("the gateway is stopping");
    await settledWithin(clock, LAST_WRITE_MS, this.closed);
    this.#outlet.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop(0);
  }

  /** Ends the session, and the stream once everything is written. */
  #end(reason: string): void {
    this.#session?.end(reason);
    this.#stream.once("finish", () => this.#outlet.destroy());
    this.#outlet.finish();
  }

  readonly #onSettled = (): void => {
    if (this.#waiting > 0) return;
    this.#settled.resolve();
    if (this.#isSilent) this.#end("the stream ends");
  };

  #refuse(code: number, message: string, id: RpcId | null = null): void {
    this.#outlet.write(responseJson(id, errorReply(code, message)));
  }

  /** A mistake of ours costs its message, and nothing else. */
  #read(line: Buffer): void {
    if (!this.#outlet.isOpen || line.length === 0) return;
    try {
      const incoming = readIncoming(line, this.#session);
      if (incoming.kind === "refused") this.#refuse(incoming.code, incoming.reason, incoming.id);
      else if (incoming.kind === "batch") this.#takeBatch(incoming);
      else if (incoming.message.kind === "request") this.#serve(incoming.message.message, this.#outlet);
      else if (this.#session !== null) this.#session.handle(incoming.message);
      else if (incoming.message.kind === "notification") this.#modern.handle(incoming.message.message);
    } catch (error) {
      this.#options.logger.error("a message was not handled", { error: errorText(error) });
      this.#refuse(INTERNAL_ERROR, "internal error");
    }
  }

  #takeBatch({ session, messages, errors, answers }: Batch): void {
    const outlet = this.#outlet;
    const target = createBatchOutlet(outlet, answers, (json) => {
      if (json !== null) outlet.write(json);
      outlet.pauseReading();
    });
    for (const { id, reply } of errors) target.answer(id, reply);
    for (const message of messages) {
      if (message.kind === "request") this.#serve(message.message, target);
      else session.handle(message);
    }
  }

  #serve(request: RpcRequest, target: CallOutlet): void {
    const { id, method } = request;
    if (this.#stopping) target.answer(id, errorReply(INVALID_REQUEST, "the gateway is stopping"));
    else if (this.#session !== null) this.#session.serve(request, target);
    else if (beginsModern(request)) this.#modern.serve(request);
    else if (method === GROUP_METHOD) target.answer(id, this.#choose(request));
    else if (method === "initialize") this.#initialize(request);
    else if (method === "ping") target.answer(id, { result: {} });
    else target.answer(id, errorReply(INVALID_REQUEST, "initialize comes first"));
  }

  /** Which group the client is served from now on: what it says first, so that nothing of another is in its session. */
  #choose({ params }: RpcRequest): Reply {
    const name = params?.["name"];
    if (this.#options.group !== undefined) return errorReply(INVALID_REQUEST, "no group can be chosen here");
    if (typeof name !== "string" || !this.#options.gateway.hasGroup(name)) {
      return errorReply(INVALID_PARAMS, "there is no such group");
    }
    if (this.#modern.isUsed) return errorReply(INVALID_REQUEST, "a group is chosen before anything else");
    this.#group = name;
    return { result: {} };
  }

  #initialize({ id, params }: RpcRequest): void {
    const { gateway, logger, principal } = this.#options;
    const introduction = readIntroduction(params);
    if (!introduction.ok) {
      this.#outlet.write(responseJson(id, introduction.reply));
      return;
    }
    const session = new Session({
      ...introduction.client,
      group: this.#group,
      id: randomBytes(24).toString("base64url"),
      principal,
      gateway,
      logger,
      onSettled: this.#onSettled,
      onEnded() {},
    });
    this.#session = session;
    this.#outlet.write(responseJson(id, initializeReply(gateway, session)));
    gateway.opened(session);
    session.listen(this.#outlet);
  }
}

/** What is written to the client: the answers to its calls, and all it is told and asked. */
class LinesOutlet implements CallOutlet, ListeningOutlet, KeptStream {
  isOpen = true;
  readonly #stream: Duplex;
  readonly #writer: PacedWriter;
  readonly #keepAlive: KeepAlive;
  readonly #onClosed: () => void;

  constructor(stream: Duplex, clock: Clock, onClosed: () => void) {
    this.#stream = stream;
    this.#writer = new PacedWriter(stream, clock);
    this.#keepAlive = new KeepAlive(clock);
    this.#onClosed = onClosed;
    this.#keepAlive.add(this);
  }

  get congested(): Promise<void> | null {
    return this.isOpen ? this.#writer.congested : null;
  }

  write(json: string): void {
    if (this.isOpen) this.#writer.write(`${json}\n`);
  }

  send(json: string): boolean {
    if (this.isOpen && this.#writer.backlog > BACKLOG_LIMIT_BYTES) this.destroy();
    this.write(json);
    return this.isOpen;
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    const json = reply === null ? [] : responsePieces(id, reply);
    if (typeof json === "string") this.write(json);
    else if (this.isOpen && json.length > 0) for (const piece of [...json, "\n"]) this.#writer.write(piece);
    this.pauseReading();
  }

  /** Whoever does not read its answers is not read either. */
  pauseReading(): void {
    const congested = this.#stream.isPaused() ? null : this.congested;
    if (congested === null) return;
    this.#stream.pause();
    void congested.then(() => {
      if (this.isOpen) this.#stream.resume();
    });
  }

  /** The stream is the session: it ends with it alone. */
  end(): void {}

  /** Ends the stream once everything is written. */
  finish(): void {
    this.#writer.end();
  }

  stalled(limitMs: number): boolean {
    return this.#writer.stalled(limitMs);
  }

  keepAlive(): void {}

  destroy(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#keepAlive[Symbol.dispose]();
    this.#onClosed();
    this.#writer.destroy();
  }
}

// Requests of protocol 2026-07-28 on one stream of lines: each stands for itself, and the client takes one back by saying
// so, or by closing the stream.

/** Of one stream in flight. */
const IN_FLIGHT_LIMIT = 512;

/** Whether a request is of that version, as far as a stream can be told so before `initialize`. */
function beginsModern({ method, params }: RpcRequest): boolean {
  return method === "server/discover" || isModern(params);
}

interface Waiting {
  readonly method: string;
  /** Null while it is being handed on. */
  gone: Gone | null;
}

interface ModernLinesOptions {
  readonly modern: ModernFront;
  readonly principal: Principal;
  /** Of the client; null: it is served everything. */
  readonly group: () => string | null;
  readonly outlet: CallOutlet;
  /** Called whenever a request has its answer, or was taken back. */
  readonly onSettled: () => void;
}

class ModernLines {
  readonly #options: ModernLinesOptions;
  readonly #waiting = new FleetingMap<ReturnType<typeof idKey>, Waiting>();
  /** A request of this version has come. */
  isUsed = false;

  constructor(options: ModernLinesOptions) {
    this.#options = options;
  }

  /** Calls without an answer; who only listens waits for none. */
  get inFlight(): number {
    let count = 0;
    for (const { method } of this.#waiting.values()) if (method !== LISTEN) count += 1;
    return count;
  }

  serve(message: RpcRequest): void {
    const { modern, principal, outlet } = this.#options;
    const { id, method } = message;
    this.isUsed = true;
    const checked = checkModern(message, principal, null, { trace: null, group: this.#options.group() });
    const refusal = checked.ok ? this.#refusal(id) : checked.reply;
    if (!checked.ok || refusal !== null) {
      if (refusal !== null) outlet.answer(id, refusal);
      return;
    }
    const key = idKey(id);
    const waiting: Waiting = { method, gone: null };
    this.#waiting.set(key, waiting);
    const gone = modern.serve(checked.request, this.#outletOf(key, waiting));
    waiting.gone = gone;
  }

  handle({ method, params }: RpcNotification): void {
    if (method === "notifications/cancelled") this.#cancel(params);
  }

  /** The client has gone. */
  end(): void {
    const all = this.#waiting.values();
    this.#waiting.clear();
    for (const { gone } of all) gone?.();
  }

  #refusal(id: RpcId): Reply | null {
    if (this.#waiting.has(idKey(id))) {
      return errorReply(INVALID_REQUEST, "a request with this id is in flight");
    }
    if (this.#waiting.size < IN_FLIGHT_LIMIT) return null;
    const message = `this client has ${IN_FLIGHT_LIMIT} requests in flight, the most that one may have; try again in 1 s`;
    return errorReply(LIMIT_REACHED, message, { allowed: IN_FLIGHT_LIMIT, retryAfterMs: 1_000 });
  }

  #outletOf(key: ReturnType<typeof idKey>, waiting: Waiting): CallOutlet {
    const { outlet, onSettled } = this.#options;
    const isWaiting = (): boolean => this.#waiting.get(key) === waiting;
    const answer: CallOutlet["answer"] = (id, reply) => {
      if (!isWaiting()) return;
      this.#waiting.delete(key);
      outlet.answer(id, reply);
      onSettled();
    };
    return new PassingOutlet(outlet, answer, isWaiting);
  }

  #cancel(params: JsonObject | undefined): void {
    const id = params?.["requestId"];
    const key = isRpcId(id) ? idKey(id) : null;
    const waiting = key === null ? undefined : this.#waiting.get(key);
    if (key === null || waiting === undefined) return;
    this.#waiting.delete(key);
    waiting.gone?.();
    this.#options.onSettled();
  }
}
