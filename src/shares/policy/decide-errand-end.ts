// Owns how an errand ends: arrived, rolled back, exhausted, busy; and what a waiting person is told.
import { type Backoff, backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import type { RouteName } from "../share-spec.ts";
import {
  clearError,
  clearPending,
  type Draft,
  hostOf,
  setEpisode,
  setError,
  setHeld,
  setMemory,
} from "./draft.ts";
import type { Episode, Errand } from "./episode.ts";
import { outcome, type RequestOutcome } from "./share-request.ts";
import type { MountSeen } from "./share-seen.ts";

const SPOKEN: Record<RouteName, string> = { tb: "Thunderbolt", fallback: "fallback" };

export function spokenRoute(draft: Draft, route: RouteName): string {
  const { host } = draft.spec.routes[route];
  const where = hostOf(draft, route);
  return `${SPOKEN[route]} (${host === null ? where : `//${where}/${draft.spec.shareName}`})`;
}

/** A mount that is not this errand's doing is there: it is adopted, and the rules go on from it. */
export function finishFound(draft: Draft, errand: Errand, { found }: MountSeen): null {
  const { failures, goal } = errand;
  setEpisode(draft, {
    errand: null,
    // It may be what a failed mount left behind: without a pause that would be tried over and over.
    ...(failures.length > 0 ? { mountBackoff: backOff(draft.episode.mountBackoff, draft.seen.atMs) } : {}),
  });
  if (found.route !== "fallback") clearPending(draft, "mounted by someone else");
  if (failures.length > 0) setError(draft, failures.join("; "));
  if (draft.memory.held === "unmounted") setHeld(draft, null);
  if (!errand.asked) return null;
  const where = found.route === null ? `from ${found.source}` : `over ${spokenRoute(draft, found.route)}`;
  if (found.processGone || (goal !== null && goal !== found.route)) {
    draft.outcome = outcome("failed", [...failures, `found mounted ${where}`].join("; "));
    return null;
  }
  if (goal !== null) setHeld(draft, goal === "fallback" ? "fallback" : null);
  draft.outcome = outcome(errand.kind === "switch" ? "switched" : "mounted", `found mounted ${where}`);
  return null;
}

/** Something is mounted over `route` now, by this errand. */
export function finishArrived(draft: Draft, errand: Errand, route: RouteName): void {
  const missed = errand.goal !== null && errand.goal !== route;
  const failed = errand.failures.join("; ");
  announceArrival(draft, errand, route, missed);
  clearPending(draft, errand.moves ? "moved" : "mounted anew");
  const moved = errand.from !== route && (errand.from === "tb" || errand.from === "fallback");
  if (moved) setMemory(draft, { lastSwitchAt: draft.seen.wallMs });
  setEpisode(draft, { errand: null, ...recoveryPause(draft, errand, route) });
  // Mounted, if not where it was to be: that is told by the errand's end and by a condition.
  clearError(draft, "mounted");
  holdAfterArrival(draft, errand, route, missed);
  if (!errand.asked) return;
  if (missed) {
    draft.outcome = outcome("failed", `${failed}; back over ${spokenRoute(draft, route)}`);
  } else {
    const result = errand.kind === "switch" ? "switched" : "mounted";
    draft.outcome = outcome(result, `${result} over ${spokenRoute(draft, route)}`, cutOff(errand));
  }
}

function recoveryPause(
  draft: Draft,
  { kind, failures }: Errand,
  route: RouteName,
): Partial<Pick<Episode, "recoveryBackoff" | "recoveryFailure">> {
  if (route === "tb") return { recoveryBackoff: NO_BACKOFF, recoveryFailure: null };
  if (failures.length === 0 || kind === "failover") return {};
  // tb answers but does not mount: without a pause the next cycle would try it again, over and over.
  return { recoveryBackoff: pauseRecovery(draft), recoveryFailure: failures.join("; ") };
}

function holdAfterArrival(draft: Draft, errand: Errand, route: RouteName, missed: boolean): void {
  if (errand.kind === "switch") {
    if (!missed) setHeld(draft, route === "fallback" ? "fallback" : null);
  } else if (route === "tb" && draft.memory.held === "fallback") {
    setHeld(draft, null);
  }
  // Rolled back over what someone else had mounted: what is mounted by us now is not held unmounted.
  if (draft.memory.held === "unmounted") setHeld(draft, null);
}

function announceArrival(draft: Draft, errand: Errand, route: RouteName, missed: boolean): void {
  const duration_ms = Math.round(draft.seen.atMs - errand.startedAtMs);
  const moved = {
    from: errand.from,
    to: route,
    host: hostOf(draft, route),
    reason: errand.reason,
    duration_ms,
    ...movedBy(draft, errand),
  };
  const failed = errand.failures.join("; ");
  switch (errand.kind) {
    case "failover":
      draft.transitions.push({ name: "share.failover", ...moved });
      break;
    case "recovery":
      draft.transitions.push(
        missed
          ? { name: "share.recovery_failed", ...moved, reason: failed }
          : { name: "share.recovered", ...moved },
      );
      break;
    case "switch":
      draft.transitions.push(
        missed
          ? { name: "share.mounted", ...moved, reason: `rolled back: ${failed}` }
          : { name: "share.switched", ...moved },
      );
      break;
    case "remount":
      draft.transitions.push({ name: "share.remounted", ...moved });
      break;
    case "mount":
    case "unmount":
      draft.transitions.push({ name: "share.mounted", ...moved });
  }
}

function movedBy({ seen }: Draft, { moves }: Errand) {
  const { lastStep } = seen;
  if (!moves || lastStep?.kind !== "move" || !lastStep.outcome.ok) return {};
  const { quiet, connections } = lastStep.outcome;
  return { carried: true, quiet, connections } as const;
}

export function pauseRecovery(draft: Draft): Backoff {
  const backoff = backOff(draft.episode.recoveryBackoff, draft.seen.atMs);
  return { ...backoff, notBeforeMs: Math.max(backoff.notBeforeMs, draft.seen.atMs + draft.policy.stableMs) };
}

/** Nothing is mounted, as a person asked. */
export function finishUnmounted(draft: Draft, errand: Errand): null {
  setEpisode(draft, { errand: null });
  if (draft.request?.kind !== "unmount" || draft.request.hold) setHeld(draft, "unmounted");
  clearPending(draft, "unmounted");
  clearError(draft, "unmounted");
  if (errand.asked) {
    draft.outcome = outcome("unmounted", "unmounted", cutOff(errand));
  }
  return null;
}

/** What going on by force has cost. */
function cutOff({ mode, cost }: Errand): Pick<RequestOutcome, "holders" | "unsent"> {
  if (mode === "plain" || cost === null) return { holders: [], unsent: [] };
  return { holders: cost.holders, unsent: cost.unsent };
}

/** Every route of the plan failed: unmounted, and tried again with backoff. */
export function finishExhausted(draft: Draft, errand: Errand): null {
  const reason = errand.failures.join("; ");
  setEpisode(draft, { errand: null, mountBackoff: backOff(draft.episode.mountBackoff, draft.seen.atMs) });
  clearPending(draft, "unmounted");
  setError(draft, reason);
  if (errand.asked) draft.outcome = outcome("failed", reason);
  return null;
}

/** The errand ends with the mount still there. `busy`: files are open. */
export function stopErrand(draft: Draft, reason: string, busy = false): null {
  const { errand } = draft.episode;
  setEpisode(draft, { errand: null });
  if (errand === null) return null;
  if (errand.kind === "recovery") {
    if (busy) deferRecovery(draft, reason);
    else {
      setEpisode(draft, {
        tableReadWith: null,
        recoveryBackoff: pauseRecovery(draft),
        recoveryFailure: reason,
      });
    }
    return null;
  }
  if (errand.asked)
    draft.outcome = outcome(busy ? "busy" : "failed", reason, {
      holders: draft.seen.openFiles?.holders ?? [],
    });
  return null;
}

/** Thunderbolt is ready and files are open, or a person shall decide. */
export function deferRecovery(draft: Draft, reason: string): void {
  if (draft.memory.tbRecoveryPending) return;
  const open_files = draft.seen.openFiles?.holders.length ?? 0;
  setMemory(draft, { tbRecoveryPending: true });
  draft.transitions.push(
    { name: "share.recovery_deferred", reason, open_files },
    { name: "share.tb_ready", reason },
  );
}
