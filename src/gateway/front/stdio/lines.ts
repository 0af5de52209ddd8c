// Owns MCP over one stream of lines (stdio framing): one session, which ends with the stream.
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { errorText } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { createLineSplitter } from "../../../runtime/text/line-splitter.ts";
import { type Clock, settledWithin } from "../../../runtime/time/clock.ts";
import type { Principal } from "../../client-port.ts";
import {
  type Classified,
  classifyMessage,
  errorReply,
  INTERNAL_ERROR,
  INVALID_REQUEST,
  METHOD_NOT_FOUND,
  PARSE_ERROR,
  type RpcId,
  type RpcRequest,
} from "../../json-rpc.ts";
import { readBatch } from "../session/batch.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import { initializeReply, readIntroduction } from "../session/initialize.ts";
import { BACKLOG_LIMIT_BYTES } from "../session/limits.ts";
import { parseMessage } from "../session/message-text.ts";
import { type CallOutlet, responseJson } from "../session/outlet.ts";
import { PacedWriter } from "../session/paced-writer.ts";
import { type ListeningOutlet, Session } from "../session/session.ts";
import { createStreamWatch, type WatchedStream } from "../session/stream-watch.ts";

/** For writing what is left when the stream ends. */
const LAST_WORDS_MS = 1_000;

interface LinesOptions {
  readonly gateway: FrontGateway;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly principal: Principal;
  /** Of one line. */
  readonly bodyLimitBytes: () => number;
}

/** Disposing is `stop(0)`. */
export interface LinesFront extends AsyncDisposable {
  /** 1 once initialized, until the end. */
  readonly sessions: number;
  readonly inFlight: number;
  /** Resolves when the stream has closed. */
  readonly closed: Promise<void>;
  /** Takes no more, waits `graceMs` at most for what is in flight, and ends the stream. */
  stop(graceMs: number): Promise<void>;
}

/** Serves one client until the stream ends, from either side. Never throws. */
export function serveLines(stream: Duplex, options: LinesOptions): LinesFront {
  const { gateway, clock, logger, principal, bodyLimitBytes } = options;
  const writer = new PacedWriter(stream, clock);
  const watch = createStreamWatch(clock);
  const closed = Promise.withResolvers<void>();
  let settled = Promise.withResolvers<void>();
  let session: Session | null = null;
  let open = true;
  let stopping = false;
  // The client says no more, but may still read.
  let said = false;

  const close = (): void => {
    if (!open) return;
    open = false;
    watch[Symbol.dispose]();
    session?.end("the client closed its stream");
    writer.destroy();
    closed.resolve();
  };
  /** Ends the session, and the stream once everything is written. */
  const end = (reason: string): void => {
    session?.end(reason);
    stream.once("finish", close);
    writer.end();
  };
  const write = (json: string): void => {
    if (open) writer.write(`${json}\n`);
  };
  const outlet: CallOutlet & ListeningOutlet = {
    get congested() {
      return open ? writer.congested : null;
    },
    send(json) {
      if (!open) return false;
      if (writer.backlog > BACKLOG_LIMIT_BYTES) {
        close();
        return false;
      }
      write(json);
      return true;
    },
    answer(id, reply) {
      if (reply !== null) write(responseJson(id, reply));
      rest();
    },
    // The stream is the session: it ends with it alone.
    end() {},
  };
  // Whoever does not read its answers is not read either.
  const rest = (): void => {
    const congested = open && !stream.isPaused() ? writer.congested : null;
    if (congested === null) return;
    stream.pause();
    void congested.then(() => {
      if (open) stream.resume();
    });
  };
  const watched: WatchedStream = {
    stalled: (limitMs) => writer.stalled(limitMs),
    keepAlive() {},
    destroy: close,
  };

  const refuse = (code: number, message: string, id: RpcId | null = null): void =>
    write(responseJson(id, errorReply(code, message)));

  const begin = (begun: Session): void => {
    session = begun;
  };
  const requests = createRequests({
    gateway,
    logger,
    principal,
    settled: () => settled,
    session: () => session,
    stopping: () => stopping,
    said: () => said,
    end,
    write,
    outlet,
    begin,
  });
  const reader = createLineReader({
    logger,
    bodyLimitBytes,
    session: () => session,
    open: () => open,
    write,
    outlet,
    rest,
    refuse,
    serve: requests.serve,
  });
  watch.add(watched);
  stream.on("data", (chunk: Buffer) => {
    reader.splitter.push(chunk);
    for (let line = reader.splitter.nextBytes(); line !== null; line = reader.splitter.nextBytes())
      reader.readGuarded(line);
  });
  stream.once("end", () => {
    const last = reader.splitter.restBytes();
    if (last !== null) reader.readGuarded(last);
    said = true;
    session?.fallSilent();
    if (session === null || session.inFlight === 0) end("the stream ends");
  });
  stream.once("close", close);
  stream.on("error", close);

  return {
    get sessions() {
      return session === null || session.ended.aborted ? 0 : 1;
    },
    get inFlight() {
      return session?.inFlight ?? 0;
    },
    closed: closed.promise,
    async stop(graceMs) {
      stopping = true;
      if (session !== null && session.inFlight > 0 && graceMs > 0) {
        settled = Promise.withResolvers<void>();
        await settledWithin(clock, graceMs, settled.promise);
      }
      end("the gateway is stopping");
      await settledWithin(clock, LAST_WORDS_MS, closed.promise);
      close();
    },
    [Symbol.asyncDispose]() {
      return this.stop(0);
    },
  };
}

