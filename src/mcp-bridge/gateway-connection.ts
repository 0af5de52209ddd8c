// One connection of a bridge to a gateway. Writes the gateway's lines to the client, at the client's speed.
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { isOwnError } from "../runtime/errors.ts";
import { connectPrivately, type HomeSocket } from "../runtime/process/private-socket.ts";
import { createPassage } from "./line-passage.ts";
import type { ScannedMessage } from "./message-scan.ts";

interface ConnectOptions {
  readonly output: ClientOutput;
  /**
   * Called with the messages of each line; `line` null: it was too long to buffer, and the client has it. Returning false
   * drops the line.
   */
  readonly onLine: (messages: readonly ScannedMessage[], line: Buffer | null) => boolean;
  /** Called when the gateway can take input of the client again. */
  readonly onDrain: () => void;
  /**
   * Called when the gateway's output has ended, and when the connection has closed. Returns true if a last
   * line without a newline counts as complete.
   */
  readonly onEnd: () => boolean;
}

/** Disposing closes the connection at once. */
export type GatewayConnection = ReturnType<typeof connectOn>;

/** The client's end, to which several connections write, one line at a time. */
export class ClientOutput {
  readonly stream: Writable;
  /** The connection that has written a part of a line. */
  #midway: object | null = null;
  #waiting: (() => void)[] = [];

  constructor(stream: Writable) {
    this.stream = stream;
  }

  /** Resolves when no other connection has written a part of a line; null: none has. */
  whenFree(connection: object): Promise<void> | null {
    if (this.#midway === null || this.#midway === connection) return null;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  begin(connection: object): void {
    this.#midway = connection;
  }

  end(): void {
    this.#midway = null;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Connects to the gateway's socket; resolves with null if the connection is refused. Rejects as `requireOwnSocket` does. */
export async function openGatewayConnection(
  at: HomeSocket,
  signal: AbortSignal,
  options: ConnectOptions,
): Promise<GatewayConnection | null> {
  const socket = await connectPrivately(at, true).catch((error) => {
    if (isOwnError(error)) throw error;
  });
  if (socket === undefined) return null;
  try {
    await once(socket, "connect", { signal });
  } catch {
    socket.destroy();
    return null;
  }
  return connectOn(socket, options);
}

function connectOn(socket: Socket, { output, onLine, onDrain, onEnd }: ConnectOptions) {
  const { stream } = output;
  const passage = createPassage({
    onLine(messages, line) {
      if (onLine(messages, line)) stream.write(line);
    },
    onPiece(bytes) {
      output.begin(socket);
      stream.write(bytes);
    },
    onLongLine(messages) {
      output.end();
      onLine(messages, null);
    },
  });
  const closed = Promise.withResolvers<void>();
  let hasReceived = false;
  let hasEnded = false;

  const end = (): void => {
    if (hasEnded) return;
    hasEnded = true;
    if (onEnd()) passage.end();
    // The client has received part of a line, so the next message must begin on a new line.
    else if (passage.cut()) {
      stream.write("\n");
      output.end();
    }
  };
  const take = (chunk: Buffer): void => {
    const free = output.whenFree(socket);
    if (free !== null) {
      socket.pause();
      void free.then(() => {
        take(chunk);
        if (!stream.writableNeedDrain) socket.resume();
      });
      return;
    }
    stream.cork();
    passage.push(chunk);
    stream.uncork();
    if (stream.writableNeedDrain) socket.pause();
  };
  const onOutputDrain = (): void => void socket.resume();
  socket.on("data", (chunk: Buffer) => {
    hasReceived = true;
    take(chunk);
  });
  socket.on("drain", onDrain);
  stream.on("drain", onOutputDrain);
  socket.once("end", () => {
    end();
    // The gateway's output has ended, so further input of the client would be lost on this connection.
    socket.destroy();
  });
  // "close" follows each error.
  socket.on("error", () => {});
  socket.once("close", () => {
    stream.off("drain", onOutputDrain);
    end();
    closed.resolve();
  });

  return {
    /** Whether the gateway has sent anything. */
    get hasReceived() {
      return hasReceived;
    },
    closed: closed.promise,
    /**
     * Runs `work`, and sends all that it writes in one piece. Returns false if the socket's buffer is full.
     */
    inOnePiece(work: () => void): boolean {
      socket.cork();
      work();
      socket.uncork();
      return !socket.writableNeedDrain;
    },
    write: (bytes: Buffer | string): void => void socket.write(bytes),
    /** Ends the input of the gateway, which may still answer. */
    end: (): void => void socket.end(),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
