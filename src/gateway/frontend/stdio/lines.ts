// MCP over a stream of lines (stdio framing): one session, which ends with the stream, or requests of protocol 2026-07-28,
// which have no session.
import { randomBytes } from "node:crypto";
import { isAbsolute } from "node:path";
import type { Duplex } from "node:stream";
import { errorText } from "../../../runtime/errors.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import { ShortLivedMap } from "../../../runtime/short-lived.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { createLineSplitter } from "../../../runtime/text/line-splitter.ts";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import type { Principal } from "../../client-handle.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  INVALID_REQUEST,
  idKey,
  isRpcId,
  type JsonObject,
  type Reply,
  type RpcId,
  type RpcNotification,
  type RpcRequest,
} from "../../json-rpc.ts";
import { isModern, KNOWN_LISTS, LISTEN } from "../../protocol.ts";
import type { Gone, ModernFront } from "../modern/modern-front.ts";
import { checkModern, type ModernRequest } from "../modern/request.ts";
import {
  BACKLOG_LIMIT_BYTES,
  type CallStream,
  createBatchStream,
  ForwardingStream,
  refusalInFlight,
  responseJson,
  responsePieces,
} from "../session/client-stream.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import { type Incoming, incomingFor, readIncoming, serveBatch } from "../session/incoming.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import { KeepAlive, type PacedStream, PacedWriter } from "../session/paced-writer.ts";
import { type ClientNotice, type ListeningStream, Session } from "../session/session.ts";
import { listsOf } from "../session/session-memory.ts";

/** Announces a handover; clients that do not know the notification ignore it. */
const HANDOVER = "notifications/mountaineer/handover";

/**
 * The request by which `mountaineer mcp --group` chooses a group. Daemons that do not know this request answer with
 * an error.
 */
const GROUP_METHOD = "mountaineer/group";

/** The request by which `mountaineer mcp` tells in which folder its client has started it. */
const FOLDER_METHOD = "mountaineer/folder";
const LONGEST_FOLDER = 4_096;
const LONGEST_MARK = 64;

const STOPPING = errorReply(INVALID_REQUEST, "the gateway is stopping");

/** Time to write what is left when the stream ends. */
const LAST_WRITE_MS = 1_000;

interface LinesOptions extends RuntimeTools {
  readonly gateway: FrontGateway;
  readonly modern: ModernFront;
  readonly principal: Principal;
  /** The only group that the client gets. Absent: the client may choose a group. */
  readonly group?: string;
  /** The folder in which the client was started. Absent: the client may tell it. */
  readonly folder?: string;
  /** Maximum length of a line. */
  readonly bodyLimitBytes: () => number;
}

/** Serves one client until either side ends the stream. Never throws. Disposing is `stop(0)`. */
export class LinesFront implements AsyncDisposable {
  readonly #stream: Duplex;
  readonly #options: LinesOptions;
  readonly #output: LinesStream;
  readonly #closed = Promise.withResolvers<void>();
  readonly #modern: ModernLines;
  #answered = Promise.withResolvers<void>();
  #session: Session | null = null;
  /** Null: the client is served everything. */
  #group: string | null;
  /** Null: the client has told no folder. */
  #folder: string | null;
  /** Identifies the process of `mountaineer mcp`; null: it is another program. */
  #caller: string | null = null;
  #stopping = false;
  /** The client has ended its sending side, but may still read. */
  #isSilent = false;

