// The log's file and level, for the daemon and for commands.
import { join } from "node:path";
import { isUsualHome } from "../../config/values/paths.ts";
import type { LogLevel } from "../../runtime/log/log.ts";
import { startLog } from "../../runtime/log/log-file.ts";
import { systemClock } from "../../runtime/time/clock.ts";

type Environment = Readonly<Record<string, string | undefined>>;

interface LogLocation {
  readonly home: string;
  readonly userHome: string;
  readonly environment: Environment;
  /** Default: the platform this process runs on. */
  readonly platform?: NodeJS.Platform;
}

/** The path of the log: in the system's folder for logs, or in a home that is not the usual one. */
export function logFilePath({
  home,
  userHome,
  environment,
  platform = process.platform,
}: LogLocation): string {
  if (!isUsualHome({ home, userHome })) return join(home, "mountaineer.log");
  if (platform === "darwin") return join(userHome, "Library", "Logs", "mountaineer.log");
  const stateHome = environment["XDG_STATE_HOME"] || join(userHome, ".local", "state");
  return join(stateHome, "mountaineer", "mountaineer.log");
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** The level that `MOUNTAINEER_LOG` names; "info" if it is unset or unknown. */
export function logLevel(environment: Environment): LogLevel {
  const wanted = environment["MOUNTAINEER_LOG"]?.toLowerCase();
  return LEVELS.find((level) => level === wanted) ?? "info";
}

/**
 * Starts the log of a command. `location`: the home that the command changes, whose log file it writes; null:
 * the command only reads, and writes no log file.
 */
export function startCommandLog(location: Omit<LogLocation, "environment"> | null) {
  const environment = process.env;
  const level = logLevel(environment);
  const filePath = location === null ? null : logFilePath({ ...location, environment });
  return startLog({ filePath, stderr: level === "debug", level, clock: systemClock });
}
