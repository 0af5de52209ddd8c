// An HTTP server on a TCP address, with its connections.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import net, { isIPv4, Server as NetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import { connectionLimit } from "../../../runtime/process/connection-limit.ts";
import { settlesWithin, type Timer } from "../../../runtime/time/clock.ts";
import { createThrottle } from "../../../runtime/time/throttle.ts";
import { BACKEND_UNAVAILABLE, errorReply, INVALID_REQUEST } from "../../json-rpc.ts";
import { responseJson } from "../session/client-stream.ts";
import { STALL_LIMIT_MS } from "../session/paced-writer.ts";
import { inBrackets, listenFailed } from "./listen-failure.ts";
import { OpenConnections } from "./open-connections.ts";
import { isOfSession } from "./request.ts";

const CONNECTION_LIMIT = { most: 2_048, share: 1 / 4 };
/** Room beyond the limit for connections that are closing: Node counts them until they are closed. */
const CLOSING_CONNECTIONS = { most: 512, share: 1 / 32 };
const HEADERS_TIMEOUT_MS = 15_000;
/** Time for a client to send a whole request: 64 MiB at 4 Mbit/s. */
const REQUEST_TIMEOUT_MS = 150_000;
/** Longer than clients and proxies keep an idle connection, so that they close it first: then no request is lost. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const CHECK_MS = 15_000;
const CLOSE_IDLE_MS = 50;
const BETWEEN_WARNINGS_MS = 60_000;
/** How long a rollback waits for the requests that reached the new listener before it closes that listener, ms. */
const ROLLBACK_GRACE_MS = 1_000;

interface ListenerOptions extends RuntimeTools {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** A socket that another process has handed over, and that listens at this address already. */
  readonly handle?: object | undefined;
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
  /**
   * Maximum number of connections; beyond it an unused one is closed, or else the new one is refused. Default
   * 2,048, and at most a quarter of the descriptors that this process may have.
   */
  readonly connectionLimit?: number;
  /** The home of the daemon that runs as process `pid`; null: another program. */
  readonly homeOf?: (pid: number) => Promise<string | null>;
}

