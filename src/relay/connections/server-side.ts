// A relayed connection's side to its server: one socket after another, each on the route of its time.
import { Socket } from "node:net";
import { connectOptions } from "../../network/probe/host-probe.ts";
import { resetSocket } from "../../runtime/reset-socket.ts";
import type { RouteEndpoint } from "../relay.ts";
import { type CutOff, ownEndOf } from "./cut-off-sessions.ts";

/**
 * After this long without data, ms, the system sends ten keep-alives, a second apart. It is this long so that
 * idle connections survive short outages.
 */
export const KEEP_ALIVE_AFTER_MS = 60_000;

/** What the newest socket reports; those before it, which were abandoned or reset, report nothing. */
interface ServerEvents {
  /** Where the next read puts its bytes. */
  window(): Buffer;
  /** Returns false to pause reading. */
  bytes(length: number): boolean;
  connected(): void;
  /** The server has sent its end. */
  ended(): void;
  failed(error: unknown): void;
  /** Everything that was written is with the system. */
  drained(): void;
}

export class ServerSide {
  readonly #events: ServerEvents;
  #socket: Socket | null = null;
  /** Resolves once the newest socket is closed. */
  gone: Promise<void> = Promise.resolve();

  constructor(events: ServerEvents) {
    this.#events = events;
  }

  get isThere(): boolean {
    return this.#socket !== null;
  }

  get unsentBytes(): number {
    return this.#socket?.writableLength ?? 0;
  }

  /** The addresses of the connection; null: there is none. */
  get ownEnd(): CutOff | null {
    return this.#socket === null ? null : ownEndOf(this.#socket);
  }

  connect(endpoint: RouteEndpoint): void {
    const events = this.#events;
    const options = {
      allowHalfOpen: true,
      // "drain" comes after every write.
      writableHighWaterMark: 1,
      onread: { buffer: () => events.window(), callback: (length: number) => events.bytes(length) },
    };
    const socket = new Socket(options);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    const ifNewest = (event: () => void): void => {
      if (this.#socket === socket) event();
    };
    socket.once("close", () => {
      resolve();
      ifNewest(() => events.failed(new Error("the server's side is closed")));
    });
    socket.on("error", (error) => ifNewest(() => events.failed(error)));
    socket.once("connect", () => ifNewest(events.connected));
    socket.on("end", () => ifNewest(events.ended));
    socket.on("drain", () => ifNewest(events.drained));
    try {
      socket.connect(connectOptions(endpoint));
    } catch (error) {
      events.failed(error);
    }
  }

  write(bytes: Buffer): void {
    this.#socket?.write(bytes);
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Ends the connection, once everything is sent: a socket whose end is queued behind bytes cannot be reset. */
  end(): void {
    const socket = this.#socket;
    if (socket !== null && socket.writableLength === 0 && !socket.writableEnded) socket.end();
  }

  /** Leaves a socket to which nothing was written. It needs no reset. */
  abandon(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
  }

  /**
   * Resets the connection, so that the system drops unsent bytes; an ordinary end would send them, however
   * late.
   */
  reset(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    // A socket that is ending cannot be reset before "finish", which comes soon because no bytes wait before the end.
    const isEnding = !socket.connecting && socket.writableEnded && !socket.writableFinished;
    if (isEnding && !socket.destroyed) socket.once("finish", () => resetSocket(socket));
    else resetSocket(socket);
  }
}
