// The path of the log file.
import { join } from "node:path";

interface LogPlace {
  readonly home: string;
  readonly userHome: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
}

/** In the home when `$MOUNTAINEER_HOME` is set, else where the system keeps logs. */
export function logFilePath({ home, userHome, environment, platform }: LogPlace): string {
  if (environment["MOUNTAINEER_HOME"]) return join(home, "mountaineer.log");
  if (platform === "darwin") return join(userHome, "Library", "Logs", "mountaineer.log");
  const stateHome = environment["XDG_STATE_HOME"] || join(userHome, ".local", "state");
  return join(stateHome, "mountaineer", "mountaineer.log");
}
