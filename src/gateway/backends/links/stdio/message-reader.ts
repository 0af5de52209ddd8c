// Reads messages from a program's standard output, one JSON value per line, and pauses while the receiver asks for that.
import type { Readable } from "node:stream";
import { createLineSplitter } from "../../../../runtime/text/line-splitter.ts";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { readMessage, tooManyValues } from "../../../written-results.ts";
import { type LinkFailure, linkFailure, tooLong } from "../backend-link.ts";

/** Limit of lines that are not JSON: a banner on stdout is tolerated, another protocol is not. */
const NOISE = { lines: 1_000, bytes: 1024 * 1024, withinMs: 10_000 };

interface ReaderEvents {
  /** A returned promise pauses the reading until it settles. */
  onMessage(message: unknown): Promise<void> | null;
  /** A line that is not JSON. */
  onNoise(line: string): void;
  onFailure(failure: LinkFailure): void;
  /** Called when a pause that `onMessage` requested has ended. */
  onSettled(): void;
}

export type MessageReader = ReturnType<typeof createMessageReader>;

export function createMessageReader(
  stdout: Readable,
  limitBytes: number,
  clock: Clock,
  { onMessage, onNoise, onFailure, onSettled }: ReaderEvents,
) {
  const splitter = createLineSplitter(limitBytes);
  let isHeld = false;
  let stopped = false;
  let noise = { sinceMs: 0, lines: 0, bytes: 0 };

  /** Delivers complete lines until the receiver asks for a pause. */
  const read = (): void => {
    while (!isHeld && !stopped) {
      const line = splitter.nextEither();
      if (line === null) break;
      deliver(line);
    }
    if (splitter.overlong && !stopped) onFailure(tooLong(limitBytes));
  };
  const deliver = (line: string | Buffer): void => {
    if (line.length === 0) return;
    const wait = readMessage(line, receiver);
    if (wait !== null) hold(wait);
  };
  const receiver = {
    take: onMessage,
    refuse: (error: unknown, line: string | Buffer): void =>
      takeNoise(tooManyValues(error)?.error.message ?? line.toString("utf8", 0, NOISE.bytes)),
  };
  const hold = (wait: Promise<void>): void => {
    isHeld = true;
    stdout.pause();
    const settled = (): void => {
      isHeld = false;
      read();
      if (!isHeld && !stopped) stdout.resume();
      onSettled();
    };
    void wait.then(settled, settled);
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
    const message = "its standard output is no MCP: too many lines that are no JSON";
    const hint = "a server over stdio must write nothing but MCP to stdout, and its log to stderr";
    onFailure(linkFailure("protocol", message, hint));
  };
  stdout.on("data", (chunk: Buffer) => {
    if (stopped) return;
    splitter.push(chunk);
    read();
  });
  stdout.on("error", () => {});

  return {
    get isHeld() {
      return isHeld;
    },
    stop(): void {
      stopped = true;
    },
    /** The output has ended; the last message may lack the line's end. Then the reader may be held once more. */
    finish(): void {
      const rest = stopped ? null : splitter.restBytes();
      if (rest !== null) deliver(rest);
    },
  };
}
