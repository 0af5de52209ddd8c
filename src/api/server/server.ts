// The server of the management API on the home's socket: limits, time-outs, and errors that are always JSON.
import { isUtf8 } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createDisposalStack } from "../../runtime/disposal.ts";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { writeJson } from "../../runtime/json/large-json.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, isoTime, type Timer } from "../../runtime/time/clock.ts";
import { EVENT_STREAM_PATH } from "../contract/contract.ts";
import { errorBody, httpStatusOf } from "../operations/http-errors.ts";
import { type Control, findOperation } from "../operations/operations.ts";
import { removeDaemonNote, writeDaemonNote } from "../socket/daemon-note.ts";
import { listenPrivately } from "../socket/private-socket.ts";
import { createEventStreams, type EventStreams, type Events } from "./event-streams.ts";
import { createPerformer } from "./performing.ts";

/** Limit for the body of a request to an unknown path. */
const UNSERVED_LIMIT_BYTES = 64 * 1024;
/** Number of bytes beyond the limit that are read and dropped; without this the sender would not read the refusal. */
const DISCARD_LIMIT_BYTES = 8 * 1024 * 1024;
/** From the connection's start until the whole request is received. */
const RECEIVE_DEADLINE_MS = 10_000;
/** Maximum time from sending the answer until the client has read it. */
const DRAIN_DEADLINE_MS = 10_000;
const CONNECTION_LIMIT = 128;
const STOP_DEADLINE_MS = 1_000;

interface ManagementServerOptions {
  /** Operations that are absent get a 404. */
  readonly control: Partial<Control>;
  readonly events: Events | null;
  readonly home: string;
  /** The path of the MCP socket (`startMcpSocket`), for daemon.json; null without one. */
  readonly mcpSocket: string | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
}

export type ManagementServer = Awaited<ReturnType<typeof startManagementServer>>;

/**
 * Serves `control` and `events` over the home's socket, and writes the socket's path to `<home>/daemon.json`. The
 * home's lock must be held. Disposing removes the socket and this file, aborts requests in flight, and closes the
 * remaining connections after a second. Rejects with `path_taken` and `home_unwritable`.
 */
