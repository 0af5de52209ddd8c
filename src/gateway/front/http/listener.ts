// A TCP address that HTTP is served at, and the connections that came through it.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { type AddressInfo, isIPv6, Server as NetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { errorText, MountaineerError, systemErrorCode } from "../../../runtime/errors.ts";
import { settledWithin, type Timer } from "../../../runtime/time/clock.ts";
import { createThrottle } from "../../../runtime/time/throttle.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import { BACKEND_UNAVAILABLE, errorReply, INVALID_REQUEST } from "../../json-rpc.ts";
import { responseJson } from "../session/outlet.ts";
import { STALL_LIMIT_MS } from "../session/paced-writer.ts";
import { Door } from "./door.ts";
import { cameTo, openPassed, type PassConnection, passWaiting } from "./passed-connections.ts";
import { findPortHolder } from "./port-holder.ts";
import { isOfSession } from "./request.ts";

const CONNECTION_LIMIT = 2_048;
const CLOSING_CONNECTIONS = 512;
const HEADERS_TIMEOUT_MS = 15_000;
/** For the whole request: 64 MiB at 4 Mbit/s. */
const REQUEST_TIMEOUT_MS = 150_000;
/** Longer than what clients and proxies keep a connection for: who closes it should be they. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const LOOK_MS = 15_000;
const CLOSING_LOOK_MS = 50;
const BETWEEN_WARNINGS_MS = 60_000;
/** For what came through a new listener before it was given up. */
const ROLLBACK_GRACE_MS = 1_000;

interface ListenerOptions extends GatewayTools {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** A socket that listens there already, of another process. */
  readonly handle?: object | undefined;
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
  /** At once; beyond it one that nobody needs gives way, else the newcomer is refused. Default 2,048. */
  readonly connectionLimit?: number;
}

/** Rejects with `listen_failed`, whose message names the key to change, the address, and who holds it. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  try {
    return await bind(options);
  } catch (error) {
    throw await listenFailed(error, options.host, options.port);
  }
}

/** Rejects with the system's error. */
async function bind(options: ListenerOptions): Promise<Listener> {
  const listener = new Listener(options);
  await listener.open();
  return listener;
}

export class Listener {
  readonly host: string;
  /** The real one, once it listens. */
  port: number;
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #door: Door;
  readonly #emptied = new Set<() => void>();
  /** Connections of the process before, of which nothing has come here: they wait between two requests. */
  readonly #passed = new Set<Duplex>();
  readonly #drops: ReturnType<typeof createThrottle>;
  #dropped = 0;
  #given: object | undefined;
  /** As the system has it; null: it has not listened yet. */
  #bound: AddressInfo | null = null;
  isListening = false;
  #isLeaving = false;
  #stopped = false;
  #timer: Timer | null = null;

