// What the newest step of a cycle has changed: the operation continues, tries the next route, or ends.
import { backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import type { DecideInput } from "./decide-input.ts";
import { hostOf } from "./hosts.ts";
import { finishArrived, finishFound, pausedMounts, stopOperation } from "./operation-end.ts";
import { updateMoved } from "./operation-move.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import type { MountObservation, MountStepObservation, UnmountStepObservation } from "./share-observation.ts";
import { announce, type Situation, setError, setState } from "./situation.ts";

export function updateLastStep(now: Situation): Situation {
  const { lastStep } = now.observed;
  switch (lastStep?.kind) {
    case "mount":
      return updateMounted(now, lastStep);
    case "unmount":
      return updateUnmounted(now, lastStep);
    case "move":
      return updateMoved(now, lastStep);
    default:
      return now;
  }
}

function updateMounted(before: Situation, last: MountStepObservation): Situation {
  const { operation } = before.state;
  const { mount, atMs } = before.observed;
  const { route } = last.step;
  const text = last.outcome.ok ? whyUseless(mount) : last.outcome.text;
  if (text === null && mount !== null) {
    const now = setState(before, {
      ...{ mountedAtMs: atMs, hasNewLogin: false },
      ...{ loginRefused: null, otherServer: null },
    });
    if (operation === null) return now;
    // A mount that was there already counts as this operation's success only if it is over the wanted route.
    return last.outcome.ok && last.outcome.adopted && mount.found.route !== route
      ? finishFound(now, operation, mount)
      : finishArrived(now, operation, mount.moving ? (mount.found.route ?? route) : route);
  }
  const host = hostOf(before, route);
  const reason = text ?? "";
  const duration_ms = Math.round(last.tookMs);
  const failed = { name: "share.mount_failed", route, host, reason, duration_ms } as const;
  const now = announce(setState(before, { ...refusalIn(last), hasNewLogin: false }), failed);
  if (operation === null) return now;
  const failures = [...operation.failures, `${host}: ${reason}`];
  // Its program has tried all routes, and a login that was refused over one route would be over another.
  const isOver =
    last.step.moves === true || (!last.outcome.ok && last.outcome.reason === "wrong_credentials");
  const plan = isOver ? [] : operation.plan.slice(1);
  return setState(now, { operation: { ...operation, plan, failures } });
}

/** What the server's answer to a mount that failed says about the login, and about the server. */
function refusalIn({ outcome }: MountStepObservation): Pick<ReconcileState, "loginRefused" | "otherServer"> {
  const reason = outcome.ok ? null : outcome.reason;
  const text = outcome.ok ? "" : outcome.text;
  return {
    loginRefused: reason === "wrong_credentials" ? text : null,
    otherServer: reason === "different_server" ? text : null,
  };
}

/**
 * Returns why a mount that succeeded counts as failed, so that it is not repeated without a pause: it ended at once.
 * null: the mount counts as a success.
 */
function whyUseless(mount: MountObservation | null): string | null {
  if (mount === null) return "the mount vanished as soon as it was made";
  return mount.found.processGone ? "the mount's process ended as soon as it was mounted" : null;
}

const UNMOUNTED: Partial<ReconcileState> = {
  announcedBusy: false,
  announcedOpenFiles: null,
  stopRequested: false,
  stopBackoff: NO_BACKOFF,
};

function updateUnmounted(before: Situation, last: UnmountStepObservation): Situation {
  const failure = unmountFailure(before, last);
  if (failure !== null) return updateNotUnmounted(before, last, failure);
  const { operation } = before.state;
  const files = operation?.interrupted ?? null;
  const forced = last.step.mode === "force";
  return announce(setState(before, UNMOUNTED), {
    name: "share.unmounted",
    from: last.step.mount.route ?? "unknown",
    forced,
    reason: operation?.reason ?? before.memory.lastError ?? "",
    duration_ms: Math.round(last.tookMs),
    open_files: files === null || files.state === "unknown" ? null : files.holders.length,
  });
}

interface UnmountFailure {
  readonly busy: boolean;
  readonly text: string;
}

/** Why an unmount failed; null: it worked. The mount table decides, whatever the step reported. */
function unmountFailure(
  { observed }: DecideInput,
  { step, outcome }: UnmountStepObservation,
): UnmountFailure | null {
  const isThere = observed.mount?.found.id === step.mount.id;
  if (outcome.ok) return isThere ? { busy: false, text: "it is still in the mount table" } : null;
  if (!isThere) return null;
  // EBUSY in answer to a forced unmount is a failure, and no reason to wait for open files.
  return { busy: outcome.reason === "busy" && step.mode === "plain", text: outcome.text };
}

function updateNotUnmounted(
  before: Situation,
  { step, tookMs }: UnmountStepObservation,
  { busy, text: reason }: UnmountFailure,
): Situation {
  const { request, observed, state } = before;
  const from = step.mount.route ?? "unknown";
  const duration_ms = Math.round(tookMs);
  let now = setState(before, { announcedBusy: busy });
  // EBUSY without a visible open file recurs in each cycle, but is announced only once.
  if (!busy || !state.announcedBusy)
    now = announce(now, { name: "share.unmount_failed", from, reason, duration_ms, busy });
  if (state.stopRequested) {
    const stopBackoff = backOff(state.stopBackoff, observed.atMs);
    now = setState(now, { stopRequested: false, stopBackoff });
  }
  const { operation } = state;
  if (operation === null) return now;
  const isByForce = (request?.kind === "unmount" || request?.kind === "switch") && request.force;
  // A person asked for --force, and the plain unmount failed: the holder cannot be seen, or the server is gone.
  if (operation.mode === "plain" && operation.isRequested && isByForce)
    return setState(now, { operation: { ...operation, mode: "force" } });
  if (!busy) {
    now = setState(now, pausedMounts(now));
    // A recovery that could not unmount leaves the share mounted and working.
    if (operation.kind !== "recovery") now = setError(now, `unmount failed: ${reason}`);
  }
  return stopOperation(now, operation, reason, busy);
}
