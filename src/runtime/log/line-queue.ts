// The queue of log lines before they are written: bounded, in batches, one write at a time. Logging never waits; lines
// that cannot be written are kept while there is room and tried again.
import { type Clock, settledWithin } from "../time/clock.ts";
import type { LogLevel } from "./log.ts";

const BATCH_BYTES = 64 * 1024;
/** How far a full queue is emptied at once, so that a sweep is rare. */
const SWEEP_TO = 0.75;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/**
 * What is dropped first when there is no room: the oldest lines of these levels, in this order, then the oldest of all.
 */
const DROPPED_FIRST: readonly (readonly LogLevel[])[] = [["debug"], ["info"], ["warn", "error"]];

export interface LineTarget {
  /**
   * Writes some of `bytes` from `offset` on and resolves with the new offset. It may go back to the start of a line if
   * what it wrote is lost.
   */
  write(bytes: Buffer, offset: number): Promise<number>;
}

interface LineQueueOptions {
  readonly clock: Clock;
  readonly target: LineTarget;
  readonly maxBytes: number;
  /** The first failure of a run of them; the write is tried again. */
  readonly onFailure: (error: unknown) => void;
  /** A line that says how many were dropped since the last such line. */
  readonly droppedLine: (count: number) => string;
  /** What the first line of a batch waits for, so that others join it; default: the end of the current turn. */
  readonly gather?: () => Promise<void>;
  /** How long disposal waits for what is queued, ms. */
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
  const work: (() => Promise<void>)[] = [];

  const sweep = (): void => {
    const kept = sweptLines(lines, queuedBytes - maxBytes * SWEEP_TO);
    dropped += lines.length - kept.length;
    lines = kept;
    queuedBytes = kept.reduce((sum, { bytes }) => sum + bytes.length, 0);
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
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** failures, MAX_RETRY_MS);
    failures++;
    try {
      await clock.sleep(delayMs, ending.signal);
    } catch {
      // Ending: one more try, at once.
    }
  };
  const pump = async (): Promise<void> => {
    // In a later microtask, so that lines logged in one go are one batch.
    await (options.gather?.() ?? null);
    for (;;) {
      for (const piece of work.splice(0)) await piece();
      if (batch === null) {
        batch = takeBatch();
        offset = 0;
      }
      if (batch === null) {
        if (work.length > 0) continue;
        // In the same turn as the check of the queue, so that no line is missed between the two.
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
    /** Does something to the target when no write is in flight. Never rejects. */
    between(piece: () => Promise<void>): Promise<void> {
      if (ending.signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        work.push(async () => {
          try {
            await piece();
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
      await settledWithin(clock, options.flushMs, pumping);
      closed = true;
    },
  };
}

/** The lines that are left after dropping at least `surplusBytes` of those that matter least. */
function sweptLines(lines: readonly QueuedLine[], surplusBytes: number): QueuedLine[] {
  let surplus = surplusBytes;
  let kept = [...lines];
  for (const levels of DROPPED_FIRST) {
    kept = kept.filter(({ level, bytes }) => {
      if (surplus <= 0 || !levels.includes(level)) return true;
      surplus -= bytes.length;
      return false;
    });
  }
  return kept;
}

/** How many lines are written at once: at least one. */
function batchLength(lines: readonly QueuedLine[]): number {
  let bytes = 0;
  const end = lines.findIndex((line, index) => {
    bytes += line.bytes.length;
    return index > 0 && bytes > BATCH_BYTES;
  });
  return end === -1 ? lines.length : end;
}