  constructor(options: ListenerOptions) {
    const { host, port, handler, clock } = options;
    this.#given = options.handle;
    // Not imported: the module's ESM face evaluates lazy exports, and those load 16 MB of fetch and WebSocket.
    const { createServer } = process.getBuiltinModule("node:http");
    this.host = host;
    this.port = port;
    this.#options = options;
    this.#door = new Door(clock);
    this.#drops = createThrottle(clock, BETWEEN_WARNINGS_MS, () => this.#warnOfDrops());
    this.#server = createServer({
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 5_000,
      // A dead peer is found by the system, too.
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
    });
    // Those that are closed to make room are counted for a moment longer.
    this.#server.maxConnections = this.#limit + CLOSING_CONNECTIONS;
    this.#server.on("request", (request, response) => {
      this.#door.requested(request, response);
      if (this.#stopped || this.#isLeaving) response.setHeader("Connection", "close");
      if (this.#isLeaving && !isOfSession(request)) answerMoved(response);
      else handler(request, response);
    });
    this.#server.on("clientError", (error, socket) => {
      const isWaiting = this.#passed.has(socket) && systemErrorCode(error) === LATE && isSilent(socket);
      if (!isWaiting) answerClientError(error, socket);
    });
    this.#server.on("connection", (socket) => this.#connected(socket));
    this.#server.on("drop", () => this.#droppedOne());
  }

  /** Rejects with the system's error. */
  async open(): Promise<void> {
    await this.#listen();
    const { logger } = this.#options;
    // Refused connections and the like; none of them ends the listener.
    this.#server.on("error", (error) =>
      logger.warn("the listener had an error", { error: errorText(error) }),
    );
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) return;
    this.#bound = address;
    this.port = address.port;
  }

  /** `http://HOST:PORT/mcp`, with a host that can be connected to. */
  get url(): string {
    return `http://${reachable(this.host)}:${this.port}/mcp`;
  }

  get connections(): number {
    return this.#door.size;
  }

  /** Takes no more connections for the moment; those there live on. */
  pauseListening(): void {
    if (!this.isListening) return;
    this.isListening = false;
    // Not http's own close, which cuts idle connections: on one of them a request may be on its way.
    NetServer.prototype.close.call(this.#server);
  }

  /** What another process may listen with; null while this one does not. */
  get handle(): object | null {
    // Sent whole, a server stops to listen here.
    const { _handle: handle } = this.#server as { readonly _handle?: object | null };
    return this.isListening ? (handle ?? null) : null;
  }

  /** Still takes connections, but only for sessions that there are; each ends with its response. */
  leave(): void {
    this.#isLeaving = true;
  }

  /** Takes no more connections; those there are served on, each to the response of its next request. */
  stopListening(): void {
    this.#stopped = true;
    this.pauseListening();
  }

  /** Listens again at the same address. Rejects with `listen_failed`. */
  async listenAgain(): Promise<void> {
    try {
      if (!this.isListening) await this.#listen();
    } catch (error) {
      throw await listenFailed(error, this.host, this.port);
    }
    this.#stopped = false;
    this.#isLeaving = false;
  }

  /** Takes a connection that another process has passed, by its handle; it ends where it came to another address. */
  take(handle: object): void {
    const socket = openPassed(handle);
    // Whom the other one let in may not be let in here: it may have listened to a whole network.
    if (this.#bound === null || !cameTo(socket, this.#bound)) {
      socket.destroy();
      return;
    }
    this.#passed.add(socket);
    socket.once("close", () => this.#passed.delete(socket));
    this.serve(socket);
  }

  /** Serves one who did not come through the address. */
  serve(stream: Duplex): void {
    this.#server.emit("connection", stream);
  }

  /** A request that is on its way there is lost. */
  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  /** Stops listening, closes what is idle, waits `graceMs` at most for the rest, and cuts what is left. */
  close(graceMs: number): Promise<void> {
    return this.#end(graceMs, (signal) => this.#closeIdle(signal));
  }

  /**
   * As `close`, but what is idle has until then, too: a request may be on its way there. The response to it, or the
   * client, ends the connection; or `pass` passes it on, a few at a time or `allAtOnce`.
   */
  drain(graceMs: number, pass: PassConnection | null = null, allAtOnce = false): Promise<void> {
    const { clock } = this.#options;
    return this.#end(pass === null ? graceMs : Math.max(graceMs, 1), async (signal) => {
      if (pass === null) return;
      await passWaiting(this.#server, this.#door.connections, pass, { clock, signal, allAtOnce });
    });
  }

  get #limit(): number {
    return this.#options.connectionLimit ?? CONNECTION_LIMIT;
  }

  async #listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.once("listening", resolve);
    try {
      const given = this.#given;
      this.#given = undefined;
      if (given === undefined) this.#server.listen({ host: this.host, port: this.port, backlog: 511 });
      else this.#server.listen(given, 511);
      await promise;
      this.isListening = true;
    } finally {
      this.#server.removeListener("error", reject);
      this.#server.removeListener("listening", resolve);
    }
  }

  #connected(socket: Socket): void {
    if (this.#door.size >= this.#limit && !this.#door.makeRoom()) {
      this.#droppedOne();
      socket.destroy();
      return;
    }
    this.#door.add(socket);
    this.#timer ??= this.#options.clock.setTimer(LOOK_MS, this.#look);
    socket.once("close", () => {
      this.#door.delete(socket);
      if (this.#door.size > 0) return;
      this.#stopLooking();
      for (const onEmpty of this.#emptied) onEmpty();
    });
  }

  /** Cuts whoever leaves a response unread; responses that are large are written in pieces, so progress shows. */
  readonly #look = (): void => {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const [socket, seen] of this.#door.connections) {
      const { bytesWritten: written, writableLength: unread } = socket;
      if (seen.response?.writableFinished === true) seen.response = null;
      if (unread === 0 || written !== seen.written || unread !== seen.unread) {
        Object.assign(seen, { written, unread, unreadSinceMs: nowMs });
      } else if (nowMs - seen.unreadSinceMs >= STALL_LIMIT_MS) socket.destroy();
      const isOld = nowMs - seen.openedMs >= KEEP_ALIVE_TIMEOUT_MS;
      if (isOld && this.#passed.has(socket) && isSilent(socket)) socket.destroy();
    }
    this.#timer = this.#door.size > 0 ? clock.setTimer(LOOK_MS, this.#look) : null;
  };

  #stopLooking(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  #droppedOne(): void {
    this.#dropped++;
    this.#drops.due();
  }

  #warnOfDrops(): void {
    this.#options.logger.warn("connections were refused: too many are in use", {
      count: this.#dropped,
      limit: this.#limit,
      hint: `see who keeps them open (\`lsof -i :${this.port}\`), and end or mend that client`,
    });
    this.#dropped = 0;
  }

  /** `seeTo` what is idle, until the signal. */
  async #end(graceMs: number, seeTo: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { clock } = this.#options;
    this.stopListening();
    const empty = Promise.withResolvers<void>();
    this.#emptied.add(empty.resolve);
    if (this.#door.size > 0 && graceMs > 0) {
      const emptied = new AbortController();
      const seen = seeTo(emptied.signal);
      await settledWithin(clock, graceMs, empty.promise);
      emptied.abort();
      await seen;
    }
    this.#emptied.delete(empty.resolve);
    this.#drops[Symbol.dispose]();
    for (const socket of [...this.#door.connections.keys()]) socket.destroy();
    // It no longer listens; closing it ends its checks for late requests.
    this.#server.close(() => {});
    this.#stopLooking();
  }

  async #closeIdle(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#server.closeIdleConnections();
      await this.#options.clock.sleep(CLOSING_LOOK_MS, signal).catch(() => {});
    }
  }
}

