// The types of the log: a record has a constant message, and variables as fields.

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<
  Record<string, string | number | boolean | null | undefined | readonly string[]>
>;

export interface LogRecord {
  /** ISO 8601 UTC. */
  readonly time: string;
  readonly level: LogLevel;
  /** Constant; never contains a variable. */
  readonly message: string;
  readonly fields: LogFields;
}

export type Logger = Readonly<Record<LogLevel, (message: string, fields?: LogFields) => void>>;

export const noopLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
