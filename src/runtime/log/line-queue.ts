// A bounded queue of log lines, written in batches, one write at a time. Logging never waits: failed lines stay in the queue
// while it has room, and are retried.
import { backoffMs } from "../time/backoff.ts";
import { type Clock, settlesWithin } from "../time/clock.ts";
import type { LogLevel } from "./log.ts";

const BATCH_BYTES = 64 * 1024;
/** A full queue is reduced to this part of its limit, so that it is seldom full again at once. */
const SWEEP_TO = 0.75;
const RETRY_MS = { first: 500, most: 30_000 };
/** The order in which a full queue drops lines: by level, and the oldest first. */
const DROPPED_FIRST: readonly (readonly LogLevel[])[] = [["debug"], ["info"], ["warn", "error"]];

export interface LineTarget {
  /**
   * Writes a part of `bytes` from `offset` on, and resolves with the new offset. The new offset may be smaller: the start of
   * a line that must be written again.
   */
  write(bytes: Buffer, offset: number): Promise<number>;
}

interface LineQueueOptions {
  readonly clock: Clock;
  readonly target: LineTarget;
  readonly maxBytes: number;
  /** Called at the first of consecutive failures; the write is retried. */
  readonly onFailure: (error: unknown) => void;
  /** Returns a line that reports `count` dropped lines. */
  readonly droppedLine: (count: number) => string;
  /**
   * Delays the first line of a batch, so that others join it; default: until the end of the current turn of
   * the event loop.
   */
  readonly gather?: () => Promise<void>;
  /** How long disposal waits for queued lines, ms. */
  readonly flushMs: number;
}

export type LineQueue = ReturnType<typeof createLineQueue>;

interface QueuedLine {
  readonly level: LogLevel;
  readonly bytes: Buffer;
}

export function createLineQueue(options: LineQueueOptions) {
  const { clock, target, maxBytes } = options;
  const ending = new AbortController();
  let lines: QueuedLine[] = [];
  let queuedBytes = 0;
  let dropped = 0;
  let batch: Buffer | null = null;
  let offset = 0;
  let failures = 0;
  let pumping: Promise<void> | null = null;
  let closed = false;
  const tasks: (() => Promise<void>)[] = [];

  const sweep = (): void => {
    const remaining = sweptLines(lines, queuedBytes - maxBytes * SWEEP_TO);
    dropped += lines.length - remaining.length;
    lines = remaining;
    queuedBytes = remaining.reduce((sum, { bytes }) => sum + bytes.length, 0);
  };
  const takeBatch = (): Buffer | null => {
    const taken = lines.splice(0, batchLength(lines)).map((line) => line.bytes);
    for (const { length } of taken) queuedBytes -= length;
    if (dropped > 0) {
      taken.unshift(Buffer.from(options.droppedLine(dropped)));
      dropped = 0;
    }
    return taken.length === 0 ? null : Buffer.concat(taken);
  };
  const pauseAfter = async (error: unknown): Promise<void> => {
    if (failures === 0) options.onFailure(error);
    failures++;
    try {
      await clock.sleep(backoffMs(RETRY_MS, failures), ending.signal);
    } catch {
      // Disposal began, so the next try follows at once.
    }
  };
  const pump = async (): Promise<void> => {
    // Awaits at least one microtask, so that lines of one turn of the event loop form one batch.
    await (options.gather?.() ?? null);
    for (;;) {
      for (const task of tasks.splice(0)) await task();
      if (batch === null) {
        batch = takeBatch();
        offset = 0;
      }
      if (batch === null) {
        if (tasks.length > 0) continue;
        // Reset in the turn of the event loop in which the queue was found empty, so that no line is added in
        // between.
        pumping = null;
        return;
      }
      try {
        offset = await target.write(batch, offset);
        failures = 0;
        if (offset >= batch.length) batch = null;
      } catch (error) {
        if (ending.signal.aborted) {
          if (failures === 0) options.onFailure(error);
          return;
        }
        await pauseAfter(error);
      }
      if (closed) return;
    }
  };

  return {
    append(level: LogLevel, line: string): void {
      if (ending.signal.aborted) return;
      const bytes = Buffer.from(line);
      lines.push({ level, bytes });
      queuedBytes += bytes.length;
      if (queuedBytes > maxBytes) sweep();
      pumping ??= pump();
    },
    /** Runs `task` between two writes. Never rejects. */
    between(task: () => Promise<void>): Promise<void> {
      if (ending.signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        tasks.push(async () => {
          try {
            await task();
          } catch (error) {
            options.onFailure(error);
          }
          resolve();
        });
        pumping ??= pump();
      });
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      if (pumping === null) return;
      await settlesWithin(clock, options.flushMs, pumping);
      closed = true;
    },
  };
}

/** Returns `lines` without the least important ones. The removed lines have at least `surplusBytes` together. */
function sweptLines(lines: readonly QueuedLine[], surplusBytes: number): QueuedLine[] {
  let surplus = surplusBytes;
  let remaining = [...lines];
  for (const levels of DROPPED_FIRST) {
    remaining = remaining.filter(({ level, bytes }) => {
      if (surplus <= 0 || !levels.includes(level)) return true;
      surplus -= bytes.length;
      return false;
    });
  }
  return remaining;
}

function batchLength(lines: readonly QueuedLine[]): number {
  let bytes = 0;
  const end = lines.findIndex((line, index) => {
    bytes += line.bytes.length;
    return index > 0 && bytes > BATCH_BYTES;
  });
  return end === -1 ? lines.length : end;
}