interface Rebinding {
  readonly listener: Listener;
  /** The old one listens no more; its connections are served on, until it is closed. */
  commit(): void;
  /** The new one is closed, and the old one listens. Rejects with `listen_failed` when it cannot any more. */
  rollback(): Promise<void>;
}

/**
 * Opens a new listener beside `old`. Where their addresses overlap, the old one stops listening just before, and listens
 * again when the new one fails. Rejects with `listen_failed`, the old one listening.
 */
export async function rebind(old: Listener, next: ListenerOptions): Promise<Rebinding> {
  const rebinding = (listener: Listener): Rebinding => ({
    listener,
    commit: () => old.stopListening(),
    async rollback() {
      listener.stopListening();
      await old.listenAgain();
      await listener.close(ROLLBACK_GRACE_MS);
    },
  });
  try {
    return rebinding(await bind(next));
  } catch (error) {
    // Whether two addresses overlap depends on the system and on what names resolve to; it has just told.
    const overlaps = next.port === old.port && systemErrorCode(error) === "EADDRINUSE";
    if (!overlaps) throw await listenFailed(error, next.host, next.port);
  }
  // Whoever were told to connect anew now would find nobody there.
  old.pauseListening();
  try {
    return rebinding(await bind(next));
  } catch (error) {
    await old.listenAgain();
    throw await listenFailed(error, next.host, next.port);
  }
}

const OTHER_ADDRESS = "set another [server].port or [server].host";
const NO_NAME = [
  "host",
  "the name is not known",
  "set [server].host to 127.0.0.1, or to a name that resolves",
] as const;
const NO_ADDRESS = "set [server].host to an address of this machine";

/** By the system's code: the key to change, why, and the hint. */
const LISTEN_FAILURES: Readonly<Record<string, readonly [string, string, string]>> = {
  EACCES: ["port", "the system does not allow it", "set a [server].port of 1024 or more"],
  EADDRNOTAVAIL: ["host", "no interface has that address", NO_ADDRESS],
  ENOTFOUND: NO_NAME,
  EAI_AGAIN: NO_NAME,
};

async function listenFailed(error: unknown, host: string, port: number): Promise<MountaineerError> {
  const address = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const failed = (key: string, why: string, hint: string): MountaineerError =>
    new MountaineerError("listen_failed", `[server].${key}: cannot listen at ${address}: ${why}`, {
      hint,
      cause: error,
      retry: "later",
    });
  const code = systemErrorCode(error);
  if (code === "EADDRINUSE") {
    const holder = await findPortHolder(port);
    return holder === null
      ? failed("port", "it is taken", "stop what listens there, or set another [server].port")
      : failed(
          "port",
          `it is taken by ${holder.command} (pid ${holder.pid})`,
          `stop process ${holder.pid}, or set another [server].port`,
        );
  }
  return failed(...(LISTEN_FAILURES[code ?? ""] ?? ["port", errorText(error), OTHER_ADDRESS]));
}

/** Who listens everywhere is reached over loopback. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return isIPv6(host) ? `[${host}]` : host;
}

function answerMoved(response: ServerResponse): void {
  const message = "the gateway is at another address now; only sessions that were asked something end here";
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

/** Nothing has come on it. */
function isSilent({ bytesRead }: Duplex & { readonly bytesRead?: number }): boolean {
  return bytesRead === 0;
}

function answerClientError(error: Error, socket: Duplex & { readonly bytesWritten?: number }): void {
  const [status, message] = CLIENT_ERRORS[systemErrorCode(error) ?? ""] ?? [
    "400 Bad Request",
    "the request is not HTTP",
  ];
  // In the middle of another response the words would be taken for a part of that.
  if (!socket.writable || socket.bytesWritten !== 0) {
    socket.destroy();
    return;
  }
  const json = responseJson(null, errorReply(INVALID_REQUEST, message));
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(json)}\r\nConnection: close\r\n\r\n`;
  socket.once("error", () => {});
  socket.end(head + json, () => socket.destroy());
}
