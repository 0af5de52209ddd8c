// Reads what a backend writes beside the protocol, at a bounded rate: the excess of a flood is dropped.
import type { Readable } from "node:stream";
import { createLineSplitter, type LineSplitter } from "../../../../runtime/text/line-splitter.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";

const LINE_BYTES = 64 * 1024;
const WINDOW_MS = 1_000;
/** What a window may hold; a server that logs each of a thousand calls a second stays below. */
const WINDOW_LINES = 2_000;
const WINDOW_BYTES = 512 * 1024;
/** Beyond it one chunk (64 KiB) is read and dropped in that time: some 13 MB/s, at little cost to us. */
const DROP_PAUSE_MS = 5;

/**
 * Reads to the end of the stream, at a bounded rate. Lines come whole, and not yet cleaned. What is returned ends the
 * reading; `isRead`: what is left without a line's end is handed over before.
 */
export function readLogLines(
  stream: Readable,
  clock: Clock,
  onLine: (line: string) => void,
): (isRead: boolean) => void {
  let splitter: LineSplitter = createLineSplitter(LINE_BYTES);
  let windowEndMs = 0;
  let lines = 0;
  let bytes = 0;
  let dropped = 0;
  let timer: Timer | null = null;
  let over = false;

  const tellDropped = (): void => {
    if (dropped > 0) onLine(`(${dropped} bytes of log were dropped: too much at once)`);
    dropped = 0;
  };
  const pause = (): void => {
    stream.pause();
    timer = clock.setTimer(DROP_PAUSE_MS, () => {
      timer = null;
      stream.resume();
    });
  };
  const onData = (chunk: Buffer): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs >= windowEndMs) {
      windowEndMs = nowMs + WINDOW_MS;
      lines = 0;
      bytes = 0;
      tellDropped();
    }
    bytes += chunk.length;
    if (bytes > WINDOW_BYTES || lines >= WINDOW_LINES) {
      dropped += chunk.length;
      if (dropped === chunk.length) splitter = createLineSplitter(LINE_BYTES);
      pause();
      return;
    }
    for (const line of splitter.take(chunk)) {
      lines += 1;
      if (line !== "" && lines <= WINDOW_LINES) onLine(line);
    }
    if (!splitter.overlong) return;
    onLine(`(a line of more than ${LINE_BYTES} bytes was dropped)`);
    splitter = createLineSplitter(LINE_BYTES);
  };
  stream.on("data", onData);
  stream.on("error", () => {});

  return (isRead) => {
    const rest = isRead && !over ? splitter.rest() : null;
    if (rest !== null && rest !== "") onLine(rest);
    if (isRead && !over) tellDropped();
    over = true;
    timer?.[Symbol.dispose]();
    stream.off("data", onData);
  };
}

// The line of a program's output that says best why it ended: mostly its last, but Node and npm end with a line that
// says nothing.

/** A Node program's end, after the error and its stack. */
const NODE_ENDS = /^Node\.js v\d/;
const ERROR_HEAD = /^(?:Uncaught )?[\w$.]*(?:Error|Exception)(?: \[[^\]]+\])?: \S/;
/** The last line of npm and npx, after the line that says what went wrong. */
const NPM_ENDS = /^npm (?:error|ERR!) A complete log of this run/;
/** The first of npm's lines that is a sentence. */
const NPM_HEAD = /^npm (?:error|ERR!) (?!code |syscall |errno |path |dest |A complete log)\S+ \S/;

/** What `npx` and `uvx` write while they download a server. */
const INSTALLER = /^(?:npm |\s*(?:Resolved|Downloading|Downloaded|Building|Built|Prepared|Installed) )/;

/** The server itself has not written this, nor has it begun. */
export function isInstallerLine(line: string): boolean {
  return INSTALLER.test(line);
}

export class ExitReason {
  /** As it was written; null: nothing. */
  lastLine: string | null = null;
  #error: string | null = null;
  #npm: string | null = null;

  /** Takes the next line that the program wrote. */
  add(line: string): void {
    this.lastLine = line;
    if (ERROR_HEAD.test(line)) this.#error = line;
    else if (NPM_HEAD.test(line)) this.#npm ??= line;
  }

  /** What to tell people; null: nothing was written. */
  get text(): string | null {
    const { lastLine } = this;
    if (lastLine !== null && NODE_ENDS.test(lastLine)) return this.#error ?? lastLine;
    if (lastLine !== null && NPM_ENDS.test(lastLine)) return this.#npm ?? lastLine;
    return lastLine;
  }
}