export async function startManagementServer(options: ManagementServerOptions) {
  const { home, mcpSocket, clock, logger, version } = options;
  const stack = createDisposalStack((error) => {
    logger.warn("management server did not end cleanly", { error: errorText(error) });
  });
  const exchange = startExchange(options);
  stack.defer(() => exchange.stop());
  const socket = stack.use(await listenPrivately(exchange.server, home));
  stack.defer(() => removeDaemonNote(home, process.pid));
  try {
    const started_at = isoTime(clock.wallMs());
    await writeDaemonNote(home, {
      pid: process.pid,
      socket: socket.path,
      ...(mcpSocket === null ? {} : { mcp_socket: mcpSocket }),
      version,
      started_at,
    });
  } catch (error) {
    // A full disk must not keep the daemon from serving; clients find the default path without daemon.json.
    logger.warn("daemon.json could not be written", { error: errorText(error) });
  }
  return {
    socketPath: socket.path,
    /** Resolves when the operations that run now have ended. */
    settled: exchange.settled,
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

/** A connection; each carries one request. */
interface Visit {
  response: ServerResponse | null;
  timer: Timer;
}

function startExchange(options: ManagementServerOptions) {
  const { events, clock, logger } = options;
  // Not imported: the module's ESM wrapper evaluates lazy exports, which load fetch and WebSocket, 16 MB.
  const { createServer } = process.getBuiltinModule("node:http");
  const visits = new Map<Duplex, Visit>();
  const stopping = new AbortController();
  const streams = events === null ? null : createEventStreams({ events, clock, logger });

  const server = createServer({
    // Node's time-outs are off: this server keeps its deadlines by the injected clock.
    headersTimeout: 0,
    requestTimeout: 0,
    connectionsCheckingInterval: 2 ** 31 - 1,
    // Node's own answer to a request without Host would not be JSON.
    requireHostHeader: false,
  });
  // Clients that end their side after the request (`nc -N`) still read the answer; Node has no option for this.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.maxConnections = CONNECTION_LIMIT;
  server.on("connection", (socket) => {
    const onLate = (): void => answers.refuse(socket, 408, "the request did not come in time");
    visits.set(socket, { response: null, timer: clock.setTimer(RECEIVE_DEADLINE_MS, onLate) });
    socket.once("end", () => setImmediate(destroyIfGone, socket));
    socket.once("close", () => {
      visits.get(socket)?.timer[Symbol.dispose]();
      visits.delete(socket);
    });
  });
  /**
   * Called after a client has ended its side of the connection. Only a write can show whether the client is gone or
   * still reads the answer: the write fails if the client is gone.
   */
  const destroyIfGone = (socket: Socket): void => {
    const response = visits.get(socket)?.response ?? null;
    if (response === null || response.writableEnded || !socket.writable) return;
    if (response.headersSent) socket.destroy();
    else response.writeProcessing();
  };
  server.on("request", (request, response) => void requests.serve(request, response));
  // Requests with `Expect` are answered like all others.
  server.on("checkContinue", (request, response) => {
    response.writeContinue();
    void requests.serve(request, response);
  });
  server.on("checkExpectation", (request, response) => void requests.serve(request, response));
  server.on("connect", (_request, socket) => answers.refuse(socket, 405, "CONNECT is not served"));
  server.on("clientError", (error, socket) => {
    const code = systemErrorCode(error);
    if (code === "ECONNRESET" || !socket.writable) socket.destroy();
    else if (code === "HPE_HEADER_OVERFLOW") answers.refuse(socket, 431, "the headers are too large");
    else answers.refuse(socket, 400, "the request is not HTTP");
  });
  server.on("drop", () => logger.warn("management connection dropped", { connections: CONNECTION_LIMIT }));
  const answers = createAnswers({ options, visits, stopping });
  const requests = createRequests({ options, visits, stopping, streams, answers });

  return {
    server,
    settled: requests.settled,
    stop(): Promise<void> {
      const reason = "the daemon stopped before it was done";
      stopping.abort(new MountaineerError("daemon_unreachable", reason, { retry: "later" }));
      streams?.end();
      return new Promise((resolve) => {
        const cut = clock.setTimer(STOP_DEADLINE_MS, () => {
          for (const socket of visits.keys()) socket.destroy();
        });
        server.close(() => {
          cut[Symbol.dispose]();
          resolve();
        });
        for (const [socket, visit] of visits) if (visit.response === null) socket.destroy();
      });
    },
  };
}

interface RequestsParts {
  readonly options: ManagementServerOptions;
  readonly visits: Map<Duplex, Visit>;
  readonly stopping: AbortController;
  readonly streams: EventStreams | null;
  readonly answers: ReturnType<typeof createAnswers>;
}

function createRequests({ options, visits, stopping, streams, answers }: RequestsParts) {
  const { clock, logger } = options;
  const performer = createPerformer({ clock, stopping: stopping.signal });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const visit = visits.get(socket);
    // One request per connection: a second, pipelined request is ignored.
    if (visit === undefined || visit.response !== null) return;
    visit.response = response;
    response.shouldKeepAlive = false;
    response.on("error", () => socket.destroy());
    const gone = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) gone.abort(new MountaineerError("aborted", "the client went away"));
    });
    const startedAtMs = clock.monotonicMs();
    try {
      const [path = ""] = (request.url ?? "").split("?", 1);
      const operation = findOperation(path, options.control);
      const limitBytes = operation?.bodyLimitBytes ?? UNSERVED_LIMIT_BYTES;
      const body = await readBody(request, limitBytes);
      visit.timer[Symbol.dispose]();
      if (body === null) return;
      const isStream = streams !== null && path === EVENT_STREAM_PATH;
      const method = isStream ? "GET" : (operation?.method ?? null);
      if (body.kind === "too_large") {
        answers.refuseAnswer(visit, response, 413, `the body is larger than ${limitBytes} bytes`);
      } else if (method === null) {
        answers.refuseAnswer(visit, response, 404, `${request.method} ${path} is not served`);
      } else if (request.method !== method) {
        response.setHeader("Allow", method);
        answers.refuseAnswer(visit, response, 405, `${request.method} ${path} is not served`);
      } else if (body.kind === "no_text") {
        answers.refuseAnswer(visit, response, 400, "the body is not UTF-8");
      } else if (isStream) {
        if (stopping.signal.aborted) throw stopping.signal.reason;
        streams.serve(request, response);
      } else if (operation !== null) {
        const signal = AbortSignal.any([gone.signal, stopping.signal]);
        answers.send(visit, response, 200, await performer.perform(operation, body.text, response, signal));
      }
    } catch (error) {
      answers.fail(visit, response, error);
    } finally {
      logger.debug("management request", {
        method: request.method,
        url: request.url,
        status: response.headersSent ? response.statusCode : null,
        tookMs: Math.round(clock.monotonicMs() - startedAtMs),
      });
    }
  }

  return { serve, settled: performer.settled };
}

