// Converts errors to HTTP statuses and bodies, and back.
import { ERROR_CODES, type ErrorCode, errorText, MountaineerError } from "../runtime/errors.ts";

/** The body of every answer that is not a 200. */
interface ErrorBody {
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string | null };
}

// All other codes are 500: the request was valid, and the operation failed.
const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  usage: 400,
  protocol: 400,
  permission_denied: 403,
  commands_refused: 403,
  owner_only: 403,
  not_signed_in: 401,
  config_key_unknown: 400,
  share_unknown: 404,
  alias_unknown: 404,
  path_unknown: 404,
  share_unavailable: 503,
  backend_unknown: 404,
  tool_unknown: 404,
  history_unknown: 404,
  secret_unknown: 404,
  config_changed: 409,
  fleet_off: 409,
  config_invalid: 422,
  config_uneditable: 422,
  share_busy: 409,
  gateway_off: 409,
  listen_failed: 409,
  path_taken: 409,
  already_running: 409,
  lock_held: 409,
  tool_failed: 502,
  daemon_unreachable: 503,
  timed_out: 504,
};

/** Every status that an error can have. */
export const ERROR_STATUSES: readonly number[] = [...new Set([...Object.values(STATUS_OF), 500])];

export function httpStatusOf(error: unknown): number {
  return (error instanceof MountaineerError ? STATUS_OF[error.code] : undefined) ?? 500;
}

/** Anything that is not a MountaineerError is `internal`. */
export function errorBody(error: unknown): ErrorBody {
  if (error instanceof MountaineerError) {
    return { error: { code: error.code, message: error.message, hint: error.hint } };
  }
  return { error: { code: "internal", message: errorText(error), hint: "the daemon's log has more" } };
}

/** null: the body is not an error of ours. */
export function errorFromBody(body: unknown): MountaineerError | null {
  if (typeof body !== "object" || body === null || !("error" in body)) return null;
  const { error } = body;
  if (typeof error !== "object" || error === null || !("code" in error) || !("message" in error)) return null;
  const { code, message } = error;
  if (typeof message !== "string" || !isErrorCode(code)) return null;
  const hint = "hint" in error && typeof error.hint === "string" ? error.hint : null;
  return new MountaineerError(code, message, { hint });
}

function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERROR_CODES, value);
}

/** `why`: a sentence without the full stop. */
export function commandsRefused(why: string): MountaineerError {
  return new MountaineerError("commands_refused", why, {
    hint: "do it on that machine, or set [server.management].allow_commands = true there",
  });
}
