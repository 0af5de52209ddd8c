// Owns reading from rclone's log why a mount does not work; rclone tells it nowhere else.
import type { MountFailure } from "./mount-driver.ts";

export interface LoggedFailure {
  readonly reason: MountFailure;
  /** One line for people. */
  readonly text: string;
}

const PATTERNS: readonly (readonly [MountFailure, RegExp])[] = [
  [
    "wrong_credentials",
    /logon is invalid|logon failure|bad username|\b(account|password|user)\b.*\b(expired|locked|disabled|restrict|must be changed)/i,
  ],
  ["no_such_share", /network name not found|share name cannot be found|bad network name/i],
  ["refused", /connection refused/i],
  ["unreachable", /no route to host|network is unreachable|host is (down|unreachable)|no such host/i],
  ["timed_out", /i\/o timeout|deadline exceeded|connection timed out/i],
  ["permission_denied", /access.?denied|permission denied|operation not permitted/i],
];

/** The newest line that tells a reason, else the newest failure of any kind; null when nothing failed. */
export function readLoggedFailure(log: string): LoggedFailure | null {
  const lines = log.split("\n").filter((line) => /\b(ERROR|CRITICAL|Fatal|Failed)\b|fusermount/.test(line));
  for (const line of lines.reverse()) {
    const known = PATTERNS.find(([, pattern]) => pattern.test(line));
    if (known !== undefined) return { reason: known[0], text: told(line) };
  }
  const [newest] = lines;
  return newest === undefined ? null : { reason: "other", text: told(newest) };
}

/** Without time, level and the words that wrap what the server said. */
function told(line: string): string {
  return line
    .replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /, "")
    .replace(/^(ERROR|CRITICAL|NOTICE)\s*:\s*/, "")
    .replace(/^.*?(IO error|Fatal error): /, "")
    .replace(
      /^(couldn't (connect|initialize) SMB|(response|connection) error): ((response|connection) error: )?/,
      "",
    )
    .trim()
    .slice(0, 300);
}
