// One connection of a bridge to a gateway. Writes the gateway's lines to the client, at the client's speed.
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { isOwnError } from "../runtime/errors.ts";
import { connectPrivately, type HomeSocket } from "../runtime/process/private-socket.ts";
import { createPassage } from "./line-passage.ts";
import type { ScannedMessage } from "./message-scan.ts";

interface ConnectOptions {
  /** The client's end, to which several connections write. */
  readonly output: Writable;
  /** Called with the messages of each line. Returning false drops the line. */
  readonly onLine: (messages: readonly ScannedMessage[], line: Buffer) => boolean;
  /** Called with the messages of a line that was too long, and was dropped. */
  readonly onTooLong: (messages: readonly ScannedMessage[]) => void;
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

function connectOn(socket: Socket, { output, onLine, onTooLong, onDrain, onEnd }: ConnectOptions) {
  const passage = createPassage({
    onLine(messages, line) {
      if (onLine(messages, line)) output.write(line);
    },
    onTooLong,
  });
  const closed = Promise.withResolvers<void>();
  let hasReceived = false;
  let hasEnded = false;

  const end = (): void => {
    if (hasEnded) return;
    hasEnded = true;
    if (onEnd()) passage.end();
  };
  const onOutputDrain = (): void => void socket.resume();
  socket.on("data", (chunk: Buffer) => {
    hasReceived = true;
    output.cork();
    passage.push(chunk);
    output.uncork();
    if (output.writableNeedDrain) socket.pause();
  });
  socket.on("drain", onDrain);
  output.on("drain", onOutputDrain);
  socket.once("end", () => {
    end();
    // The gateway's output has ended, so further input of the client would be lost on this connection.
    socket.destroy();
  });
  // "close" follows each error.
  socket.on("error", () => {});
  socket.once("close", () => {
    output.off("drain", onOutputDrain);
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