function createAnswers({
  options,
  visits,
  stopping,
}: Pick<RequestsParts, "options" | "visits" | "stopping">) {
  const { clock, logger } = options;

  function fail(visit: Visit, response: ServerResponse, thrown: unknown): void {
    // When the daemon stops, the client gets the reason of the stop in place of `aborted`.
    const ends =
      stopping.signal.aborted && (!(thrown instanceof MountaineerError) || thrown.code === "aborted");
    const error = ends ? stopping.signal.reason : thrown;
    if (!(error instanceof MountaineerError)) {
      const stack = error instanceof Error ? error.stack : undefined;
      logger.error("management request failed", { error: errorText(error), stack });
    }
    send(visit, response, httpStatusOf(error), errorBody(error));
  }

  function refuseAnswer(visit: Visit, response: ServerResponse, status: number, message: string): void {
    send(visit, response, status, errorBody(new MountaineerError("protocol", message)));
  }

  function send(visit: Visit, response: ServerResponse, status: number, answer: unknown): void {
    if (response.headersSent || response.destroyed) return;
    const isText = typeof answer === "string";
    const text = isText ? answer : writeJson(answer);
    response.writeHead(status, {
      "Content-Type": isText ? "text/plain; charset=utf-8" : "application/json",
      "Content-Length": Buffer.byteLength(text),
    });
    response.end(text);
    visit.timer = clock.setTimer(DRAIN_DEADLINE_MS, () => response.destroy());
  }

  /** Refuses a connection without a valid request. */
  function refuse(socket: Duplex, status: number, message: string): void {
    if (socket.destroyed || visits.get(socket)?.response?.headersSent) {
      socket.destroy();
      return;
    }
    const text = JSON.stringify(errorBody(new MountaineerError("protocol", message)));
    const reason = process.getBuiltinModule("node:http").STATUS_CODES[status] ?? "Error";
    const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nConnection: close\r\n`;
    socket.end(`${head}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`, () => socket.destroy());
    const cut = clock.setTimer(DRAIN_DEADLINE_MS, () => socket.destroy());
    socket.once("close", () => cut[Symbol.dispose]());
  }

  return { refuse, refuseAnswer, send, fail };
}

type Body =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "too_large" }
  | { readonly kind: "no_text" };

/** null: the client closed the connection before the body's end. */
function readBody(request: IncomingMessage, limitBytes: number): Promise<Body | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= limitBytes) chunks.push(chunk);
      else if (bytes > limitBytes + DISCARD_LIMIT_BYTES) resolve({ kind: "too_large" });
    });
    request.once("end", () => {
      const whole = Buffer.concat(chunks);
      if (bytes > limitBytes) resolve({ kind: "too_large" });
      else if (!isUtf8(whole)) resolve({ kind: "no_text" });
      else resolve({ kind: "text", text: whole.toString("utf8") });
    });
    request.once("error", () => resolve(null));
    request.once("close", () => resolve(null));
  });
}
