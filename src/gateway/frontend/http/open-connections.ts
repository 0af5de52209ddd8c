// The open connections of one listener, and which one to close when there are too many: one that is not in use.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../../runtime/time/clock.ts";

/**
 * A request that is incomplete after `SLOW_AFTER_MS` is slow, unless it arrives at `SLOW_BYTES_A_SECOND` or
 * faster.
 */
const SLOW_AFTER_MS = 5_000;
const SLOW_BYTES_A_SECOND = 16 * 1024;
/** Minimum age of a connection's last request before the connection may be closed as idle. */
const IDLE_AFTER_MS = 1_000;
/** Minimum time between two searches through all connections. */
const BETWEEN_SEARCHES_MS = 100;

interface OpenConnection {
  /** Monotonic ms. */
  readonly openedMs: number;
  /** Monotonic ms, of the newest request's head; null: no request yet. */
  requestedMs: number | null;
  /** The response to the newest request; null: there was no request, or its response is finished. */
  response: ServerResponse<IncomingMessage> | null;
  // The listener uses these to check whether the client still reads. `written` and `unread` are byte counts of the
  // last check; `unreadSinceMs` is the time since which neither count has changed.
  written: number;
  unread: number;
  unreadSinceMs: number;
}

export class OpenConnections {
  readonly bySocket = new Map<Socket, OpenConnection>();
  readonly #clock: Clock;
  /** Connections that had sent nothing when last checked, the oldest first. */
  readonly #silent = new Set<Socket>();
  /** Result of the last search, in the order of closing. Each connection is checked again before it is closed. */
  #unused: Socket[] = [];
  #searchedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.bySocket.size;
  }

  add(socket: Socket): void {
    const openedMs = this.#clock.monotonicMs();
    const unread = { written: 0, unread: 0, unreadSinceMs: 0 };
    this.bySocket.set(socket, { openedMs, requestedMs: null, response: null, ...unread });
    this.#silent.add(socket);
  }

  delete(socket: Socket): void {
    this.bySocket.delete(socket);
    this.#silent.delete(socket);
  }

  /** Call this when the head of a request has arrived. */
  requested({ socket }: IncomingMessage, response: ServerResponse<IncomingMessage>): void {
    const connection = this.bySocket.get(socket);
    if (connection === undefined) return;
    // The client has sent this request before that response, which must not end the connection.
    if (connection.response?.headersSent === false) connection.response.shouldKeepAlive = true;
    connection.response = response;
    connection.requestedMs = this.#clock.monotonicMs();
  }

  /** Each connection on which a response is awaited closes after it. */
  closeWithResponses(): void {
    for (const { response } of this.bySocket.values())
      if (response?.headersSent === false) response.shouldKeepAlive = false;
  }

  /**
   * Closes the oldest connection that has sent nothing; else the oldest with a slow request; else the one that is idle
   * for longest. False: all are in use.
   */
  closeOldest(): boolean {
    const socket = this.#oldestSilent() ?? this.#nextUnused();
    if (socket === null) return false;
    this.delete(socket);
    socket.destroy();
    return true;
  }

  #oldestSilent(): Socket | null {
    for (const socket of this.#silent) {
      if (socket.bytesRead === 0) return socket;
      this.#silent.delete(socket);
    }
    return null;
  }

  #nextUnused(): Socket | null {
    const nowMs = this.#clock.monotonicMs();
    const rankNow = (socket: Socket): Rank | null => {
      const connection = this.bySocket.get(socket);
      return connection === undefined ? null : rankOf(socket, connection, nowMs);
    };
    if (this.#unused.length === 0 && nowMs - this.#searchedMs >= BETWEEN_SEARCHES_MS) {
      this.#searchedMs = nowMs;
      this.#unused = [...this.bySocket.keys()]
        .map((socket) => ({ socket, rank: rankNow(socket) }))
        .filter((one): one is { socket: Socket; rank: Rank } => one.rank !== null)
        .sort(({ rank: a }, { rank: b }) => a.order - b.order || a.sinceMs - b.sinceMs)
        .map(({ socket }) => socket);
    }
    for (let socket = this.#unused.shift(); socket !== undefined; socket = this.#unused.shift()) {
      if (rankNow(socket) !== null) return socket;
    }
    return null;
  }
}

/**
 * Slow requests (order 0) are closed before idle connections (order 1), and the oldest of each kind first.
 */
interface Rank {
  readonly order: 0 | 1;
  readonly sinceMs: number;
}

/** Null: the connection is in use. */
function rankOf(
  { bytesRead }: Socket,
  { openedMs, requestedMs, response }: OpenConnection,
  nowMs: number,
): Rank | null {
  const sinceMs = requestedMs ?? openedMs;
  const ageMs = nowMs - sinceMs;
  if (requestedMs === null || response?.req.complete === false) {
    const isSlow = ageMs >= SLOW_AFTER_MS && (bytesRead / ageMs) * 1_000 < SLOW_BYTES_A_SECOND;
    return isSlow ? { order: 0, sinceMs } : null;
  }
  const isIdle = (response === null || response.writableFinished) && ageMs >= IDLE_AFTER_MS;
  return isIdle ? { order: 1, sinceMs } : null;
}
