// The audit's file: a bounded queue of lines, rotation by size, and retries while the disk takes no lines. Requests never
// wait for it.
import { stat } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import type { AuditConfig } from "../../config/snapshot.ts";
import { errorText, recoverFrom, systemErrorCode } from "../../runtime/errors.ts";
import { createLineQueue } from "../../runtime/log/line-queue.ts";
import { createFileTarget, type FileTarget, rotateFile } from "../../runtime/log/log-targets.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { printableJson } from "../../runtime/text/plain-text.ts";
import { isoTime, settlesWithin } from "../../runtime/time/clock.ts";
import type { AuditRecord, NoticeRecord } from "./audit.ts";
import type { RefusalRecord } from "./refusal-audit.ts";

const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
const MAX_QUEUED_LINES = 10_000;
const FLUSH_MS = 2_000;
const NEWLINE = 0x0a;
/** How often the file's size is read from disk while the file is far from full. */
const SIZE_CHECK_MS = 1_000;
const FAR_FROM_FULL = 0.9;

interface Failing {
  readonly kind: "failing";
  readonly reason: string;
  /** Wall ms. */
  readonly sinceMs: number;
  /** Number of lines lost because the queue was full. */
  readonly dropped: number;
}

export type AuditFileState = { readonly kind: "writing" } | Failing;

interface AuditFileOptions extends RuntimeTools {
  /** False while another process may rotate the file, since only one may do so. Default: true. */
  readonly rotates?: (() => boolean) | undefined;
}

type FileConfig = Pick<AuditConfig, "path" | "maxSizeBytes" | "keep">;

/**
 * Appends to the file (mode 0600; creates its folder with 0700), reopens it after it was moved away, and rotates it to
 * `path.1` … `path.keep` before it exceeds its size. Failed writes are retried after 0.5 s to 30 s; lines are lost only
 * beyond 10,000 or 8 MiB. Disposal writes the queued lines, for at most 2 s.
 */
export class AuditFile implements AsyncDisposable {
  state: AuditFileState = { kind: "writing" };
  readonly #config: FileConfig;
  readonly #options: AuditFileOptions;
  readonly #file: FileTarget;
  readonly #queue: ReturnType<typeof createLineQueue>;
  /** The file's size when it was last read from disk, plus the bytes written since. */
  #size: { bytes: number; readonly checkedMs: number } | null = null;
  #waitingBytes = 0;
  #waitingLines = 0;
  #ending: Promise<void> | null = null;