  constructor(stream: Duplex, options: LinesOptions) {
    const { bodyLimitBytes } = options;
    this.#stream = stream;
    this.#options = options;
    this.#group = options.group ?? null;
    this.#folder = options.folder ?? null;
    this.#output = new LinesStream(stream, options, () => {
      this.#session?.end("the client closed its stream");
      this.#modern.end();
      this.#closed.resolve();
    });
    const { modern, principal } = options;
    this.#modern = new ModernLines({
      modern,
      principal,
      opening: () => ({ group: this.#group, folder: this.#folder, caller: this.#caller }),
      stream: this.#output,
      onAnswered: this.#onAnswered,
    });
    const splitter = createLineSplitter(bodyLimitBytes, () => {
      const message = `the message is longer than ${bodyLimitBytes()} bytes ([server].body_limit_mb)`;
      this.#refuse(INVALID_REQUEST, message);
    });
    const readOn = (): void => {
      for (let line = splitter.nextBytes(); line !== null; line = splitter.nextBytes()) {
        const taken = this.#read(line);
        if (taken === null) continue;
        this.#output.pauseReading(taken.then(readOn));
        return;
      }
    };
    stream.on("data", (chunk: Buffer) => {
      splitter.push(chunk);
      readOn();
    });
    stream.once("end", () => {
      const last = splitter.restBytes();
      const taken = last === null ? null : this.#read(last);
      if (taken === null) this.#fallSilent();
      else void taken.then(() => this.#fallSilent());
    });
    stream.once("close", () => this.#output.destroy());
    stream.on("error", () => this.#output.destroy());
  }

  /** 1 from `initialize` until the end of the session, else 0. */
  get sessions(): number {
    return this.#session === null || this.#session.ended.aborted ? 0 : 1;
  }

  get inFlight(): number {
    return this.#session?.inFlight ?? 0;
  }

  get #pending(): number {
    return this.inFlight + this.#modern.inFlight;
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Notifies the client of a handover. A client that knows the notice ends this stream once no call is in flight. */
  moveOn(): void {
    const session = this.#session;
    if (session === null && !this.#modern.isUsed) {
      this.#end("the gateway is stopping");
      return;
    }
    const known = session === null ? {} : { [KNOWN_LISTS]: this.#options.gateway.knownLists(session) };
    this.#output.write(JSON.stringify({ jsonrpc: "2.0", method: HANDOVER, params: { _meta: known } }));
  }

  /** Refuses new requests, waits `graceMs` at most for calls in flight, and ends the stream. */
  async stop(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    this.#stopping = true;
    if (this.#pending > 0 && graceMs > 0) {
      this.#answered = Promise.withResolvers<void>();
      await settlesWithin(clock, graceMs, this.#answered.promise);
    }
    this.#end("the gateway is stopping");
    await settlesWithin(clock, LAST_WRITE_MS, this.closed);
    this.#output.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop(0);
  }

  /** Ends the session, and the stream once everything is written. */
  #end(reason: string): void {
    this.#session?.end(reason);
    this.#stream.once("finish", () => this.#output.destroy());
    this.#output.finish();
  }

  readonly #onAnswered = (): void => {
    if (this.#pending > 0) return;
    this.#answered.resolve();
    if (this.#isSilent) this.#end("the stream ends");
  };

  #refuse(code: number, message: string, id: RpcId | null = null): void {
    this.#output.write(responseJson(id, errorReply(code, message)));
  }

  #fallSilent(): void {
    this.#isSilent = true;
    this.#session?.fallSilent();
    if (this.#pending === 0) this.#end("the stream ends");
  }

  /**
   * Settles when the message was taken; null: it was taken at once. An unexpected error fails only the message that
   * caused it.
   */
  #read(line: Buffer): Promise<void> | null {
    if (!this.#output.isOpen || line.length === 0) return null;
    try {
      return readIncoming(line, this.#take)?.catch(this.#failed) ?? null;
    } catch (error) {
      this.#failed(error);
      return null;
    }
  }

  readonly #failed = (error: unknown): void => {
    this.#options.logger.error("a message was not handled", { error: errorText(error) });
    this.#refuse(INTERNAL_ERROR, "internal error");
  };

  readonly #take = (given: Incoming): void => {
    const session = this.#session;
    const incoming = incomingFor(session, given);
    if (incoming.kind === "refused") {
      // Each request of a batch gets the error, so that its client does not wait for an answer.
      const messages = given.kind === "batch" ? given.messages : [];
      const ids = messages.flatMap((one) => (one.kind === "request" ? [one.message.id] : []));
      for (const id of ids.length === 0 ? [incoming.id] : ids)
        this.#refuse(incoming.code, incoming.reason, id);
    } else if (incoming.kind === "batch") {
      const output = this.#output.ofBatch(incoming.answers);
      const take = (notice: ClientNotice): void => void incoming.session.take(notice);
      serveBatch(incoming, output, take, this.#stopping ? STOPPING : null);
    } else if (incoming.message.kind === "request") this.#serve(incoming.message.message);
    else if (session !== null) session.take(incoming.message);
    else if (incoming.message.kind === "notification") this.#modern.handle(incoming.message.message);
  };

  #serve(request: RpcRequest): void {
    const { id, method } = request;
    const output = this.#output;
    if (this.#stopping) output.answer(id, STOPPING);
    else if (this.#session !== null) this.#session.serve(request, output);
    // A client of 2026-07-28 may begin with `server/discover` or with any other request.
    else if (method === "server/discover" || isModern(request.params)) this.#modern.serve(request);
    else if (method === GROUP_METHOD) output.answer(id, this.#choose(request));
    else if (method === FOLDER_METHOD) output.answer(id, this.#takeFolder(request));
    else if (method === "initialize") this.#initialize(request);
    else if (method === "ping") output.answer(id, { result: {} });
    else output.answer(id, errorReply(INVALID_REQUEST, "initialize comes first"));
  }

  /** Chooses the client's group; only before any other request, so that a session has one group. */
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

  /** Only the owner's own clients have folders of this machine. */
  #takeFolder({ params }: RpcRequest): Reply {
    const path = params?.["path"];
    const isPath = typeof path === "string" && isAbsolute(path) && path.length <= LONGEST_FOLDER;
    if (!isPath || /\p{Cc}/u.test(path)) return errorReply(INVALID_PARAMS, "`path` must be an absolute path");
    if (this.#options.principal.kind !== "owner" || this.#modern.isUsed) {
      return errorReply(INVALID_REQUEST, "no folder can be told here");
    }
    this.#folder = path;
    const mark = params?.["mark"];
    if (typeof mark === "string" && mark.length <= LONGEST_MARK) this.#caller = mark;
    return { result: {} };
  }

  #initialize({ id, params }: RpcRequest): void {
    const { gateway, logger, principal } = this.#options;
    const introduction = readIntroduction(params);
    if (!introduction.ok) {
      this.#output.write(responseJson(id, introduction.reply));
      return;
    }
    const session = new Session({
      ...introduction.client,
      group: this.#group,
      folder: this.#folder,
      caller: this.#caller,
      id: randomBytes(24).toString("base64url"),
      principal,
      gateway,
      logger,
      onAnswered: this.#onAnswered,
      onEnded() {},
    });
    this.#session = session;
    this.#output.write(responseJson(id, initializeReply(gateway, session)));
    const known = objectOf(params?.["_meta"])[KNOWN_LISTS];
    if (known === undefined) gateway.opened(session);
    else gateway.continued(session, listsOf(known));
    session.listen(this.#output);
  }
}

class LinesStream implements CallStream, ListeningStream, PacedStream {
  isOpen = true;
  readonly #stream: Duplex;
  readonly #writer: PacedWriter;
  readonly #keepAlive: KeepAlive;
  /** The number of reasons for which nothing is read. */
  #pauses = 0;
  readonly #onClosed: () => void;

  constructor(
    stream: Duplex,
    { clock, gateway, principal }: Pick<LinesOptions, "clock" | "gateway" | "principal">,
    onClosed: () => void,
  ) {
    this.#stream = stream;
    this.#writer = new PacedWriter(stream, clock, gateway.unread(principal));
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

  /** The stream of a batch, whose answers go out as one line. */
  ofBatch(answers: number): CallStream {
    return createBatchStream(this, answers, (json) => {
      if (json !== null) this.write(json);
      this.pauseReading();
    });
  }

  /** Backpressure: reads nothing until `taken` settles, nor from a client that leaves its answers unread. */
  pauseReading(taken: Promise<void> | null = null): void {
    const wait = taken ?? (this.#stream.isPaused() ? null : this.congested);
    if (wait === null) return;
    this.#stream.pause();
    this.#pauses += 1;
    void wait.then(() => {
      this.#pauses -= 1;
      if (this.#pauses === 0) this.#stream.resume();
    });
  }

  /** Does nothing: the session's own stream stays open until the session ends. */
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

// Requests of protocol 2026-07-28 on a stream of lines. The client cancels one with notifications/cancelled, and all by
// closing the stream.

interface PendingRequest {
  readonly method: string;
  /** Null until the request has been started. */
  gone: Gone | null;
}

interface ModernLinesOptions extends Pick<LinesOptions, "modern" | "principal"> {
  /** The client's group, folder and mark. */
  readonly opening: () => Pick<ModernRequest, "group" | "folder" | "caller">;
  readonly stream: CallStream;
  /** Called whenever a request is answered or cancelled. */
  readonly onAnswered: () => void;
}

class ModernLines {
  readonly #options: ModernLinesOptions;
  readonly #pending = new ShortLivedMap<ReturnType<typeof idKey>, PendingRequest>();
  /** The client has sent a request of 2026-07-28. */
  isUsed = false;

  constructor(options: ModernLinesOptions) {
    this.#options = options;
  }

  /** Number of requests without an answer; listening streams do not count. */
  get inFlight(): number {
    let count = 0;
    for (const { method } of this.#pending.values()) if (method !== LISTEN) count += 1;
    return count;
  }

  serve(message: RpcRequest): void {
    const { modern, principal, stream } = this.#options;
    const { id, method } = message;
    this.isUsed = true;
    const checked = checkModern(message, principal, null, { trace: null, ...this.#options.opening() });
    const key = idKey(id);
    const limit = refusalInFlight(this.#pending.has(key), this.#pending.size, "this client");
    if (!checked.ok || limit !== null) {
      stream.answer(id, checked.ok ? limit : checked.reply);
      return;
    }
    const pending: PendingRequest = { method, gone: null };
    this.#pending.set(key, pending);
    pending.gone = modern.serve(checked.request, this.#streamOf(key, pending));
  }

  handle({ method, params }: RpcNotification): void {
    if (method === "notifications/cancelled") this.#cancel(params);
  }

  /** The client has closed the stream. */
  end(): void {
    const all = this.#pending.values();
    this.#pending.clear();
    for (const { gone } of all) gone?.();
  }

  #streamOf(key: ReturnType<typeof idKey>, pending: PendingRequest): CallStream {
    const { stream, onAnswered } = this.#options;
    const isPending = (): boolean => this.#pending.get(key) === pending;
    const answer: CallStream["answer"] = (id, reply) => {
      if (!isPending()) return;
      this.#pending.delete(key);
      stream.answer(id, reply);
      onAnswered();
    };
    return new ForwardingStream(stream, answer, isPending);
  }

  #cancel(params: JsonObject | undefined): void {
    const id = params?.["requestId"];
    if (!isRpcId(id)) return;
    const pending = this.#pending.get(idKey(id));
    if (pending === undefined) return;
    this.#pending.delete(idKey(id));
    pending.gone?.();
    this.#options.onAnswered();
  }
}
