// Reads messages from a program's standard output, one JSON value per line, and pauses while the receiver asks for that.
import type { Readable } from "node:stream";
import { parseExactly } from "../../../../runtime/text/exact-json.ts";
import { createLineSplitter, type LineSplitter } from "../../../../runtime/text/line-splitter.ts";
import { withoutByteOrderMark } from "../../../../runtime/text/plain-text.ts";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { parseMessage } from "../../../written-results.ts";
import { type LinkFailure, linkFailure, tooLong } from "../backend-link.ts";

/** Limit of lines that are not JSON: a banner on stdout is tolerated, another protocol is not. */
const NOISE = { lines: 1_000, bytes: 1024 * 1024, withinMs: 10_000 };

interface ReaderEvents {
  /** A returned promise pauses the reading until it settles. */
  onMessage(message: unknown): Promise<void> | null;
  /** A line that is not JSON. */
  onNoise(line: string): void;
  onFailure(failure: LinkFailure): void;
  /** A pause is over. */
  onSettled(): void;
}

export class MessageReader {
  isHeld = false;
  readonly #stdout: Readable;
  readonly #limitBytes: number;
  readonly #clock: Clock;
  readonly #events: ReaderEvents;
  readonly #splitter: LineSplitter;
  #stopped = false;
  #noise = { sinceMs: 0, lines: 0, bytes: 0 };

  constructor(stdout: Readable, limitBytes: number, clock: Clock, events: ReaderEvents) {
    this.#stdout = stdout;
    this.#limitBytes = limitBytes;
    this.#clock = clock;
    this.#events = events;
    this.#splitter = createLineSplitter(limitBytes);
    stdout.on("data", (chunk: Buffer) => {
      if (this.#stopped) return;
      this.#splitter.push(chunk);
      this.#read();
    });
    stdout.on("error", () => {});
  }

  /** No further event is delivered. */
  stop(): void {
    this.#stopped = true;
  }

  /** The output has ended; the last message may lack the line's end. */
  finish(): void {
    const rest = this.#stopped ? null : this.#splitter.rest();
    if (rest === null) return;
    try {
      this.#events.onMessage(parseExactly(rest))?.catch(() => {});
    } catch {
      this.#onNoise(rest);
    }
  }

  /** Delivers complete lines until the receiver asks for a pause. */
  #read(): void {
    while (!this.isHeld && !this.#stopped) {
      const next = this.#splitter.nextEither();
      if (next === null) break;
      const line = typeof next === "string" ? withoutByteOrderMark(next) : next;
      if (line.length === 0) continue;
      let message: unknown;
      try {
        message = typeof line === "string" ? parseExactly(line) : parseMessage(line);
      } catch {
        this.#onNoise(line.toString());
        continue;
      }
      const wait = this.#events.onMessage(message);
      if (wait !== null) this.#hold(wait);
    }
    if (this.#splitter.overlong && !this.#stopped) {
      this.#events.onFailure(tooLong(this.#limitBytes));
    }
  }

  #hold(wait: Promise<void>): void {
    this.isHeld = true;
    this.#stdout.pause();
    const settled = (): void => {
      this.isHeld = false;
      this.#read();
      if (!this.isHeld && !this.#stopped) this.#stdout.resume();
      this.#events.onSettled();
    };
    void wait.then(settled, settled);
  }

  #onNoise(line: string): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#noise.sinceMs > NOISE.withinMs) this.#noise = { sinceMs: nowMs, lines: 0, bytes: 0 };
    this.#noise.lines += 1;
    this.#noise.bytes += line.length;
    if (this.#noise.lines <= NOISE.lines && this.#noise.bytes <= NOISE.bytes) {
      this.#events.onNoise(line);
      return;
    }
    const message = "its standard output is no MCP: too many lines that are no JSON";
    const hint = "a server over stdio must write nothing but MCP to stdout, and its log to stderr";
    this.#events.onFailure(linkFailure("protocol", message, hint));
  }
}
