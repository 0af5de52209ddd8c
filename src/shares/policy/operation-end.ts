// How operations end: mounted, rolled back, without a route left, or busy; and the answer to a waiting person.
import { type Backoff, backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import type { DecideInput } from "./decide-input.ts";
import { hostOf } from "./hosts.ts";
import type { Operation, OperationKind, ReconcileState } from "./reconcile-state.ts";
import type { MountObservation } from "./share-observation.ts";
import type { RequestOutcome } from "./share-request.ts";
import type { ArrivalName, NewTransition } from "./share-transitions.ts";
import {
  announce,
  answer,
  clearError,
  clearPending,
  deferRecovery,
  type Situation,
  setError,
  setMemory,
  setOverride,
  setState,
} from "./situation.ts";

export const ROUTE_TEXT: Record<RouteName, string> = { tb: "the preferred route", fallback: "fallback" };

export function routeText(input: Pick<DecideInput, "spec">, route: RouteName): string {
  const { host } = input.spec.routes[route];
  const where = hostOf(input, route);
  const endpoint = host === null ? where : `//${where}/${input.spec.shareName}`;
  return routesOf(input.spec).length === 1 ? endpoint : `${ROUTE_TEXT[route]} (${endpoint})`;
}

/** Ends an operation by adopting the existing mount: another program's, or one that a failed try has left. */
export function finishFound(before: Situation, operation: Operation, { found }: MountObservation): Situation {
  const { failures, target } = operation;
  let now = setState(before, { operation: null });
  // This mount may be the remains of a failed try; without a pause, the operation would be repeated at once.
  if (failures.length > 0) now = setState(now, pausedMounts(now));
  if (found.route !== "fallback") now = clearPending(now, "mounted by someone else");
  if (failures.length > 0) now = setError(now, failures.join("; "));
  if (now.memory.override === "unmounted") now = setOverride(now, null);
  if (!operation.isRequested) return now;
  const where = found.route === null ? `from ${found.source}` : `over ${routeText(now, found.route)}`;
  if (found.processGone || (target !== null && target !== found.route))
    return answer(now, "failed", [...failures, `found mounted ${where}`].join("; "));
  if (target !== null) now = setOverride(now, target === "fallback" ? "fallback" : null);
  return answer(now, operation.kind === "switch" ? "switched" : "mounted", `found mounted ${where}`);
}

/** Ends an operation that has mounted the share over `route`. */
export function finishArrived(before: Situation, operation: Operation, route: RouteName): Situation {
  const missed = operation.target !== null && operation.target !== route;
  let now = announce(before, arrival(before, operation, route, missed));
  now = clearPending(now, operation.moves ? "moved" : "mounted anew");
  now = setMemory(now, { lastSwitchAt: now.observed.wallMs });
  now = setState(now, { operation: null, ...recoveryPause(now, operation, route) });
  // The error is cleared even if the wanted route could not be mounted and another one was. A transition and a
  // condition report the missed route.
  now = clearError(now, "mounted");
  now = overrideAfterArrival(now, operation, route, missed);
  if (!operation.isRequested) return now;
  const where = routeText(now, route);
  if (missed) return answer(now, "failed", `${operation.failures.join("; ")}; back over ${where}`);
  return operation.kind === "switch"
    ? answer(now, "switched", `switched to ${where}`, cutOff(operation))
    : answer(now, "mounted", `mounted over ${where}`, cutOff(operation));
}

function recoveryPause(
  input: DecideInput,
  { kind, failures }: Operation,
  route: RouteName,
): Partial<Pick<ReconcileState, "recoveryBackoff" | "recoveryFailure">> {
  if (route === "tb") return { recoveryBackoff: NO_BACKOFF, recoveryFailure: null };
  if (failures.length === 0 || kind === "failover") return {};
  // Thunderbolt answers but cannot be mounted: without a pause the next cycle would try again at once.
  return { recoveryBackoff: pauseRecovery(input), recoveryFailure: failures.join("; ") };
}

/**
 * Updates `override` after a mount. A person's switch to the fallback holds the share on that route; a mount over
 * Thunderbolt ends the hold.
 */
function overrideAfterArrival(
  now: Situation,
  { kind }: Operation,
  route: RouteName,
  missed: boolean,
): Situation {
  if (kind === "switch" && !missed) return setOverride(now, route === "fallback" ? "fallback" : null);
  const { override } = now.memory;
  const isBack = kind !== "switch" && route === "tb" && override === "fallback";
  // The share has our mount now, for example after a rollback, so the override that keeps it unmounted ends.
  return isBack || override === "unmounted" ? setOverride(now, null) : now;
}

const ARRIVED: Record<OperationKind, ArrivalName> = {
  mount: "share.mounted",
  failover: "share.failover",
  recovery: "share.recovered",
  switch: "share.switched",
  remount: "share.remounted",
  unmount: "share.mounted",
};

function arrival(
  input: DecideInput,
  { kind, from, reason, startedAtMs, failures }: Operation,
  route: RouteName,
  missed: boolean,
): NewTransition {
  const failed = failures.join("; ");
  const moved = {
    from,
    to: route,
    host: hostOf(input, route),
    reason,
    duration_ms: Math.round(input.observed.atMs - startedAtMs),
    ...movedBy(input),
  };
  if (missed && kind === "recovery") return { ...moved, name: "share.recovery_failed", reason: failed };
  if (missed && kind === "switch")
    return { ...moved, name: "share.mounted", reason: `rolled back: ${failed}` };
  return { ...moved, name: ARRIVED[kind] };
}

function movedBy({ observed: { lastStep } }: DecideInput) {
  if (lastStep?.kind !== "move" || !lastStep.outcome.ok) return {};
  const { quiet, connections } = lastStep.outcome;
  return { moved: true, quiet, connections } as const;
}

/** The memory of a return to Thunderbolt that failed; the share continues over the fallback. */
export function failedRecovery(input: DecideInput, reason: string): Partial<ReconcileState> {
  return { tableAppliedWith: null, recoveryBackoff: pauseRecovery(input), recoveryFailure: reason };
}

function pauseRecovery({ state, observed, policy }: DecideInput): Backoff {
  const backoff = backOff(state.recoveryBackoff, observed.atMs);
  return { ...backoff, notBeforeMs: Math.max(backoff.notBeforeMs, observed.atMs + policy.stableMs) };
}

/** Makes the next mounts or unmounts wait, longer after each failure. */
export function pausedMounts({ state, observed }: DecideInput): Partial<ReconcileState> {
  return { mountBackoff: backOff(state.mountBackoff, observed.atMs) };
}

/** Ends an unmount that a person asked for. */
export function finishUnmounted(before: Situation, operation: Operation): Situation {
  const { request } = before;
  let now = setState(before, { operation: null });
  if (request?.kind !== "unmount" || request.keepUnmounted) now = setOverride(now, "unmounted");
  now = clearError(clearPending(now, "unmounted"), "unmounted");
  return operation.isRequested ? answer(now, "unmounted", "unmounted", cutOff(operation)) : now;
}

/** The open files that a forced unmount cut off. */
function cutOff({ interrupted }: Operation): Pick<RequestOutcome, "holders"> {
  return { holders: interrupted?.holders ?? [] };
}

/** Ends an operation whose routes have all failed: the share stays unmounted, and is tried again with backoff. */
export function finishExhausted(
  before: Situation,
  { isRequested }: Operation,
  failures: readonly string[],
): Situation {
  const reason = failures.join("; ");
  const ended = setState(before, { operation: null, ...pausedMounts(before) });
  const now = setError(clearPending(ended, "unmounted"), reason);
  return isRequested ? answer(now, "failed", reason) : now;
}

/** Ends an operation that could not unmount. `busy`: files are open. */
export function stopOperation(
  before: Situation,
  operation: Operation,
  reason: string,
  busy = false,
): Situation {
  const now = setState(before, { operation: null });
  if (operation.kind === "recovery")
    return busy ? deferRecovery(now, reason) : setState(now, failedRecovery(now, reason));
  if (!operation.isRequested) return now;
  return answer(now, busy ? "busy" : "failed", reason, { holders: now.observed.openFiles?.holders ?? [] });
}
