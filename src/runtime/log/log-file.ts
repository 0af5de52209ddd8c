// The daemon's log: JSON lines in a file, and readable lines on stderr. Logging never waits.
import { isatty } from "node:tty";
import { errorText } from "../errors.ts";
import { type Clock, isoTime, settlesWithin } from "../time/clock.ts";
import { createLineQueue, type LineQueue } from "./line-queue.ts";
import type { LogFields, Logger, LogLevel, LogRecord } from "./log.ts";
import { jsonLine, LOG_LEVELS, readableLine } from "./log-lines.ts";
import { createRedaction, type Redaction } from "./log-redaction.ts";
import { createFileTarget, createStderrTarget } from "./log-targets.ts";

const MAX_QUEUED_BYTES = 1024 * 1024;
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const FLUSH_MS = 1_000;

interface LogOptions {
  readonly filePath: string | null;
  /** Writes records to stderr as well. Failures of the log file are reported on stderr in any case. */
  readonly stderr: boolean;
  readonly level: LogLevel;
  readonly clock: Clock;
  /** At this size the file is renamed to `PATH.1`, which replaces an older one. Default 16 MiB. */
  readonly maxFileBytes?: number;
  /** Whether a missing folder of the file is made. Default true. */
  readonly makesFolder?: boolean;
}

/**
 * Logging never throws and never waits. A failed write is reported once on stderr and retried. A full queue drops debug and
 * info lines first, and logs their number. A file that was rotated away is replaced within a second. Disposal writes the
 * queued lines, for a second at most.
 */
export function startLog(options: LogOptions) {
  const { clock, filePath, maxFileBytes = MAX_FILE_BYTES, makesFolder } = options;
  const redaction = createRedaction();
  const leastRank = LOG_LEVELS.indexOf(options.level);
  const colour = isatty(2) && (process.env["NO_COLOR"] ?? "") === "";

  const record = (level: LogLevel, message: string, fields: LogFields): LogRecord => ({
    time: isoTime(clock.wallMs()),
    level,
    message: redaction.clean(message),
    fields: cleanFields(fields, redaction),
  });
  const dropped = (count: number): LogRecord => record("warn", "log lines were dropped", { count });

  const limits = { clock, maxBytes: MAX_QUEUED_BYTES, flushMs: FLUSH_MS };
  const stderrTarget = createStderrTarget(clock);
  const stderrQueue = createLineQueue({
    ...limits,
    target: stderrTarget,
    onFailure: () => {},
    droppedLine: (count) => readableLine(dropped(count), colour),
  });
  const toStderr = (entry: LogRecord): void => stderrQueue.append(entry.level, readableLine(entry, colour));

  const fileTarget = filePath === null ? null : createFileTarget(filePath, clock, maxFileBytes, makesFolder);
  const fileQueue: LineQueue | null =
    fileTarget === null
      ? null
      : createLineQueue({
          ...limits,
          target: fileTarget,
          onFailure: (error) =>
            toStderr(
              record("error", "the log file cannot be written", { path: filePath, error: errorText(error) }),
            ),
          droppedLine: (count) => jsonLine(dropped(count)),
        });

  const writer =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (LOG_LEVELS.indexOf(level) < leastRank) return;
      const entry = record(level, message, fields);
      fileQueue?.append(level, jsonLine(entry));
      if (options.stderr) toStderr(entry);
    };
  const logger: Logger = {
    debug: writer("debug"),
    info: writer("info"),
    warn: writer("warn"),
    error: writer("error"),
  };
  return {
    logger,
    /** Removes this text, in every encoding, from all later records. */
    redact: redaction.redact,
    /** Closes the file, and opens the file that is now at the path, as after a rotation. Never rejects. */
    async reopen(): Promise<void> {
      if (fileTarget !== null) await fileQueue?.between(() => fileTarget.reopen());
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await fileQueue?.[Symbol.asyncDispose]();
      await stderrQueue[Symbol.asyncDispose]();
      // Bounded, because closing waits for a write in flight, which may hang with its disk.
      const closing = [fileTarget?.[Symbol.asyncDispose](), stderrTarget[Symbol.asyncDispose]()];
      await settlesWithin(clock, FLUSH_MS, Promise.allSettled(closing));
    },
  };
}

/** The fields whose values name something of the configuration, or are our own codes. */
const NAMES =
  /^(?:backend|share|key|keys|code|path|host|route|from|to|tool|group|alias|nas|section|machine|cwd|command|client|profile|reason_code)$/;

function cleanFields(fields: LogFields, { clean, cleanName }: Redaction): LogFields {
  const entries = Object.entries(fields).map(([name, value]) => {
    const cleanValue = NAMES.test(name) ? cleanName : clean;
    if (typeof value === "string") return [cleanName(name), cleanValue(value)] as const;
    const isList = typeof value === "object" && value !== null;
    return [cleanName(name), isList ? value.map((one) => cleanValue(one)) : value] as const;
  });
  return Object.fromEntries(entries);
}
