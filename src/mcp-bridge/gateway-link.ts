// One connection of a bridge to the gateway. Writes the gateway's lines to the client, at the client's speed.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { systemErrorCode } from "../runtime/errors.ts";
import { createPassage } from "./line-passage.ts";
import type { SeenMessage } from "./message-scan.ts";

interface LinkOptions {
  readonly output: Writable;
  /** As a passage's. */
  readonly onLine: (messages: readonly SeenMessage[], line: Buffer | null) => boolean;
  /** There is room for more of what the client says. */
  readonly onRoom: () => void;
  /** The gateway sends and reads nothing more. Returns whether its last line, which lacks a newline, is complete. */
  readonly onEnd: () => boolean;
}

/** Disposed, it is gone at once. */
export type GatewayLink = ReturnType<typeof linkOn>;

/** Null when nobody takes the connection. */
export async function openGatewayLink(
  path: string,
  signal: AbortSignal,
  options: LinkOptions,
): Promise<GatewayLink | null> {
  const socket = connect({ path, allowHalfOpen: true });
  try {
    await once(socket, "connect", { signal });
  } catch {
    socket.destroy();
    return null;
  }
  return linkOn(socket, options);
}

function linkOn(socket: Socket, { output, onLine, onRoom, onEnd }: LinkOptions) {
  const passage = createPassage({ onLine, write: (bytes) => void output.write(bytes) });
  const closed = Promise.withResolvers<void>();
  let said = false;
  let ended = false;

  const end = (): void => {
    if (ended) return;
    ended = true;
    if (onEnd()) passage.end();
    // The client must find the next message at the beginning of a line.
    else if (passage.cut()) output.write("\n");
  };
  const onOutputRoom = (): void => void socket.resume();
  socket.on("data", (chunk: Buffer) => {
    said = true;
    output.cork();
    passage.push(chunk);
    output.uncork();
    if (output.writableNeedDrain) socket.pause();
  });
  socket.on("drain", onRoom);
  output.on("drain", onOutputRoom);
  socket.once("end", () => {
    end();
    // All of its output has been passed on; further input of the client would get lost.
    socket.destroy();
  });
  socket.on("error", (error) => {
    // A connection that breaks is one that has ended.
    if (systemErrorCode(error) === null) closed.reject(error);
  });
  socket.once("close", () => {
    output.off("drain", onOutputRoom);
    end();
    closed.resolve();
  });

  return {
    /** The gateway has said something. */
    get said() {
      return said;
    },
    /** Resolves when it is gone, whoever ended it. */
    closed: closed.promise,
    /** All that is written within `work` goes out together; false when there is no room for more. */
    together(work: () => void): boolean {
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
