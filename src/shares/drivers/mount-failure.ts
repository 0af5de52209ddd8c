// The outcomes of failed mounts and unmounts, and the proof of a new mount.

import { whenAborted } from "../../runtime/abort.ts";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { escapedText } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountCheck, Prober } from "../prober/prober.ts";
import type { RouteName, ShareSpec } from "../share-spec.ts";
import { sourceOf } from "../smb-source.ts";
import type { FoundMount, MountFailure, MountOutcome, UnmountOutcome } from "./mount-driver.ts";

/**
 * What an error number of a mounting program means. `text`: such as "the user or the password is wrong". `hint`: what the
 * person can do about it; absent if the text says it all.
 */
export type FailureRow = readonly [reason: MountFailure, text: string, hint?: string];

export type Failed = Extract<MountOutcome, { ok: false }>;

export function failed(reason: MountFailure, text: string): Failed {
  return { ok: false, reason, text };
}

/** Turns a row of a table into a failure. `output`: the program's own words or number; "" if it said nothing. */
export function failedAs([reason, text, hint]: FailureRow, output: string): Failed {
  return failed(
    reason,
    `${text}${output === "" ? "" : ` (${output})`}${hint === undefined ? "" : `; ${hint}`}`,
  );
}

/** By the codes of mountaineer-fs; any other one is `other`. */
const REASONS = new Map<string, MountFailure>([
  ["logon_failure", "wrong_credentials"],
  ["logon_held", "wrong_credentials"],
  ["no_share", "no_such_share"],
  ["no_answer", "unreachable"],
  ["access_denied", "permission_denied"],
  ["other_server", "different_server"],
  ["fuse", "driver_unavailable"],
]);

/** Turns what mountaineer-fs says into a failure. */
export function failedByProgram({ code, text }: { readonly code: string; readonly text: string }): Failed {
  return failed(REASONS.get(code) ?? "other", text);
}

/** Turns an error into a failure. In the failure's text, `…` replaces `secret`. */
export function failedBy(error: unknown, secret: string | null): Failed {
  return failed(reasonOf(error), withoutSecret(errorText(error), secret));
}

export function reasonOf(error: unknown): MountFailure {
  const code = systemErrorCode(error);
  return code === "EACCES" || code === "EPERM" || code === "EROFS" ? "permission_denied" : "other";
}

export function withoutSecret(text: string, secret: string | null): string {
  return secret === null || secret === "" ? text : text.replaceAll(secret, "…");
}

/** The failure of a mount over a route, with the route's source and a hint for people. */
export function failedToMount(
  { routes, shareName, password }: Pick<ShareSpec, "routes" | "shareName" | "password">,
  route: RouteName,
  { reason, text }: Pick<Failed, "reason" | "text">,
): Failed {
  const other = shareName.normalize(shareName === shareName.normalize("NFC") ? "NFD" : "NFC");
  const isOtherForm = reason === "no_such_share" && other !== shareName;
  const hint = `; it may be there in the other Unicode form: share_name = "${escapedText(other)}"`;
  const why = `${withoutSecret(text, password)}${isOtherForm ? hint : ""}`;
  return failed(reason, `${sourceOf(routes[route], shareName)}: ${why}`);
}

export function unmountFailed(text: string): UnmountOutcome {
  return { ok: false, reason: "failed", text };
}

/** Gives a failed unmount a better text if the mount is busy only because our own check hangs in it. */
export function orHanging(
  prober: Prober,
  { id }: Pick<FoundMount, "id">,
  outcome: UnmountOutcome,
): UnmountOutcome {
  const isHanging = !outcome.ok && outcome.reason === "busy" && prober.lastCheck(id).state === "pending";
  return isHanging ? { ...outcome, text: "the mount does not answer, --force unmounts it" } : outcome;
}

type NewMount = Pick<FoundMount, "id" | "path">;

/** Checks a new mount; the check may take `waitMs`. null: the step was cancelled. */
export function checkNewMount(
  prober: Prober,
  { id, path }: NewMount,
  waitMs: number,
  signal: AbortSignal,
): Promise<MountCheck | null> {
  return Promise.race([prober.checkMount(id, path, waitMs), whenAborted(signal).then(() => null)]);
}

interface ListingLimits {
  /** Monotonic ms. */
  readonly untilMs: number;
  readonly signal: AbortSignal;
  /** If the listing fails with one of these error codes, the mount still counts as proved. */
  readonly tolerated?: readonly string[];
}

/**
 * Returns why a mount is not proved; null if it is proved. Only a listing of the mount's root proves that the mount
 * shows a share.
 */
export async function whyNotListed(
  { clock, prober }: { readonly clock: Clock; readonly prober: Prober },
  mount: NewMount,
  { untilMs, signal, tolerated = [] }: ListingLimits,
): Promise<Failed | null> {
  const check = await checkNewMount(prober, mount, untilMs - clock.monotonicMs(), signal);
  if (check === null) return failed("other", "cancelled");
  if (check.state !== "answered") return failed("timed_out", "the share did not list in time");
  if (check.errno === null || tolerated.includes(check.errno)) return null;
  return failed("other", `the share does not list (${check.errno})`);
}
