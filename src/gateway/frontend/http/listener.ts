// An HTTP server on a TCP address, with its connections.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import net, { type AddressInfo, isIPv4, Server as NetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { errorText, MountaineerError, systemErrorCode } from "../../../runtime/errors.ts";
import { connectionLimit } from "../../../runtime/process/connection-limit.ts";
import { settlesWithin, type Timer } from "../../../runtime/time/clock.ts";
import { createThrottle } from "../../../runtime/time/throttle.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import { BACKEND_UNAVAILABLE, errorReply, INVALID_REQUEST } from "../../json-rpc.ts";
import { responseJson } from "../session/client-stream.ts";
import { STALL_LIMIT_MS } from "../session/paced-writer.ts";
import { OpenConnections } from "./open-connections.ts";
import { cameTo, type HandOffConnection, openPassed, passIdle } from "./passed-connections.ts";
import { findPortHolder } from "./port-holder.ts";
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

interface ListenerOptions extends GatewayTools {
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
  /** Connections that the previous daemon has passed. */
  readonly #passed = new Set<Duplex>();
  readonly #refusals: ReturnType<typeof createThrottle>;
  #refused = 0;
  /** The socket from `ListenerOptions.handle`, until the server listens with it. */
  #inherited: object | undefined;
  /** The bound address; null: the server has not listened yet. */
  #bound: AddressInfo | null = null;
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
    this.#server.on("clientError", (error, socket) => {
      // Node takes an idle connection from the previous daemon for a new one whose first request is late.
      const isIdle = this.#passed.has(socket) && systemErrorCode(error) === LATE && isSilent(socket);
      if (!isIdle) answerClientError(error, socket);
    });
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
    if (typeof address === "object" && address !== null) {
      this.#bound = address;
      this.port = address.port;
    }
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

  /** Takes a connection that another process has passed, by its handle; closes it if it came to another address. */
  take(handle: object): void {
    const socket = this.openStream(handle);
    if (socket === null) return;
    this.#passed.add(socket);
    socket.once("close", () => this.#passed.delete(socket));
    this.serve(socket);
  }

  /** Opens a connection that another process has passed; closes it and returns null if it came to another address. */
  openStream(handle: object): Socket | null {
    const socket = openPassed(handle);
    // The other process may have listened on a network that this one must not serve.
    if (this.#bound !== null && cameTo(socket, this.#bound)) return socket;
    socket.destroy();
    return null;
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
    return this.#end(graceMs, async (signal) => {
      while (!signal.aborted) {
        this.closeIdle();
        await this.#options.clock.sleep(CLOSE_IDLE_MS, signal).catch(() => {});
      }
    });
  }

  /**
   * Like `close`, but idle connections stay open until the others are closed or the time is over, because a
   * request may be arriving. `pass` passes them to another process, in rounds or `allAtOnce`; `onPassed` is called
   * when none is left.
   */
  drain(
    graceMs: number,
    pass: HandOffConnection | null = null,
    allAtOnce = false,
    onPassed?: () => void,
  ): Promise<void> {
    const { clock } = this.#options;
    return this.#end(pass === null ? graceMs : Math.max(graceMs, 1), async (signal) => {
      if (pass === null) return;
      await passIdle(this.#server, this.#connections.bySocket, pass, {
        clock,
        signal,
        allAtOnce,
        onPassed,
      });
    });
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

  /**
   * `endIdle` closes or passes on idle connections. Its signal aborts when no connection is left, or after `graceMs`.
   */
  async #end(graceMs: number, endIdle: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.stopListening();
    const empty = Promise.withResolvers<void>();
    this.#emptied.add(empty.resolve);
    if (this.#connections.size > 0 && graceMs > 0) {
      const over = new AbortController();
      const ended = endIdle(over.signal);
      await settlesWithin(this.#options.clock, graceMs, empty.promise);
      over.abort();
      await ended;
    }
    this.#refusals[Symbol.dispose]();
    for (const socket of [...this.#connections.bySocket.keys()]) socket.destroy();
    // Ends Node's timer that checks for late requests.
    this.#server.close(() => {});
    this.#stopChecks();
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

const OTHER_ADDRESS = "set another [server].port or [server].host";
const NO_NAME = [
  "host",
  "the name is not known",
  "set [server].host to 127.0.0.1, or to a name that resolves",
] as const;
const NO_ADDRESS = "set [server].host to an address of this machine";

/** By errno: the key to change, the reason, and the hint. */
const LISTEN_FAILURES: Readonly<Record<string, readonly [string, string, string]>> = {
  EACCES: ["port", "the system does not allow it", "set a [server].port of 1024 or more"],
  EADDRNOTAVAIL: ["host", "no interface has that address", NO_ADDRESS],
  ENOTFOUND: NO_NAME,
  EAI_AGAIN: NO_NAME,
};

async function listenFailed(
  error: unknown,
  { host, port, homeOf }: Pick<ListenerOptions, "host" | "port" | "homeOf">,
): Promise<MountaineerError> {
  const address = `${inBrackets(host)}:${port}`;
  const failed = (key: string, why: string, hint: string): MountaineerError =>
    new MountaineerError("listen_failed", `[server].${key}: cannot listen at ${address}: ${why}`, {
      hint,
      cause: error,
      retry: "later",
    });
  const code = systemErrorCode(error);
  if (code === "EADDRINUSE") {
    const holder = await findPortHolder(port);
    const home = holder === null ? null : ((await homeOf?.(holder.pid)) ?? null);
    return holder === null
      ? failed("port", "it is taken", "stop what listens there, or set another [server].port")
      : failed(
          "port",
          `it is taken by ${home === null ? holder.command : `another Mountaineer, of ${home}`} (pid ${holder.pid})`,
          `stop process ${holder.pid}, or set another [server].port`,
        );
  }
  return failed(...(LISTEN_FAILURES[code ?? ""] ?? ["port", errorText(error), OTHER_ADDRESS]));
}

function urlHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return inBrackets(host);
}

/** Only an IPv6 address has a colon. */
function inBrackets(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
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
