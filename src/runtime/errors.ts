// The project's error type, and the table of its codes (listed in docs/troubleshooting.md).

/** Whether a retry may help: "never" (the input is wrong), "later" (a transient failure), "now". */
type Retry = "never" | "later" | "now";

/** All error codes, each with the exit code of a command that fails with it. */
export const ERROR_CODES = {
  usage: { exit: 2, means: "the command line is not understood" },
  config_invalid: { exit: 3, means: "the configuration has mistakes; every one is listed" },
  config_unreadable: { exit: 3, means: "the configuration file cannot be read" },
  config_ambiguous: { exit: 3, means: "two configuration files exist in one home" },
  config_cut_short: {
    exit: 3,
    means: "the configuration file was written in place and looks like half a file; it waits for a person",
  },
  config_key_unknown: { exit: 2, means: "the configuration has no key of that name" },
  config_changed: { exit: 9, means: "the configuration file changed meanwhile; nothing was written" },
  config_uneditable: {
    exit: 3,
    means: "the file's layout does not allow this change; nothing was written",
  },
  config_unwritable: { exit: 6, means: "the configuration file cannot be written" },
  entry_unknown: { exit: 2, means: "no entry of that name waits for approval" },
  history_unknown: { exit: 2, means: "the configuration's history has no such entry" },
  already_running: { exit: 4, means: "another monitor already runs for this home" },
  handover_failed: { exit: 1, means: "the new daemon does not take over; the old one continues" },
  lock_held: { exit: 4, means: "another command is changing this home and did not finish in time" },
  state_newer: { exit: 5, means: "state.json was written by a newer version; it is left untouched" },
  home_unwritable: { exit: 6, means: "the home folder cannot be created or written" },
  home_lost: { exit: 6, means: "the home was moved or removed while the daemon ran" },
  open_to_others: {
    exit: 6,
    means: "others may write the home, the configuration or the secrets, or read a plain-text secret",
  },
  share_unknown: { exit: 2, means: "no share of that name is configured" },
  alias_unknown: { exit: 2, means: "no alias of that name is configured" },
  share_unavailable: { exit: 1, means: "the share is not mounted, or its mount does not answer" },
  path_unknown: { exit: 1, means: "the share has no such folder" },
  share_busy: { exit: 7, means: "files are open or unsent; nothing was changed" },
  mount_failed: { exit: 1, means: "a mount did not come up" },
  unmount_failed: { exit: 1, means: "a mount did not go away" },
  path_taken: { exit: 1, means: "something else is at the path" },
  driver_unavailable: { exit: 1, means: "the machine lacks what the driver needs" },
  program_unavailable: { exit: 1, means: "a required program cannot be started" },
  registry_failed: { exit: 1, means: "the registry of MCP servers did not answer as needed" },
  rclone_refused: {
    exit: 1,
    means: "rclone's release was not installed: it is not available, or not the pinned one",
  },
  upgrade_refused: {
    exit: 1,
    means: "the upgrade was refused; the old version is still the current one",
  },
  client_unreadable: {
    exit: 3,
    means: "another program's file cannot be read or written, or has changed",
  },
  backend_unknown: { exit: 2, means: "no backend of that name is configured" },
  group_unknown: { exit: 2, means: "no group of that name is configured" },
  tool_unknown: { exit: 2, means: "no tool of that name is published" },
  tool_failed: { exit: 1, means: "the tool answered with an error" },
  secret_unknown: { exit: 2, means: "no secret of that name is stored" },
  secret_unavailable: { exit: 1, means: "a secret cannot be stored or read" },
  sign_in_failed: { exit: 1, means: "signing in to a backend's server failed" },
  fleet_server_failed: {
    exit: 1,
    means: "the fleet's NATS server does not start, or refuses a request",
  },
  fleet_unreachable: { exit: 1, means: "the fleet's NATS server cannot be reached" },
  join_refused: { exit: 1, means: "the fleet did not let this machine in; nothing was changed" },
  gateway_off: { exit: 1, means: "no gateway runs: neither a backend nor [server] is configured" },
  fleet_off: { exit: 1, means: "this machine is in no fleet: [fleet] is not configured" },
  listen_failed: { exit: 1, means: "the gateway cannot listen at its address" },
  permission_denied: { exit: 1, means: "the system refused access" },
  not_signed_in: { exit: 1, means: "the daemon's address needs a token, or a link of `mountaineer open`" },
  owner_only: { exit: 1, means: "only possible on the machine itself, never over HTTP" },
  commands_refused: {
    exit: 1,
    means: "over HTTP, changes that need approval are refused unless `allow_commands` is set",
  },
  timed_out: { exit: 1, means: "the deadline passed before an answer came" },
  aborted: { exit: 130, means: "the operation was cancelled" },
  daemon_unreachable: { exit: 8, means: "the daemon does not answer on its socket" },
  protocol: { exit: 1, means: "the other side broke the protocol" },
  too_many_values: { exit: 1, means: "a message has more values than are read" },
  internal: { exit: 70, means: "a bug in Mountaineer; please report it" },
} as const satisfies Record<string, { exit: number; means: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;

interface ErrorDetails {
  /** What the user can do about the error; null or absent: nothing is known. */
  hint?: string | null | undefined;
  cause?: unknown;
  /** Default "never". */
  retry?: Retry;
}

/** An error with a code for programs, and a message and a hint for people. */
export class MountaineerError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | null;
  readonly retry: Retry;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "MountaineerError";
    this.code = code;
    this.hint = details.hint ?? null;
    this.retry = details.retry ?? "never";
  }
}

/** The `code` of a system error (`"ENOENT"`), or null for anything else. */
export function systemErrorCode(error: unknown): string | null {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return null;
}

export function isSystemError(error: unknown): boolean {
  return systemErrorCode(error) !== null;
}

export function isOwnError(error: unknown): boolean {
  return error instanceof MountaineerError;
}

/** For `catch`: returns `instead` for an expected error, given by its system code or a predicate; rethrows all others. */
export function expecting<Value = undefined>(
  expected: string | readonly string[] | ((error: unknown) => boolean),
  instead?: Value,
): (error: unknown) => Value {
  return (error) => {
    const isExpected =
      typeof expected === "function"
        ? expected(error)
        : [expected].flat().includes(systemErrorCode(error) ?? "");
    if (!isExpected) throw error;
    return instead as Value;
  };
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
