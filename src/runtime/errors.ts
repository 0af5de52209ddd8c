// The project's error type, and the table of its codes (exit codes: docs/reference/cli.md).

/** Whether a retry may help: "never" (the input is wrong), "later" (a transient failure), "now". */
type Retry = "never" | "later" | "now";

/** All error codes, each with the exit code of a command that fails with it. */
export const ERROR_CODES = {
  usage: { exit: 2 },
  config_invalid: { exit: 3 },
  config_unreadable: { exit: 3 },
  config_ambiguous: { exit: 3 },
  config_cut_short: { exit: 3 },
  config_key_unknown: { exit: 2 },
  config_changed: { exit: 9 },
  config_uneditable: { exit: 3 },
  config_unwritable: { exit: 6 },
  entry_unknown: { exit: 2 },
  history_unknown: { exit: 2 },
  already_running: { exit: 4 },
  handover_failed: { exit: 1 },
  lock_held: { exit: 4 },
  state_newer: { exit: 5 },
  home_unwritable: { exit: 6 },
  home_lost: { exit: 6 },
  home_moved: { exit: 6 },
  backup_refused: { exit: 3 },
  open_to_others: { exit: 6 },
  share_unknown: { exit: 2 },
  alias_unknown: { exit: 2 },
  share_unavailable: { exit: 1 },
  path_unknown: { exit: 1 },
  share_busy: { exit: 7 },
  mount_failed: { exit: 1 },
  unmount_failed: { exit: 1 },
  path_taken: { exit: 1 },
  driver_unavailable: { exit: 1 },
  program_unavailable: { exit: 1 },
  registry_failed: { exit: 1 },
  program_refused: { exit: 1 },
  client_unreadable: { exit: 3 },
  backend_unknown: { exit: 2 },
  group_unknown: { exit: 2 },
  tool_unknown: { exit: 2 },
  tool_failed: { exit: 1 },
  secret_unknown: { exit: 2 },
  secret_unavailable: { exit: 1 },
  sign_in_failed: { exit: 1 },
  fleet_unreachable: { exit: 1 },
  gateway_off: { exit: 1 },
  fleet_off: { exit: 1 },
  listen_failed: { exit: 1 },
  permission_denied: { exit: 1 },
  not_signed_in: { exit: 1 },
  owner_only: { exit: 1 },
  commands_refused: { exit: 1 },
  timed_out: { exit: 1 },
  aborted: { exit: 130 },
  daemon_unreachable: { exit: 8 },
  protocol: { exit: 1 },
  too_many_values: { exit: 1 },
  internal: { exit: 70 },
} as const satisfies Record<string, { exit: number }>;

export type ErrorCode = keyof typeof ERROR_CODES;

interface ErrorDetails {
  /** What the user can do about the error; null or absent: nothing is known. */
  hint?: string | null | undefined;
  cause?: unknown;
  /** Default "never". */
  retry?: Retry;
}

const NAME = "MountaineerError";

/** An error with a code for programs, and a message and a hint for people. */
export class MountaineerError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | null;
  readonly retry: Retry;

  /** A script of the build and the modules that it loads later each have their own copy of this class. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === NAME;
  }

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = NAME;
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

/** An error of ours or of the system, not a bug. */
export function isExpectedError(error: unknown): boolean {
  return isOwnError(error) || isSystemError(error);
}

/** For `catch`: returns `instead` for an expected error, given by its code or a predicate; rethrows all others. */
export function recoverFrom<Value = undefined>(
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

/** Returns what `read` returns; `otherwise` if it throws. */
export function valueOr<Value, Otherwise>(read: () => Value, otherwise: Otherwise): Value | Otherwise {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
