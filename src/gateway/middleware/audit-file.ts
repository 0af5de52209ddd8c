// Owns the audit's file: lines on their way to it, rotation by size, and what is known of a disk that does not take
// them. A request never waits for it.
import { stat } from "node:fs/promises";
import type { AuditConfig } from "../../config/snapshot.ts";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { createLineQueue } from "../../runtime/log/line-queue.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { createFileTarget, type FileTarget, rotateFile } from "../../runtime/log/log-targets.ts";
import { type Clock, isoTime, settledWithin } from "../../runtime/time/clock.ts";
import type { AuditRecord } from "./audit.ts";
import type { RefusalRecord } from "./refusal-audit.ts";

const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
const MAX_QUEUED_LINES = 10_000;
const FLUSH_MS = 2_000;
const NEWLINE = 0x0a;

export type AuditFileState =
  | { readonly kind: "writing" }
  | {
      readonly kind: "failing";
      readonly reason: string;
      /** Wall ms. */
      readonly sinceMs: number;
      /** Lines that found no room while they could not be written. */
      readonly dropped: number;
    };

export interface AuditFile extends AsyncDisposable {
  /** Never throws, never waits. */
  write(record: AuditRecord | RefusalRecord): void;
  readonly state: AuditFileState;
}

interface AuditFileOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** `state` is another one. */
  readonly onState?: () => void;
}

interface Failure {
  readonly reason: string;
  readonly sinceMs: number;
}

/**
 * Appends to the file (0600; its folder is made, 0700), follows it when it is moved away, and rotates it to `path.1` …
 * `path.keep` before it would grow beyond its size. A disk that refuses is tried again, after 0.5 s at first and 30 s
 * at most, and has cost no line until 10,000 or 8 MiB wait. Disposal writes what waits, for 2 s at most.
 */
export function startAuditFile(
  config: Pick<AuditConfig, "path" | "maxSizeBytes" | "keep">,
  { clock, logger, onState = () => {} }: AuditFileOptions,
): AuditFile {
  const { path } = config;
  const file = createFileTarget(path, clock, null);
  let waitingBytes = 0;
  let waitingLines = 0;
  let failure: Failure | null = null;
  let dropped = 0;

  const fail = (reason: string): void => {
    if (failure !== null) return;
    failure = { reason, sinceMs: clock.wallMs() };
    logger.error("the audit cannot be written", { path, error: reason });
    onState();
  };
  const succeed = (): void => {
    if (failure === null) return;
    const lost = dropped;
    const { sinceMs } = failure;
    failure = null;
    dropped = 0;
    logger.info("the audit is written again", { path, dropped: lost });
    if (lost > 0)
      enqueue(JSON.stringify({ time: isoTime(clock.wallMs()), dropped: lost, since: isoTime(sinceMs) }));
    onState();
  };
  const target = {
    async write(bytes: Buffer, offset: number): Promise<number> {
      try {
        const next = await writeWithin(file, config, bytes, offset);
        if (next > offset) {
          waitingBytes -= next - offset;
          waitingLines -= countLines(bytes, offset, next);
          succeed();
        } else if (next < offset) {
          // Its first part went into a file that is gone: it waits again.
          waitingBytes += offset - next;
          waitingLines += countLines(bytes, next, offset);
        }
        return next;
      } catch (error) {
        fail(reasonOf(error));
        throw error;
      }
    },
  };
  const queue = createLineQueue({
    clock,
    target,
    // Lines are refused here before the queue would throw older ones away, so that each lost one is counted.
    maxBytes: 2 * MAX_QUEUED_BYTES,
    onFailure: () => {},
    droppedLine: (count) => `${JSON.stringify({ time: isoTime(clock.wallMs()), dropped: count })}\n`,
    flushMs: FLUSH_MS,
  });
  const enqueue = (text: string): void => {
    const line = `${text}\n`;
    waitingBytes += Buffer.byteLength(line);
    waitingLines++;
    queue.append("info", line);
  };
  let ending: Promise<void> | null = null;
  const end = async (): Promise<void> => {
    await queue[Symbol.asyncDispose]();
    // Closing waits for a write in flight, and that may hang with its disk.
    await settledWithin(clock, FLUSH_MS, Promise.allSettled([file[Symbol.asyncDispose]()]));
  };
  return {
    write(record) {
      if (ending !== null) return;
      if (waitingLines >= MAX_QUEUED_LINES || waitingBytes >= MAX_QUEUED_BYTES) {
        dropped++;
        fail("the disk does not keep up");
        return;
      }
      enqueue(JSON.stringify(record));
    },
    get state(): AuditFileState {
      return failure === null ? { kind: "writing" } : { kind: "failing", ...failure, dropped };
    },
    [Symbol.asyncDispose]() {
      ending ??= end();
      return ending;
    },
  };
}

function reasonOf(error: unknown): string {
  switch (systemErrorCode(error)) {
    case "ENOSPC":
      return "no space left on the disk";
    case "EAGAIN":
      return "the pipe is full, and nobody reads it";
    default:
      return errorText(error);
  }
}

/** Writes whole lines as far as the file has room for them, and rotates it when it has none. */
async function writeWithin(
  file: FileTarget,
  config: Pick<AuditConfig, "path" | "maxSizeBytes" | "keep">,
  bytes: Buffer,
  offset: number,
): Promise<number> {
  const isMidLine = offset > 0 && bytes[offset - 1] !== NEWLINE;
  if (isMidLine) return file.write(bytes.subarray(0, lineEnd(bytes, offset)), offset);
  const size = await sizeOf(config.path);
  const firstEnd = lineEnd(bytes, offset);
  if (size > 0 && size + firstEnd - offset > config.maxSizeBytes) {
    await rotateFile(config.path, config.keep);
    await file.reopen();
    return offset;
  }
  const room = Math.max(0, config.maxSizeBytes - size);
  const fitting = bytes.lastIndexOf(NEWLINE, Math.min(bytes.length, offset + room) - 1) + 1;
  // A line longer than the file may be is written all the same, alone.
  return file.write(bytes.subarray(0, Math.max(fitting, firstEnd)), offset);
}

function lineEnd(bytes: Buffer, from: number): number {
  const newline = bytes.indexOf(NEWLINE, from);
  return newline === -1 ? bytes.length : newline + 1;
}

function countLines(bytes: Buffer, from: number, to: number): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE, from); at !== -1 && at < to; at = bytes.indexOf(NEWLINE, at + 1))
    count++;
  return count;
}

/** 0 for what is no plain file: a pipe or a device is never rotated. */
async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : 0;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return 0;
    throw error;
  }
}
