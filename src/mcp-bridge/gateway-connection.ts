// One connection of a bridge to the gateway. Writes the gateway's lines to the client, at the client's speed.
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { isOwnError } from "../runtime/errors.ts";
import { connectPrivately, type HomeSocket } from "../runtime/process/private-socket.ts";
import { createMessageScan, type ScannedMessage } from "./message-scan.ts";

interface ConnectOptions {
  readonly output: Writable;
  readonly onLine: PassageOptions["onLine"];
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

function connectOn(socket: Socket, { output, onLine, onDrain, onEnd }: ConnectOptions) {
  const passage = createPassage({ onLine, write: (bytes) => void output.write(bytes) });
  const closed = Promise.withResolvers<void>();
  let hasReceived = false;
  let hasEnded = false;

  const end = (): void => {
    if (hasEnded) return;
    hasEnded = true;
    if (onEnd()) passage.end();
    // The client has received part of a line, so the next message must begin on a new line.
    else if (passage.cut()) output.write("\n");
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

// Passes a stream of lines on, byte for byte. A line is sent once it is complete, so that a broken connection leaves no
// half line; only a line longer than the buffer is sent in pieces.

const NEWLINE = 0x0a;
/** Longest line that is buffered, bytes: longer than most messages, and small enough for one bridge per agent. */
const BUFFERED_BYTES = 1024 * 1024;

interface PassageOptions {
  /**
   * Called with each line before it is passed on: its messages, and its bytes with the newline. `line` is null if the
   * line was too long to buffer and has already been passed on. Returning false drops the line.
   */
  readonly onLine: (messages: readonly ScannedMessage[], line: Buffer | null) => boolean;
  /** When a line that `cut` has dropped is complete, this is called with the messages of that line. */
  readonly onCut?: (messages: readonly ScannedMessage[]) => void;
  readonly write: (bytes: Buffer) => void;
}

export function createPassage({ onLine, onCut, write }: PassageOptions) {
  let scan = createMessageScan();
  let buffered: Buffer[] = [];
  let size = 0;
  let state: "buffering" | "passing" | "cut" = "buffering";

  const take = (piece: Buffer): void => {
    scan.push(piece);
    size += piece.length;
    if (state === "passing") write(piece);
    if (state !== "buffering") return;
    buffered.push(piece);
    if (size <= BUFFERED_BYTES) return;
    state = "passing";
    for (const each of buffered) write(each);
    buffered = [];
  };
  const complete = (): void => {
    const messages = scan.end();
    const [only] = buffered;
    const line = buffered.length === 1 && only !== undefined ? only : Buffer.concat(buffered);
    const before = state;
    scan = createMessageScan();
    buffered = [];
    size = 0;
    state = "buffering";
    if (before === "cut") onCut?.(messages);
    else if (before === "passing") onLine(messages, null);
    else if (onLine(messages, line)) write(line);
  };

  return {
    /** True while a line has been passed on in part. */
    get isMidway() {
      return state !== "buffering";
    },
    push(chunk: Buffer): void {
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        take(chunk.subarray(start, end + 1));
        complete();
        start = end + 1;
      }
      if (start < chunk.length) take(chunk.subarray(start));
    },
    /** The input has ended: passes on a last line without newline. */
    end(): void {
      if (size > 0) complete();
    },
    /**
     * Call when the receiver is gone. Returns true if a line was passed on in part; the rest of that line is dropped. A
     * buffered line stays buffered.
     */
    cut(): boolean {
      if (state !== "passing") return false;
      state = "cut";
      return true;
    },
  };
}

// The client's input: passed on while there is a receiver. Otherwise the bridge reads a bounded amount, to notice the end of
// the input; the rest waits in the pipe.

const RETAINED_BYTES = 64 * 1024;

export interface InboxTaker {
  /** Returns false if the buffer is full; then the receiver calls `more` when there is room. */
  push(chunk: Buffer): boolean;
  end(): void;
}

/**
 * `onEnd` is called when the input ends while there is no receiver. Reading starts with the first receiver and ends at
 * disposal.
 */
export function openInbox(input: Readable, onEnd: () => void) {
  let taker: InboxTaker | null = null;
  let retained: Buffer[] = [];
  let retainedBytes = 0;
  let ended = false;
  let begun = false;

  const onData = (chunk: Buffer): void => {
    if (taker !== null) {
      if (!taker.push(chunk)) input.pause();
      return;
    }
    retained.push(chunk);
    retainedBytes += chunk.length;
    if (retainedBytes >= RETAINED_BYTES) input.pause();
  };
  const onInputEnd = (): void => {
    ended = true;
    if (taker === null) onEnd();
    else taker.end();
  };
  return {
    /** The input has ended, though some of it may still be kept. */
    get ended() {
      return ended;
    },
    /** Sets the receiver, which gets the kept input first. */
    handTo(next: InboxTaker): void {
      taker = next;
      const chunks = retained;
      retained = [];
      retainedBytes = 0;
      for (const chunk of chunks) next.push(chunk);
      if (ended) next.end();
      else if (!begun) input.on("data", onData).once("end", onInputEnd);
      else input.resume();
      begun = true;
    },
    /** Removes the receiver: further input is kept for the next one. */
    keep(): void {
      taker = null;
      if (begun) input.resume();
    },
    more(): void {
      if (taker !== null) input.resume();
    },
    [Symbol.dispose]() {
      taker = null;
      input.off("data", onData).off("end", onInputEnd).pause();
    },
  };
}
