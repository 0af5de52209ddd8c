// Reads messages from a program's standard output, one JSON value per line, and pauses while the receiver asks for that.
// Also reads messages on a line with text, and JSON over several lines (`odd-output.ts`).

import type { Readable } from "node:stream";
import { TEXT_BOUNDS } from "../../../../runtime/text/bounds.ts";
import { createLineSplitter } from "../../../../runtime/text/line-splitter.ts";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { ownTurn, TURN_MS } from "../../../../runtime/time/turns.ts";
import { isJsonObject, type RpcId } from "../../../json-rpc.ts";
import { readMessage, tooManyValues } from "../../../written-results.ts";
import {
  type ServerQuirk,
  type TransportFailure,
  tooLong,
  transportFailure,
  UNREADABLE,
} from "../backend-transport.ts";
import { frameLength, isMessageByItself, mixedLine, SpreadLines, unreadableAnswer } from "../odd-output.ts";

/** Limit of lines that are not JSON: a banner on stdout is tolerated, another protocol is not. */
const NOISE = { lines: 1_000, bytes: 1024 * 1024, withinMs: 10_000 };

/** Chunks that follow each other within this time may be of one turn. */
const SAME_TURN_MS = 1;

interface ReaderEvents {
  /** A returned promise pauses the reading until it settles. */
  onMessage(message: unknown): Promise<void> | null;
  /** A line that is not JSON. */
  onNoise(line: string): void;
  /** The answer to this request cannot be read. */
  onRequestFailed(id: RpcId, failure: TransportFailure): void;
  onOddity(oddity: ServerQuirk): void;
  onFailure(failure: TransportFailure): void;
  /** Called when a pause that `onMessage` requested has ended. */
  onResumed(): void;
}

export type MessageReader = ReturnType<typeof createMessageReader>;

