// Whether a mount is alive, judged by mount checks. A mount is treated as dead only after two failed checks, because
// replacing it loses its open files.
import { backOff, CONFIRM_AFTER_MS, NO_BACKOFF } from "../../reconcile/route-health.ts";
import type { FoundMount } from "../drivers/mount-driver.ts";
import { isDeadErrno, isLocalErrno, SILENT_CHECK_MS } from "./decide-routes.ts";
import { type ConditionDraft, type DecisionBuilder, recheckAt, setState } from "./decision-builder.ts";
import type { MountObservation } from "./share-observation.ts";

/** After a mount has lasted this long, ms, the next mount is made without a pause. */
const STEADY_MS = 10_000;

export type MountVerdict =
  | { readonly state: "alive" }
  /** It is not known yet whether the mount is alive. */
  | { readonly state: "unproven" }
  | { readonly state: "dead"; readonly reason: string };

const UNPROVEN: MountVerdict = { state: "unproven" };

export function judgeMount(builder: DecisionBuilder, { found, check }: MountObservation): MountVerdict {
  if (found.processGone) return { state: "dead", reason: "the mount's process is gone" };
  // While the relay delays logins or connections, a check that needs a new connection waits or fails, although open
  // connections work.
  const { relayed, guarded } = builder.observed.mount ?? {};
  const limit = (relayed ?? guarded)?.limit ?? null;
  const isShut = (builder.observed.login?.refusedAs ?? null) !== null;
  switch (check.state) {
    case "never":
      return UNPROVEN;
    case "pending":
      if (isShut || (limit !== null && limit.waiting > 0)) return UNPROVEN;
      return judgePending(builder, found, check.startedAtMs);
    case "answered": {
      if (check.errno === "ENOTCONN") return { state: "dead", reason: "ENOTCONN" };
      if (isDeadErrno(check.errno) && (isShut || limit !== null)) return UNPROVEN;
      if (isDeadErrno(check.errno)) return judgeFailed(builder, check.errno ?? "", check.startedAtMs);
      if (isLocalErrno(check.errno)) return UNPROVEN;
      if (builder.state.firstFailedCheck !== null) setState(builder, { firstFailedCheck: null });
      if (builder.state.answeredMount !== found.id) setState(builder, { answeredMount: found.id });
      if (check.errno !== null) {
        builder.conditions.push({
          code: "mount_denied",
          severity: "warning",
          title: `The mount at ${found.path} answers ${check.errno}: reading it is not permitted`,
          hint: "Check the rights of this user on the share; on macOS allow access to network volumes in Privacy & Security.",
        });
      }
      return { state: "alive" };
    }
  }
}

function judgePending(builder: DecisionBuilder, found: FoundMount, startedAtMs: number): MountVerdict {
  const { atMs } = builder.observed;
  const { mountHangMs } = builder.policy;
  const before = builder.state.pendingCheck;
  const seenAtMs = before?.startedAtMs === startedAtMs ? before.seenAtMs : atMs;
  if (seenAtMs === atMs) setState(builder, { pendingCheck: { startedAtMs, seenAtMs } });
  const waited = atMs - startedAtMs;
  if (mayWaitForPermission(builder, found.id)) {
    if (waited >= SILENT_CHECK_MS) builder.conditions.push(waitingForPermission(found.path));
    return UNPROVEN;
  }
  const deadAtMs = Math.max(startedAtMs + mountHangMs, seenAtMs + CONFIRM_AFTER_MS);
  if (atMs >= deadAtMs) return { state: "dead", reason: `no answer for ${mountHangMs / 1000} s` };
  recheckAt(builder, deadAtMs);
  if (waited >= SILENT_CHECK_MS) {
    builder.conditions.push({
      code: "mount_slow",
      severity: "warning",
      title: "The mount does not answer",
      hint: `It is taken for dead after ${mountHangMs / 1000} s (mount_hang_secs).`,
    });
  }
  return UNPROVEN;
}

/**
 * Returns true if a check of this mount may be waiting for a person's permission. A mount that this process made and
 * that has answered once has the permission.
 */
function mayWaitForPermission(
  { mayWaitForPermission = false, state }: DecisionBuilder,
  mountId: string,
): boolean {
  return mayWaitForPermission && !(state.madeMount === mountId && state.answeredMount === mountId);
}

function waitingForPermission(path: string): ConditionDraft {
  return {
    code: "waiting_for_permission",
    severity: "warning",
    title: `The mount at ${path} does not answer: macOS may be waiting for your permission`,
    hint: "Answer the dialog that asks for access to network volumes. If there is none: `mountaineer unmount --force`, then `mountaineer mount`.",
  };
}

function judgeFailed(builder: DecisionBuilder, errno: string, startedAtMs: number): MountVerdict {
  const first = builder.state.firstFailedCheck;
  if (first === null) {
    setState(builder, { firstFailedCheck: { startedAtMs } });
    recheckAt(builder, startedAtMs + CONFIRM_AFTER_MS);
    return UNPROVEN;
  }
  const confirmAtMs = first.startedAtMs + CONFIRM_AFTER_MS;
  if (startedAtMs >= confirmAtMs) return { state: "dead", reason: errno };
  // The newest check is still the first failed one. An immediate cycle would see the same check again, so the next
  // cycle is planned for later.
  const { atMs } = builder.observed;
  recheckAt(builder, confirmAtMs > atMs ? confirmAtMs : atMs + CONFIRM_AFTER_MS);
  return UNPROVEN;
}

/** Ends the pauses between mounts once a mount has lasted. */
export function settleBackoff(builder: DecisionBuilder): void {
  const { mountedAtMs } = builder.state;
  if (mountedAtMs !== null && builder.observed.atMs - mountedAtMs < STEADY_MS) return;
  setState(builder, { mountBackoff: NO_BACKOFF });
}

/**
 * The first mount that dies soon after it was made is replaced at once, later ones at increasing intervals (backoff).
 */
export function updateShortLife(builder: DecisionBuilder, mountId: string): void {
  const { shortLived, mountedAtMs, mountBackoff } = builder.state;
  const { atMs } = builder.observed;
  if (mountedAtMs === null || atMs - mountedAtMs >= STEADY_MS || shortLived === mountId) return;
  setState(builder, {
    shortLived: mountId,
    mountBackoff:
      mountBackoff.failures === 0 ? { failures: 1, notBeforeMs: atMs } : backOff(mountBackoff, atMs),
  });
}
