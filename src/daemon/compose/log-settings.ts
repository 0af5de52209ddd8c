// Where the log goes and how much of it, for the daemon and for a command.
import { join } from "node:path";
import type { LogLevel } from "../../runtime/log/log.ts";
import { startLog } from "../../runtime/log/log-file.ts";
import { systemClock } from "../../runtime/time/clock.ts";

type Environment = Readonly<Record<string, string | undefined>>;

interface LogPlace {
  readonly home: string;
  readonly userHome: string;
  readonly environment: Environment;
  /** Default: this machine's. */
  readonly platform?: NodeJS.Platform;
}

/** In the home when `$MOUNTAINEER_HOME` is set, else where the system keeps logs. */
export function logFilePath({ home, userHome, environment, platform = process.platform }: LogPlace): string {
  if (environment["MOUNTAINEER_HOME"]) return join(home, "mountaineer.log");
  if (platform === "darwin") return join(userHome, "Library", "Logs", "mountaineer.log");
  const stateHome = environment["XDG_STATE_HOME"] || join(userHome, ".local", "state");
  return join(stateHome, "mountaineer", "mountaineer.log");
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** `MOUNTAINEER_LOG`, else "info"; a word it does not know is "info" too. */
export function logLevel(environment: Environment): LogLevel {
  const wanted = environment["MOUNTAINEER_LOG"]?.toLowerCase();
  return LEVELS.find((level) => level === wanted) ?? "info";
}

/** In the file of the home that the command changes; null: one that only looks writes none. */
export function startCommandLog(place: Omit<LogPlace, "environment"> | null) {
  const environment = process.env;
  const level = logLevel(environment);
  const filePath = place === null ? null : logFilePath({ ...place, environment });
  return startLog({ filePath, stderr: level === "debug", level, clock: systemClock });
}