/**
 * Rejects with `listen_failed`. The message names the configuration key to change, the address, and the
 * process that listens there already, if it is known.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  try {
    return await new Listener(options).open();
  } catch (error) {
    throw await listenFailed(error, options);
  }
}

export class Listener {
  readonly host: string;
  /** The actual port, once the server listens. */
  port: number;
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #connections: OpenConnections;
  readonly #limit: number;
  readonly #emptied = new Set<() => void>();
  readonly #refusals: ReturnType<typeof createThrottle>;
  #refused = 0;
  /** The socket from `ListenerOptions.handle`, until the server listens with it. */
  #inherited: object | undefined;
  isListening = false;
  #isDraining = false;
  #stopped = false;
  #timer: Timer | null = null;

  constructor(options: ListenerOptions) {
    const { host, port, handler, clock } = options;
    this.#inherited = options.handle;
    // Not imported: that would also load 16 MB of fetch and WebSocket.
    const { createServer } = process.getBuiltinModule("node:http");
    this.host = host;
    this.port = port;
    this.#options = options;
    this.#connections = new OpenConnections(clock);
    this.#refusals = createThrottle(clock, BETWEEN_WARNINGS_MS, () => this.#warnOfRefusals());
    this.#server = createServer({
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 5_000,
      // TCP keep-alive finds dead peers.
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
    });
    this.#limit = options.connectionLimit ?? connectionLimit(CONNECTION_LIMIT.most, CONNECTION_LIMIT.share);
    this.#server.maxConnections =
      this.#limit + connectionLimit(CLOSING_CONNECTIONS.most, CLOSING_CONNECTIONS.share);
    this.#server.on("request", (request, response) => {
      this.#connections.requested(request, response);
      if (this.#stopped || this.#isDraining) response.setHeader("Connection", "close");
      if (this.#isDraining && !isOfSession(request)) answerMoved(response);
      else handler(request, response);
    });
    this.#server.on("clientError", answerClientError);
    this.#server.on("connection", (socket) => this.#connected(socket));
    this.#server.on("drop", () => this.#recordRefusal());
  }

  /** Rejects with the system's error. */
  async open(): Promise<this> {
    await this.#listen();
    const { logger } = this.#options;
    // Errors of accept, such as too many open files; the listener keeps running.
    this.#server.on("error", (error) =>
      logger.warn("the listener had an error", { error: errorText(error) }),
    );
    const address = this.#server.address();
    if (typeof address === "object" && address !== null) this.port = address.port;
    return this;
  }

  /** `http://HOST:PORT/mcp`; loopback for a server that listens on all addresses. */
  get url(): string {
    return `http://${urlHost(this.host)}:${this.port}/mcp`;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Accepts no new connections; open ones are still served. */
  pauseListening(): void {
    if (!this.isListening) return;
    this.isListening = false;
    // `close` of http would also close idle connections, on which a request may be arriving.
    NetServer.prototype.close.call(this.#server);
  }

  /** The listening socket, for another process; null while this one does not listen. */
  get handle(): object | null {
    // Node closes a server that is sent to another process, but not its handle.
    const { _handle: handle } = this.#server as { readonly _handle?: object | null };
    return this.isListening ? (handle ?? null) : null;
  }

  /** Refuses requests without a session from now on, and ends each connection with its next response. */
  leave(): void {
    this.#isDraining = true;
  }

  /** Accepts no new connections; each open one ends with its next response. */
  stopListening(): void {
    this.#stopped = true;
    this.#connections.closeWithResponses();
    this.pauseListening();
  }

  /** Rejects with `listen_failed`. */
  async listenAgain(): Promise<void> {
    try {
      if (!this.isListening) await this.#listen();
    } catch (error) {
      throw await listenFailed(error, { ...this.#options, port: this.port });
    }
    this.#stopped = false;
    this.#isDraining = false;
  }

  /** Serves a connection that was not accepted here. */
  serve(stream: Duplex): void {
    this.#server.emit("connection", stream);
  }

  /** Closes idle connections; a request that is arriving on one is lost. */
  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  /** Stops listening, closes idle connections, waits `graceMs` at most for the others, and then closes all. */
  close(graceMs: number): Promise<void> {
    return this.#end(graceMs, true);
  }

  /** Like `close`, but idle connections stay open until the others are closed or the time is over: requests may come on them. */
  drain(graceMs: number): Promise<void> {
    return this.#end(graceMs, false);
  }

  async #listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.once("listening", resolve);
    try {
      const given = this.#inherited ?? boundSocket(this.host, this.port);
      this.#inherited = undefined;
      if (given === null) this.#server.listen({ host: this.host, port: this.port, backlog: 511 });
      else this.#server.listen(given, 511);
      await promise;
      this.isListening = true;
    } finally {
      this.#server.removeListener("error", reject);
      this.#server.removeListener("listening", resolve);
    }
  }

  #connected(socket: Socket): void {
    if (this.#connections.size >= this.#limit && !this.#connections.closeOldest()) {
      this.#recordRefusal();
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    this.#timer ??= this.#options.clock.setTimer(CHECK_MS, this.#check);
    socket.once("close", () => {
      this.#connections.delete(socket);
      if (this.#connections.size > 0) return;
      this.#stopChecks();
      for (const onEmpty of this.#emptied) onEmpty();
    });
  }

  /**
   * Closes connections whose client has read nothing of a response for too long. A large response is written in
   * pieces, which show the client's progress.
   */
  readonly #check = (): void => {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const [socket, opened] of this.#connections.bySocket) {
      const { bytesWritten: written, writableLength: unread } = socket;
      if (opened.response?.writableFinished === true) opened.response = null;
      if (unread === 0 || written !== opened.written || unread !== opened.unread) {
        Object.assign(opened, { written, unread, unreadSinceMs: nowMs });
      } else if (nowMs - opened.unreadSinceMs >= STALL_LIMIT_MS) socket.destroy();
      const isOld = nowMs - opened.openedMs >= KEEP_ALIVE_TIMEOUT_MS;
      if (isOld && isSilent(socket)) socket.destroy();
    }
    this.#timer = this.#connections.size > 0 ? clock.setTimer(CHECK_MS, this.#check) : null;
  };

  #stopChecks(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  #recordRefusal(): void {
    this.#refused += 1;
    this.#refusals.due();
  }

  #warnOfRefusals(): void {
    this.#options.logger.warn("connections were refused: too many are in use", {
      count: this.#refused,
      limit: this.#limit,
      hint: `see who keeps them open (\`lsof -i :${this.port}\`), and end or correct that client`,
    });
    this.#refused = 0;
  }

  async #end(graceMs: number, closesIdle: boolean): Promise<void> {
    this.stopListening();
    const over = new AbortController();
    if (this.#connections.size > 0 && graceMs > 0) {
      const empty = Promise.withResolvers<void>();
      this.#emptied.add(empty.resolve);
      if (closesIdle) void this.#closeIdleUntil(over.signal);
      await settlesWithin(this.#options.clock, graceMs, empty.promise);
    }
    over.abort();
    this.#refusals[Symbol.dispose]();
    for (const socket of [...this.#connections.bySocket.keys()]) socket.destroy();
    // Ends Node's timer that checks for late requests.
    this.#server.close(() => {});
    this.#stopChecks();
  }

  async #closeIdleUntil(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.closeIdle();
      await this.#options.clock.sleep(CLOSE_IDLE_MS, signal).catch(() => {});
    }
  }
}

