// Finds in rclone's log why a mount does not work; rclone reports it nowhere else.
import type { MountFailure, RefusedUpload } from "../mount-driver.ts";

interface LogFailure {
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

/**
 * Finds the newest line that names a reason; without one, the newest failure of any kind. null: nothing
 * failed.
 */
export function readLogFailure(log: string): LogFailure | null {
  const lines = log.split("\n").filter((line) => /\b(ERROR|CRITICAL|Fatal|Failed)\b|fusermount/.test(line));
  for (const line of lines.reverse()) {
    const known = PATTERNS.find(([, pattern]) => pattern.test(line));
    if (known !== undefined) return { reason: known[0], text: messageOf(line) };
  }
  const [newest] = lines;
  return newest === undefined ? null : { reason: "other", text: messageOf(newest) };
}

/** Takes the server's message out of a line, without the time, the level and rclone's own words. */
function messageOf(line: string): string {
  return line
    .replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /, "")
    .replace(/^(ERROR|CRITICAL|NOTICE)\s*:\s*/, "")
    .replace(/^.*?(IO error|Fatal error|error in ListJSON): /, "")
    .replace(
      /^(couldn't (connect|initialize) SMB|(response|connection) error): ((response|connection) error: )?/,
      "",
    )
    .trim()
    .slice(0, 300);
}

/**
 * Messages about a route that is dead or slow, or leads elsewhere: such a failure is temporary, and has
 * nothing to do with the file.
 */
const ROUTE_TROUBLE =
  /couldn't (connect|initialize) SMB|connection (error|refused|reset|timed out)|\bEOF\b|i\/o timeout|deadline exceeded|no route to host|unreachable|host is down|no such host|broken pipe|closed network connection|use of closed|context canceled/i;
const BAD_LOGIN = /logon is invalid|logon failure|bad username/i;

export function hasRouteTrouble(log: string): boolean {
  return log.split("\n").some((line) => line.includes(" ERROR : ") && ROUTE_TROUBLE.test(line));
}

/**
 * Returns the paths in the share of files that rclone cannot continue to send. rclone does not mount while such a file
 * exists.
 */
export function readStuckFiles(log: string): readonly string[] {
  const stuck = new Set<string>();
  for (const line of log.split("\n")) {
    const [, path, why] = / ERROR : (.+): vfs cache: restart download failed: (.*)$/.exec(line) ?? [];
    if (path !== undefined && why !== undefined && !ROUTE_TROUBLE.test(why)) stuck.add(path);
  }
  return [...stuck];
}

/**
 * Messages about an upload that a lost connection broke off, or whose file has been renamed: the next try usually
 * succeeds.
 */
const PASSING = /\.partial: file does not exist|delete pending|object not found/i;
const PASSING_TRIES = 2;

/**
 * Returns the upload that a line reports as failed; null if the line reports something else, or a temporary failure.
 */
export function readRefusedUpload(line: string): RefusedUpload | null {
  const [, path, tries, why] =
    / ERROR : (.+): vfs cache: failed to upload try #(\d+), will retry in \S+: (.*)$/.exec(line) ?? [];
  if (path === undefined || why === undefined) return null;
  if (Number(tries) <= PASSING_TRIES && PASSING.test(why)) return null;
  // For a wrong password, rclone also reports that it could not connect, but the route is not at fault.
  if (ROUTE_TROUBLE.test(why) && !BAD_LOGIN.test(why)) return null;
  const reason = why
    .replace(/^vfs cache: failed to transfer file from cache to remote: /, "")
    .replace(/^.*\b(response error|failed to open|mkdir)\b[^:]*: /, "")
    .replace(/^(open|write|create) .*: (?=[^:]+$)/, "");
  return { path, reason: reason.trim().slice(0, 200) };
}
