// Converts errors to HTTP statuses and bodies, and back.
import { ERROR_CODES, type ErrorCode, errorText, MountaineerError } from "../../runtime/errors.ts";

// All other codes are 500: the request was valid, and the operation failed.
const CODES: Readonly<Record<number, readonly ErrorCode[]>> = {
  400: ["usage", "protocol", "config_key_unknown"],
  401: ["not_signed_in"],
  403: ["permission_denied", "commands_refused", "owner_only"],
  404: [
    "share_unknown",
    "alias_unknown",
    "path_unknown",
    "backend_unknown",
    "tool_unknown",
    "history_unknown",
    "secret_unknown",
  ],
  409: [
    "config_changed",
    "fleet_off",
    "share_busy",
    "gateway_off",
    "listen_failed",
    "path_taken",
    "already_running",
    "lock_held",
  ],
  422: ["config_invalid", "config_uneditable", "too_many_values"],
  502: ["tool_failed"],
  503: ["share_unavailable", "daemon_unreachable"],
  504: ["timed_out"],
};

export function httpStatusOf(error: unknown): number {
  const found = Object.entries(CODES).find(
    ([, codes]) => error instanceof MountaineerError && codes.includes(error.code),
  );
  return Number(found?.[0] ?? 500);
}

/** The body of every answer that is not a 200. Anything that is not a MountaineerError is `internal`. */
export function errorBody(error: unknown) {
  if (error instanceof MountaineerError) {
    return { error: { code: error.code, message: error.message, hint: error.hint } };
  }
  return { error: { code: "internal", message: errorText(error), hint: "the daemon's log has more" } };
}

/** Returns null if the body is not an error of ours. */
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

/** Makes the error `commands_refused`. `why`: a sentence without the full stop. */
export function commandsRefused(why: string): MountaineerError {
  return new MountaineerError("commands_refused", why, {
    hint: "do it on that machine, or set [server.management].allow_commands = true there",
  });
}