/**
 * Opens a new listener next to `old`. If their addresses overlap, the old one stops listening first, and listens again if
 * the new one fails. Rejects with `listen_failed`; then the old one listens.
 */
export async function rebind(old: Listener, next: ListenerOptions) {
  const rebinding = (listener: Listener) => ({
    listener,
    /** The old listener stops listening; its connections are served until it is closed. */
    commit: () => old.stopListening(),
    /** Closes the new listener and listens with the old one again. Rejects with `listen_failed` if that fails. */
    async rollback() {
      listener.stopListening();
      await old.listenAgain();
      await listener.close(ROLLBACK_GRACE_MS);
    },
  });
  try {
    return rebinding(await new Listener(next).open());
  } catch (error) {
    // Only the system knows whether two addresses overlap.
    const overlaps = next.port === old.port && systemErrorCode(error) === "EADDRINUSE";
    if (!overlaps) throw await listenFailed(error, next);
  }
  // If the old listener stopped instead of pausing, clients that reconnect now would be refused.
  old.pauseListening();
  try {
    return rebinding(await new Listener(next).open());
  } catch (error) {
    await old.listenAgain();
    throw await listenFailed(error, next);
  }
}

function urlHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return inBrackets(host);
}

/**
 * A socket at an IPv4 address, in a form that `listen` takes; null: `listen` has to bind it, or to report why it cannot.
 * For a host, `listen` uses `isIPv6`, whose regular expression takes V8 8 ms to compile.
 */
function boundSocket(host: string, port: number): object | null {
  // Not documented, so it may be missing in another version of Node.
  const { _createServerHandle: create } = net as {
    _createServerHandle?: (host: string, port: number, family: 4, fd: null, flags: 0) => object | number;
  };
  const made = isIPv4(host) ? create?.(host, port, 4, null, 0) : null;
  return typeof made === "object" ? made : null;
}

function answerMoved(response: ServerResponse): void {
  const message = "the gateway has moved to another process or address; open a new connection";
  const json = responseJson(null, errorReply(BACKEND_UNAVAILABLE, message));
  response.writeHead(503, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(json),
  });
  response.end(json);
}

const LATE = "ERR_HTTP_REQUEST_TIMEOUT";
const CLIENT_ERRORS: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "the headers are too large"],
  [LATE]: ["408 Request Timeout", "the request did not come in time"],
};

function isSilent({ bytesRead }: Duplex & { readonly bytesRead?: number }): boolean {
  return bytesRead === 0;
}

function answerClientError(error: Error, socket: Duplex & { readonly bytesWritten?: number }): void {
  const [status, message] = CLIENT_ERRORS[systemErrorCode(error) ?? ""] ?? [
    "400 Bad Request",
    "the request is not HTTP",
  ];
  // If a response has begun, the client would take these bytes for a part of the response's body.
  if (!socket.writable || socket.bytesWritten !== 0) {
    socket.destroy();
    return;
  }
  const json = responseJson(null, errorReply(INVALID_REQUEST, message));
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(json)}\r\nConnection: close\r\n\r\n`;
  socket.once("error", () => {});
  socket.end(head + json, () => socket.destroy());
}
