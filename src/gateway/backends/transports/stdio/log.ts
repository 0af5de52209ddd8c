// Reads a backend's log lines at a bounded rate; the excess is dropped.

import type { Readable } from "node:stream";
import { TEXT_BOUNDS } from "../../../../runtime/text/bounds.ts";
import { createLineSplitter, type LineSplitter } from "../../../../runtime/text/line-splitter.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";

const WINDOW_MS = 1_000;
/**
 * Maximum of what is read in one time window. It is enough for a server that logs a line for each of a thousand calls
 * a second.
 */
const WINDOW_LINES = 2_000;
const WINDOW_BYTES = 512 * 1024;
/** Above the limits, one chunk (64 KiB) per pause is read and dropped. That is 13 MB/s, at little cost. */
const DROP_PAUSE_MS = 5;

/**
 * Passes on complete lines, with their control characters and secrets. The returned function ends the
 * reading; if `isRead`, it first delivers the last, unfinished line.
 */
export function readLogLines(
  stream: Readable,
  clock: Clock,
  onLine: (line: string) => void,
): (isRead: boolean) => void {
  let splitter: LineSplitter = createLineSplitter(TEXT_BOUNDS.logLine.most);
  let windowEndMs = 0;
  let lines = 0;
  let bytes = 0;
  let dropped = 0;
  let timer: Timer | null = null;
  let over = false;

  const reportDropped = (): void => {
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
      reportDropped();
    }
    bytes += chunk.length;
    if (bytes > WINDOW_BYTES || lines >= WINDOW_LINES) {
      dropped += chunk.length;
      if (dropped === chunk.length) splitter = createLineSplitter(TEXT_BOUNDS.logLine.most);
      pause();
      return;
    }
    for (const line of splitter.take(chunk)) {
      lines += 1;
      if (line !== "" && lines <= WINDOW_LINES) onLine(line);
    }
    if (!splitter.overlong) return;
    onLine(`(a line of more than ${TEXT_BOUNDS.logLine.most} bytes was dropped)`);
    splitter = createLineSplitter(TEXT_BOUNDS.logLine.most);
  };
  stream.on("data", onData);
  stream.on("error", () => {});

  return (isRead) => {
    if (isRead && !over) {
      const rest = splitter.rest() ?? "";
      if (rest !== "") onLine(rest);
      reportDropped();
    }
    over = true;
    timer?.[Symbol.dispose]();
    stream.off("data", onData);
  };
}
