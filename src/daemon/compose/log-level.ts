// The level of the log.
import type { LogLevel } from "../../runtime/log/log.ts";

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** `MOUNTAINEER_LOG`, else "info"; a word it does not know is "info" too. */
export function logLevel(environment: Readonly<Record<string, string | undefined>>): LogLevel {
  const wanted = environment["MOUNTAINEER_LOG"]?.toLowerCase();
  return LEVELS.find((level) => level === wanted) ?? "info";
}