export function createMessageReader(
  stdout: Readable,
  limitBytes: number,
  clock: Clock,
  { onMessage, onNoise, onRequestFailed, onOddity, onFailure, onResumed }: ReaderEvents,
) {
  const splitter = createLineSplitter(limitBytes);
  let isPaused = false;
  let stopped = false;
  let noise = { sinceMs: 0, lines: 0, bytes: 0 };
  /** The lines of an object that is not whole yet. */
  let spread: SpreadLines | null = null;
  /** False once these lines were not a message: the following lines may be within something unreadable. */
  let maySpread = true;

  /** Some servers write the length of each message ahead of it and a blank line, as language servers do. */
  let announced: number | null = null;
  let frame: number | null = null;
  let isFramed: boolean | null = null;

  let beganMs = Number.NEGATIVE_INFINITY;
  let endedMs = Number.NEGATIVE_INFINITY;

  /** Delivers complete lines until the receiver asks for a pause, or others want their turn. */
  const read = (): void => {
    const nowMs = clock.monotonicMs();
    // A stream gives up to 32 chunks in one turn of the loop.
    if (nowMs - endedMs > SAME_TURN_MS) beganMs = nowMs;
    while (!isPaused && !stopped) {
      const line = frame === null ? splitter.nextEither() : splitter.nextExactly(frame);
      if (line === null) break;
      frame = null;
      deliver(line);
      endedMs = clock.monotonicMs();
      if (!isPaused && endedMs - beganMs >= TURN_MS) pause(ownTurn());
    }
    if (splitter.overlong && !stopped) onFailure(tooLong(limitBytes));
  };
  const deliver = (line: string | Buffer): void => {
    if (line.length === 0) {
      frame = announced;
      announced = null;
      return;
    }
    const wait = spread === null ? readMessage(line, receiver) : readSpread(spread, line);
    if (wait !== null) pause(wait);
  };
  const receiver = {
    take(message: unknown): Promise<void> | null {
      isFramed ??= false;
      announced = null;
      return onMessage(message);
    },
    refuse(error: unknown, bytes: string | Buffer): Promise<void> | null {
      const tooMany = tooManyValues(error)?.error.message;
      if (tooMany === undefined && bytes.length <= TEXT_BOUNDS.oddLine.most) return readOdd(bytes.toString());
      takeNoise(tooMany ?? bytes.toString("utf8", 0, NOISE.bytes));
      return null;
    },
  };
  const readOdd = (line: string): Promise<void> | null => {
    const length = isFramed === false ? null : frameLength(line);
    if (length !== null && length <= limitBytes) {
      isFramed = true;
      announced = length;
      onOddity("framed_messages");
      return null;
    }
    const mixed = mixedLine(line);
    if (mixed !== null) {
      onOddity("mixed_lines");
      if (mixed.text !== "") onNoise(mixed.text);
      const waits = mixed.messages.map((message) => readMessage(message, receiver));
      return joined(waits.filter((wait) => wait !== null));
    }
    const id = unreadableAnswer(line);
    if (id !== null) {
      onOddity("no_numbers");
      onRequestFailed(id, UNREADABLE);
      return null;
    }
    const begun = maySpread && line.startsWith("{") ? new SpreadLines() : null;
    if (begun?.push(Buffer.from(line)) === "more") spread = begun;
    else takeNoise(line);
    return null;
  };
  const readSpread = (begun: SpreadLines, line: string | Buffer): Promise<void> | null => {
    const text = line.length <= TEXT_BOUNDS.oddLine.most ? line.toString() : "";
    const state = isMessageByItself(text) ? "wrong" : begun.push(Buffer.from(line));
    if (state === "more") {
      if (begun.length > limitBytes) onFailure(tooLong(limitBytes));
      return null;
    }
    spread = null;
    const lines = begun.take();
    if (state === "whole") return readMessage(lines, spreadReceiver);
    dropLines(lines);
    return readMessage(line, receiver);
  };
  const dropLines = (lines: Buffer): void => {
    maySpread = false;
    for (const line of lines.toString("utf8", 0, NOISE.bytes).split("\n")) if (line !== "") takeNoise(line);
  };
  const spreadReceiver = {
    ...receiver,
    take(message: unknown): Promise<void> | null {
      if (isJsonObject(message) && message["jsonrpc"] === "2.0") onOddity("spread_answers");
      return onMessage(message);
    },
  };
  const pause = (wait: Promise<void>): void => {
    isPaused = true;
    stdout.pause();
    const resumed = (): void => {
      isPaused = false;
      endedMs = Number.NEGATIVE_INFINITY;
      read();
      if (!isPaused && !stopped) stdout.resume();
      onResumed();
    };
    void wait.then(resumed, resumed);
  };
  const takeNoise = (line: string): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs - noise.sinceMs > NOISE.withinMs) noise = { sinceMs: nowMs, lines: 0, bytes: 0 };
    noise.lines += 1;
    noise.bytes += line.length;
    if (noise.lines <= NOISE.lines && noise.bytes <= NOISE.bytes) {
      onNoise(line);
      return;
    }
    const message = "its standard output is not MCP: too many lines are not JSON";
    const hint = "a server over stdio must write nothing but MCP to stdout, and its log to stderr";
    onFailure(transportFailure("protocol", message, hint));
  };
  stdout.on("data", (chunk: Buffer) => {
    if (stopped) return;
    splitter.push(chunk);
    read();
  });
  stdout.on("error", () => {});

  return {
    get isPaused() {
      return isPaused;
    },
    stop(): void {
      stopped = true;
    },
    /** The output has ended; the last message may lack the line's end. The reader may then be paused again. */
    finish(): void {
      const rest = stopped ? null : splitter.restBytes();
      if (rest !== null) deliver(rest);
      if (spread !== null) dropLines(spread.take());
      spread = null;
    },
  };
}

function joined(waits: readonly Promise<void>[]): Promise<void> | null {
  return waits.length === 0 ? null : Promise.all(waits).then(() => undefined);
}
