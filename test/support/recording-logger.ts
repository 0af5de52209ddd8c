// A logger that keeps its lines for tests to look at.
import type { LogFields, Logger, LogLevel } from "../../src/runtime/log/log.ts";

export interface RecordedLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

export interface RecordingLogger extends Logger {
  readonly lines: readonly RecordedLine[];
}

export function createRecordingLogger(): RecordingLogger {
  const lines: RecordedLine[] = [];
  const keep =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      lines.push({ level, message, fields });
    };
  return { lines, debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") };
}