  constructor(config: FileConfig, options: AuditFileOptions) {
    const { clock } = options;
    this.#config = config;
    this.#options = options;
    this.#file = createFileTarget(config.path, clock, null);
    this.#queue = createLineQueue({
      clock,
      target: { write: (bytes, offset) => this.#writeBytes(bytes, offset) },
      // Never reached: `write` refuses lines earlier, to count each lost line.
      maxBytes: 2 * MAX_QUEUED_BYTES,
      onFailure: () => {},
      droppedLine: (count) => `${JSON.stringify({ time: isoTime(clock.wallMs()), dropped: count })}\n`,
      // Under load, many calls end in one turn of the event loop: their lines are written together.
      gather: () => setImmediate(),
      flushMs: FLUSH_MS,
    });
  }

  /** Never throws, never waits. */
  write(record: AuditRecord | RefusalRecord | NoticeRecord): void {
    if (this.#ending !== null) return;
    if (this.#waitingLines < MAX_QUEUED_LINES && this.#waitingBytes < MAX_QUEUED_BYTES) {
      this.#enqueue(printableJson(JSON.stringify(record)));
      return;
    }
    const { dropped, ...failure } = this.#fail("the disk does not keep up");
    this.state = { ...failure, dropped: dropped + 1 };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  #fail(reason: string): Failing {
    if (this.state.kind === "failing") return this.state;
    const { clock, logger } = this.#options;
    logger.error("the audit cannot be written", { path: this.#config.path, error: reason });
    const failing: Failing = { kind: "failing", reason, sinceMs: clock.wallMs(), dropped: 0 };
    this.state = failing;
    return failing;
  }

  #succeed(): void {
    if (this.state.kind === "writing") return;
    const { clock, logger } = this.#options;
    const { dropped, sinceMs } = this.state;
    this.state = { kind: "writing" };
    logger.info("the audit is written again", { path: this.#config.path, dropped });
    if (dropped === 0) return;
    this.#enqueue(JSON.stringify({ time: isoTime(clock.wallMs()), dropped, since: isoTime(sinceMs) }));
  }

  #enqueue(text: string): void {
    const line = `${text}\n`;
    this.#waitingBytes += Buffer.byteLength(line);
    this.#waitingLines++;
    this.#queue.append("info", line);
  }

  async #writeBytes(bytes: Buffer, offset: number): Promise<number> {
    try {
      const size = await this.#sizeBefore(bytes.length - offset);
      const rotates = this.#options.rotates?.() ?? true;
      const next = rotates
        ? await writeWithin(this.#file, this.#config, bytes, offset, size)
        : await this.#file.write(bytes, offset);
      // If the first part of a line went into a file that is gone, the whole line is queued again. `addedBytes` is
      // then negative, and no lines are subtracted.
      const addedBytes = next - offset;
      this.#waitingBytes -= addedBytes;
      this.#waitingLines -= countLines(bytes, offset, next);
      if (addedBytes > 0) {
        if (this.#size !== null) this.#size.bytes += addedBytes;
        this.#succeed();
      }
      return next;
    } catch (error) {
      this.#fail(reasonOf(error));
      throw error;
    }
  }

  async #sizeBefore(addedBytes: number): Promise<number> {
    const { maxSizeBytes, path } = this.#config;
    const nowMs = this.#options.clock.monotonicMs();
    const isFresh = this.#size !== null && nowMs - this.#size.checkedMs < SIZE_CHECK_MS;
    if (this.#size === null || !isFresh || this.#size.bytes + addedBytes > maxSizeBytes * FAR_FROM_FULL) {
      this.#size = { bytes: await sizeOf(path), checkedMs: nowMs };
    }
    return this.#size.bytes;
  }

  async #end(): Promise<void> {
    await this.#queue[Symbol.asyncDispose]();
    // Closing waits for a write in flight, which may hang with the disk.
    const closed = Promise.allSettled([this.#file[Symbol.asyncDispose]()]);
    await settlesWithin(this.#options.clock, FLUSH_MS, closed);
  }
}

function reasonOf(error: unknown): string {
  switch (systemErrorCode(error)) {
    case "ENOSPC":
      return "no space left on the disk";
    case "EAGAIN":
      return "the pipe is full, and no program reads it";
    default:
      return errorText(error);
  }
}

/** Writes as many whole lines as fit into the file. If not even one line fits, rotates the file instead. */
async function writeWithin(
  file: FileTarget,
  config: FileConfig,
  bytes: Buffer,
  offset: number,
  size: number,
): Promise<number> {
  const isMidLine = offset > 0 && bytes[offset - 1] !== NEWLINE;
  if (isMidLine) return file.write(bytes.subarray(0, lineEnd(bytes, offset)), offset);
  const firstEnd = lineEnd(bytes, offset);
  if (size > 0 && size + firstEnd - offset > config.maxSizeBytes) {
    await rotateFile(config.path, config.keep);
    await file.reopen();
    return offset;
  }
  const space = config.maxSizeBytes - size;
  const fitting = bytes.lastIndexOf(NEWLINE, Math.min(bytes.length, offset + space) - 1) + 1;
  // A line that is longer than the file's limit is written separately.
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

/** 0 for a pipe or a device, which is never rotated. */
async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(recoverFrom("ENOENT", null));
  return found?.isFile() ? found.size : 0;
}
