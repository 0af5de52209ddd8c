// The management API on the home's socket: a connection for each request, with deadlines. Only the owner can open the
// socket.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createDisposalStack } from "../../runtime/disposal.ts";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { connectionLimit } from "../../runtime/process/connection-limit.ts";
import { isoTime, type Timer } from "../../runtime/time/clock.ts";
import { errorBody } from "../operations/http-errors.ts";
import { OWNER_RIGHTS } from "../operations/operation.ts";
import type { Control } from "../operations/operations.ts";
import { removeDaemonInfo, writeDaemonInfo } from "../socket/daemon-info.ts";
import { listenPrivately } from "../socket/private-socket.ts";
import { pathOf, serveRequest, tooLarge } from "./answers.ts";
import type { Events } from "./event-streams.ts";
import { ApiHandler } from "./handler.ts";

/** From the connection's start until the whole request is received. */
const RECEIVE_DEADLINE_MS = 10_000;
/** Maximum time from sending the answer until the client has read it. */
const DRAIN_DEADLINE_MS = 10_000;
const CONNECTION_LIMIT = { most: 128, share: 1 / 16 };
const STOP_DEADLINE_MS = 1_000;

interface ManagementServerOptions extends RuntimeTools {
  /** Operations that are absent get a 404. */
  readonly control: Partial<Control>;
  readonly events: Events | null;
  readonly home: string;
  /** The path of the MCP socket (`startMcpSocket`), for daemon.json; null without one. */
  readonly mcpSocket: string | null;
  readonly version: string;
}

/**
 * Serves `control` and `events` over the home's socket, and writes the socket's path to `<home>/daemon.json`. The
 * caller must have the home's lock. Disposing removes the socket and this file, aborts requests in flight, and closes
 * the remaining connections after a second. Rejects with `path_taken` and `home_unwritable`.
 */
export async function startManagementServer(options: ManagementServerOptions) {
  const { home, mcpSocket, clock, logger, version } = options;
  const stack = createDisposalStack((error) => {
    logger.warn("management server did not end cleanly", { error: errorText(error) });
  });
  const exchange = startExchange(options);
  stack.defer(() => exchange.stop());
  const socket = stack.use(await listenPrivately(exchange.server, home));
  stack.defer(() => removeDaemonInfo(home, process.pid));
  try {
    const started_at = isoTime(clock.wallMs());
    await writeDaemonInfo(home, {
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
    whenIdle: exchange.whenIdle,
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

/** A connection; each carries one request. */
interface Connection {
  response: ServerResponse | null;
  timer: Timer;
}

function startExchange(options: ManagementServerOptions) {
  const { clock, logger } = options;
  // Not imported: the module's ESM wrapper evaluates lazy exports, which load fetch and WebSocket, 16 MB.
  const { createServer } = process.getBuiltinModule("node:http");
  const visits = new Map<Duplex, Connection>();
  const handler = new ApiHandler(options);

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
  const most = connectionLimit(CONNECTION_LIMIT.most, CONNECTION_LIMIT.share);
  server.maxConnections = most;
  server.on("connection", (socket) => {
    const onLate = (): void => refuse(socket, 408, "the request did not come in time");
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
  server.on("request", (request, response) => void serve(request, response));
  // Requests with `Expect` are answered like all others.
  server.on("checkContinue", (request, response) => {
    response.writeContinue();
    void serve(request, response);
  });
  server.on("checkExpectation", (request, response) => void serve(request, response));
  server.on("connect", (_request, socket) => refuse(socket, 405, "CONNECT is not served"));
  server.on("clientError", (error, socket) => {
    const code = systemErrorCode(error);
    if (code === "ECONNRESET" || !socket.writable) socket.destroy();
    else if (code === "HPE_HEADER_OVERFLOW") refuse(socket, 431, "the headers are too large");
    else refuse(socket, 400, "the request is not HTTP");
  });
  server.on("drop", () => logger.warn("management connection dropped", { connections: most }));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const visit = visits.get(socket);
    // One request per connection: a second, pipelined request is ignored.
    if (visit === undefined || visit.response !== null) return;
    visit.response = response;
    response.shouldKeepAlive = false;
    response.on("error", () => socket.destroy());
    const exchange = { request, response };
    await serveRequest(options, exchange, () =>
      handler.answer(exchange, pathOf(request), {
        receive: (limitBytes) => receiveBody(request, limitBytes),
        admit() {
          visit.timer[Symbol.dispose]();
          return OWNER_RIGHTS;
        },
      }),
    );
    visit.timer[Symbol.dispose]();
    // An event stream is not ended.
    if (response.writableEnded && !response.destroyed)
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

  return {
    server,
    whenIdle: () => handler.whenIdle(),
    stop(): Promise<void> {
      handler.stop();
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

/** Rejects with the refusal of a larger body; null: the client closed the connection before the body's end. */
function receiveBody(request: IncomingMessage, limitBytes: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= limitBytes) chunks.push(chunk);
      else reject(tooLarge(limitBytes));
    });
    request.once("end", () => resolve(Buffer.concat(chunks)));
    request.once("close", () => resolve(null));
  });
}
