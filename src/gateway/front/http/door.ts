// The open connections of one listener, and which of them has to go when a full door is knocked at: one that holds a
// place that it does not use.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../../runtime/time/clock.ts";

/** A request that has not come whole after it is slow, unless it brings so much a second. */
const SLOW_AFTER_MS = 5_000;
const SLOW_BYTES_A_SECOND = 16 * 1024;
/** A kept connection whose last request came so long ago may be closed once that is answered. */
const IDLE_AFTER_MS = 1_000;
/** Where nobody was found who could go, all connections are not looked at again at once. */
const BETWEEN_LOOKS_MS = 100;

interface DoorConnection {
  /** Monotonic ms. */
  readonly openedMs: number;
  /** Monotonic ms, of the newest request's head; null: none has come. */
  requestedMs: number | null;
  /** To the newest request; null: there was none, or it is over. */
  response: ServerResponse<IncomingMessage> | null;
  // What the look at unread responses keeps.
  written: number;
  unread: number;
  unreadSinceMs: number;
}

export class Door {
  readonly connections = new Map<Socket, DoorConnection>();
  readonly #clock: Clock;
  /** As they came; what has sent something is taken out when it is found. */
  readonly #silent = new Set<Socket>();
  /** Found at the last look, and to be asked again before they go. */
  #others: Socket[] = [];
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.connections.size;
  }

  add(socket: Socket): void {
    const openedMs = this.#clock.monotonicMs();
    const unread = { written: 0, unread: 0, unreadSinceMs: 0 };
    this.connections.set(socket, { openedMs, requestedMs: null, response: null, ...unread });
    this.#silent.add(socket);
  }

  delete(socket: Socket): void {
    this.connections.delete(socket);
    this.#silent.delete(socket);
  }

  /** A request has come on it, at least its head. */
  requested({ socket }: IncomingMessage, response: ServerResponse<IncomingMessage>): void {
    const connection = this.connections.get(socket);
    if (connection === undefined) return;
    connection.response = response;
    connection.requestedMs = this.#clock.monotonicMs();
  }

  /**
   * Closes one that nobody needs: the oldest that has sent nothing; else the oldest whose request comes slowly; else the
   * one that is idle for longest. False: all are in use.
   */
  makeRoom(): boolean {
    const leaving = this.#oldestSilent() ?? this.#nextOther();
    if (leaving === null) return false;
    this.delete(leaving);
    leaving.destroy();
    return true;
  }

  #oldestSilent(): Socket | null {
    for (const socket of this.#silent) {
      if (socket.bytesRead === 0) return socket;
      this.#silent.delete(socket);
    }
    return null;
  }

  #nextOther(): Socket | null {
    const nowMs = this.#clock.monotonicMs();
    if (this.#others.length === 0 && nowMs - this.#lookedMs >= BETWEEN_LOOKS_MS) {
      this.#lookedMs = nowMs;
      this.#others = this.#unneeded(nowMs);
    }
    for (let socket = this.#others.shift(); socket !== undefined; socket = this.#others.shift()) {
      const connection = this.connections.get(socket);
      if (connection !== undefined && rankOf(socket, connection, nowMs) !== null) return socket;
    }
    return null;
  }

  #unneeded(nowMs: number): Socket[] {
    const found: { readonly socket: Socket; readonly rank: Rank }[] = [];
    for (const [socket, connection] of this.connections) {
      const rank = rankOf(socket, connection, nowMs);
      if (rank !== null) found.push({ socket, rank });
    }
    found.sort(({ rank: one }, { rank: other }) => one.order - other.order || one.sinceMs - other.sinceMs);
    return found.map(({ socket }) => socket);
  }
}

/** Lower ones go first. */
interface Rank {
  readonly order: 0 | 1;
  readonly sinceMs: number;
}

/** Null: it is in use. */
function rankOf(
  { bytesRead }: Socket,
  { openedMs, requestedMs, response }: DoorConnection,
  nowMs: number,
): Rank | null {
  const sinceMs = requestedMs ?? openedMs;
  const ageMs = nowMs - sinceMs;
  const isComing = requestedMs === null || response?.req.complete === false;
  if (isComing) {
    const isSlow = ageMs >= SLOW_AFTER_MS && (bytesRead / ageMs) * 1_000 < SLOW_BYTES_A_SECOND;
    return isSlow ? { order: 0, sinceMs } : null;
  }
  const isIdle = (response === null || response.writableFinished) && ageMs >= IDLE_AFTER_MS;
  return isIdle ? { order: 1, sinceMs } : null;
}
