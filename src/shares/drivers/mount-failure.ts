// How drivers say that a mount failed, or an unmount.
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import type { Prober } from "../prober/prober.ts";
import type { FoundMount, MountFailure, MountOutcome, UnmountOutcome } from "./mount-driver.ts";

export type Failed = Extract<MountOutcome, { ok: false }>;

export function failed(reason: MountFailure, text: string): Failed {
  return { ok: false, reason, text };
}

/** `secret` is not shown. */
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

export function unmountFailed(text: string): UnmountOutcome {
  return { ok: false, reason: "failed", text };
}

/** The outcome for people: a busy mount may be held by our own look that waits in it. */
export function orHanging(
  prober: Prober,
  { id }: Pick<FoundMount, "id">,
  outcome: UnmountOutcome,
): UnmountOutcome {
  const isHanging = !outcome.ok && outcome.reason === "busy" && prober.lastLook(id).state === "pending";
  return isHanging ? { ...outcome, text: "the mount does not answer, --force unmounts it" } : outcome;
}
