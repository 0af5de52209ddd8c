// The fact about a mount: whether the engine may replace it, and whether programs can use it now. Pure: equal
// input gives an equal fact, however often it is asked for.
import { CONFIRM_AFTER_MS } from "../../reconcile/route-health.ts";
import type { FoundMount } from "../drivers/mount-driver.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import { isDeadErrno, isLocalErrno, SILENT_CHECK_MS } from "./mount-errno.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import type { MountObservation } from "./share-observation.ts";

/** Whether the engine may replace the mount: only two failed checks prove that it is dead, because its open files are lost. */
export type MountVerdict =
  | { readonly state: "alive" }
  /** It is not known yet whether the mount is alive. */
  | { readonly state: "unproven"; readonly why: Unproven }
  | { readonly state: "dead"; readonly reason: string };

/** Why it is not known whether a mount is alive, in words. */
export const UNPROVEN = {
  unchecked: "the mount was not checked yet",
  pending: "a check of the mount has no answer yet",
  no_route: "a check proves nothing before the route answers",
  shortage: "the check failed for a shortage on this machine",
  failed: "one check of the mount failed; a second one decides",
  silent: "neither its program nor the mount answers",
} as const;

export type Unproven = keyof typeof UNPROVEN;

/** What a program that uses the mount now would experience. */
export type MountUse =
  | { readonly state: "usable" }
  | { readonly state: "unusable"; readonly why: keyof typeof UNUSABLE };

/** Why programs cannot use a mount now, in words. */
export const UNUSABLE = {
  unchecked: "it was not checked yet",
  no_answer: "its mount does not answer",
  waiting: "programs wait for a route",
  route_gone: "the route in use is gone",
} as const;

export interface MountFact {
  readonly verdict: MountVerdict;
  readonly use: MountUse;
  /** What the next decision needs to know about these checks. */
  readonly learned: Partial<Learned>;
  /** When the next check is due, monotonic ms; null: at the regular time. */
  readonly recheckAtMs: number | null;
  readonly condition: ConditionDraft | null;
}

type Learned = Pick<ReconcileState, "firstFailedCheck" | "pendingCheck" | "answeredMount">;
type Input = Pick<DecideInput, "observed" | "policy" | "mayWaitForPermission" | "state">;
type Judgement = Omit<MountFact, "use">;

const USABLE: MountUse = { state: "usable" };

export function mountFact(input: Input, mount: MountObservation): MountFact {
  const judgement = judge(input, mount);
  return { ...judgement, use: assessUse(input, mount, judgement.verdict) };
}

function judgement(verdict: MountVerdict, more: Partial<Judgement> = {}): Judgement {
  return { verdict, learned: {}, recheckAtMs: null, condition: null, ...more };
}

function unproven(why: Unproven, more: Partial<Judgement> = {}): Judgement {
  return judgement({ state: "unproven", why }, more);
}

const dead = (reason: string): Judgement => judgement({ state: "dead", reason });

function judge(input: Input, mount: MountObservation): Judgement {
  return mount.found.processGone ? dead("the mount's process is gone") : judgeCheck(input, mount);
}

function judgeCheck(input: Input, mount: MountObservation): Judgement {
  const { found, check } = mount;
  switch (check.state) {
    case "never":
      return unproven("unchecked");
    case "pending":
      return judgePending(input, found, check.startedAtMs);
    case "answered": {
      const { errno, startedAtMs } = check;
      if (errno === "ENOTCONN") return dead(errno);
      if (isDeadErrno(errno)) return judgeFailed(input, errno ?? "", startedAtMs);
      if (isLocalErrno(errno)) return unproven("shortage");
      const learned = { firstFailedCheck: null, answeredMount: found.id };
      return judgement(
        { state: "alive" },
        { learned, condition: errno === null ? null : SHARE_CONDITIONS.mount_denied(found.path, errno) },
      );
    }
  }
}

function judgePending(input: Input, found: FoundMount, startedAtMs: number): Judgement {
  const { atMs } = input.observed;
  const { mountHangMs } = input.policy;
  const before = input.state.pendingCheck;
  const noticedAtMs = before?.startedAtMs === startedAtMs ? before.noticedAtMs : atMs;
  const learned = { pendingCheck: { startedAtMs, noticedAtMs } };
  const isSlow = atMs - startedAtMs >= SILENT_CHECK_MS;
  if (mayWaitForPermission(input, found.id))
    return unproven("pending", {
      learned,
      condition: isSlow ? SHARE_CONDITIONS.waiting_for_permission(found.path) : null,
    });
  const deadAtMs = Math.max(startedAtMs + mountHangMs, noticedAtMs + CONFIRM_AFTER_MS);
  if (atMs >= deadAtMs) return { ...dead(`no answer for ${mountHangMs / 1000} s`), learned };
  const condition = isSlow ? SHARE_CONDITIONS.mount_slow(mountHangMs) : null;
  return unproven("pending", { learned, recheckAtMs: deadAtMs, condition });
}

/** A mount that this process made and that has answered once has the permission. */
function mayWaitForPermission({ mayWaitForPermission = false, state }: Input, mountId: string): boolean {
  return mayWaitForPermission && !(state.madeMount === mountId && state.answeredMount === mountId);
}

function judgeFailed({ observed, state }: Input, errno: string, startedAtMs: number): Judgement {
  const first = state.firstFailedCheck;
  if (first === null) {
    const learned = { firstFailedCheck: { startedAtMs } };
    return unproven("failed", { learned, recheckAtMs: startedAtMs + CONFIRM_AFTER_MS });
  }
  const confirmAtMs = first.startedAtMs + CONFIRM_AFTER_MS;
  if (startedAtMs >= confirmAtMs) return dead(errno);
  // The newest check is still the first failed one. An immediate cycle would see the same check again, so the next
  // cycle is planned for later.
  const { atMs } = observed;
  return unproven("failed", { recheckAtMs: confirmAtMs > atMs ? confirmAtMs : atMs + CONFIRM_AFTER_MS });
}

/** A single failed check does not count: programs continue, and the next check may succeed. */
function assessUse({ observed }: Input, { found, check }: MountObservation, verdict: MountVerdict): MountUse {
  if (verdict.state === "dead") return unusable("no_answer");
  // Calls on a mount whose route is gone may hang for long before they fail.
  if (found.route !== null && observed.routes[found.route].probe.verdict === "gone")
    return unusable("route_gone");
  if (check.state === "never") return unusable("unchecked");
  const isSilent = check.state === "pending" && observed.atMs - check.startedAtMs >= SILENT_CHECK_MS;
  return isSilent ? unusable("no_answer") : USABLE;
}

const unusable = (why: keyof typeof UNUSABLE): MountUse => ({ state: "unusable", why });