interface RequestsParts {
  readonly gateway: FrontGateway;
  readonly logger: Logger;
  readonly principal: Principal;
  readonly settled: () => PromiseWithResolvers<void>;
  readonly session: () => Session | null;
  readonly stopping: () => boolean;
  readonly said: () => boolean;
  readonly end: (reason: string) => void;
  readonly write: (json: string) => void;
  readonly outlet: CallOutlet & ListeningOutlet;
  readonly begin: (begun: Session) => void;
}

/** Serves the requests of the client; the first is `initialize`, which opens the session. */
function createRequests({
  gateway,
  logger,
  principal,
  settled,
  session,
  stopping,
  said,
  end,
  write,
  outlet,
  begin,
}: RequestsParts) {
  const initialize = ({ id, params }: RpcRequest): void => {
    const introduction = readIntroduction(params);
    if (!introduction.ok) {
      write(responseJson(id, introduction.reply));
      return;
    }
    const { protocolVersion, capabilities, clientInfo } = introduction;
    const begun = new Session({
      id: randomBytes(24).toString("base64url"),
      principal,
      protocolVersion,
      capabilities,
      clientInfo,
      gateway,
      logger,
      onSettled: () => {
        if (begun.inFlight > 0) return;
        settled().resolve();
        if (said()) end("the stream ends");
      },
      onEnded() {},
    });
    begin(begun);
    write(responseJson(id, initializeReply(gateway, protocolVersion)));
    gateway.opened(begun);
    begun.listen(outlet);
  };

  const serve = (request: RpcRequest, target: CallOutlet): void => {
    const current = session();
    const { id, method } = request;
    if (stopping()) target.answer(id, errorReply(INVALID_REQUEST, "the gateway is stopping"));
    else if (current !== null) current.serve(request, target);
    else if (method === "initialize") initialize(request);
    else if (method === "ping") target.answer(id, { result: {} });
    // What clients of other eras ask first, to find out whom they speak to.
    else if (method === "server/discover")
      target.answer(id, errorReply(METHOD_NOT_FOUND, "Method not found"));
    else target.answer(id, errorReply(INVALID_REQUEST, "initialize comes first"));
  };

  return { serve };
}

interface LineReaderParts {
  readonly logger: Logger;
  readonly bodyLimitBytes: () => number;
  readonly session: () => Session | null;
  readonly open: () => boolean;
  readonly write: (json: string) => void;
  readonly outlet: CallOutlet & ListeningOutlet;
  readonly rest: () => void;
  readonly refuse: (code: number, message: string, id?: RpcId | null) => void;
  readonly serve: (request: RpcRequest, target: CallOutlet) => void;
}

/** Takes the lines of the client apart: single messages and batches. */
function createLineReader({
  logger,
  bodyLimitBytes,
  session,
  open,
  write,
  outlet,
  rest,
  refuse,
  serve,
}: LineReaderParts) {
  const take = (message: Classified, target: CallOutlet): void => {
    if (message.kind === "request") serve(message.message, target);
    else if (message.kind === "notification") session()?.hear(message.message);
    else if (message.kind === "response") session()?.settle(message.id, message.reply);
  };

  const takeBatch = (values: readonly unknown[]): void => {
    const batch = readBatch(values, session());
    if (batch.kind === "refused") {
      refuse(INVALID_REQUEST, batch.reason);
      return;
    }
    const answers: string[] = [];
    let waiting = batch.requests + batch.errors.length;
    const target: CallOutlet = {
      get congested() {
        return outlet.congested;
      },
      send: outlet.send,
      answer(id, reply) {
        if (reply !== null) answers.push(responseJson(id, reply));
        waiting -= 1;
        if (waiting === 0 && answers.length > 0) write(`[${answers.join(",")}]`);
        rest();
      },
    };
    for (const { id, reply } of batch.errors) target.answer(id, reply);
    for (const message of batch.messages) take(message, target);
  };

  const read = (line: Buffer): void => {
    if (!open() || line.length === 0) return;
    const parsed = parseMessage(line);
    if (!parsed.ok) {
      refuse(PARSE_ERROR, parsed.reason);
      return;
    }
    if (Array.isArray(parsed.value)) {
      takeBatch(parsed.value);
      return;
    }
    const message = classifyMessage(parsed.value);
    if (message.kind === "invalid") {
      session()?.settleInvalid(parsed.value, message.id);
      refuse(INVALID_REQUEST, message.reason, message.id);
    } else take(message, outlet);
  };

  /** A mistake of ours costs its message, and nothing else. */
  const readGuarded = (line: Buffer): void => {
    try {
      read(line);
    } catch (error) {
      logger.error("a message was not handled", { error: errorText(error) });
      refuse(INTERNAL_ERROR, "internal error");
    }
  };
  const splitter = createLineSplitter(bodyLimitBytes, () => {
    refuse(INVALID_REQUEST, `the message is longer than ${bodyLimitBytes()} bytes ([server].body_limit_mb)`);
  });

  return { splitter, readGuarded };
}
