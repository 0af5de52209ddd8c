// How operations end: mounted, rolled back, without a route left, or busy; and the answer to a waiting person.
import { type Backoff, backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import {
  answer,
  clearError,
  clearPending,
  type DecisionBuilder,
  hostOf,
  setError,
  setMemory,
  setOverride,
  setState,
} from "./decision-builder.ts";
import type { Operation, OperationKind, ReconcileState } from "./reconcile-state.ts";
import type { MountObservation } from "./share-observation.ts";
import type { RequestOutcome } from "./share-request.ts";
import type { ArrivalName } from "./share-transitions.ts";

export const ROUTE_TEXT: Record<RouteName, string> = { tb: "Thunderbolt", fallback: "fallback" };

export function routeText(builder: DecisionBuilder, route: RouteName): string {
  const { host } = builder.spec.routes[route];
  const where = hostOf(builder, route);
  const endpoint = host === null ? where : `//${where}/${builder.spec.shareName}`;
  return routesOf(builder.spec).length === 1 ? endpoint : `${ROUTE_TEXT[route]} (${endpoint})`;
}

/** Ends an operation by adopting the existing mount: another program's, or one that a failed try has left. */
export function finishFound(
  builder: DecisionBuilder,
  operation: Operation,
  { found }: MountObservation,
): null {
  const { failures, target } = operation;
  setState(builder, {
    operation: null,
    // This mount may be the remains of a failed try; without a pause, the operation would be repeated at
    // once.
    ...(failures.length > 0
      ? { mountBackoff: backOff(builder.state.mountBackoff, builder.observed.atMs) }
      : {}),
  });
  if (found.route !== "fallback") clearPending(builder, "mounted by someone else");
  if (failures.length > 0) setError(builder, failures.join("; "));
  if (builder.memory.override === "unmounted") setOverride(builder, null);
  if (!operation.isRequested) return null;
  const where = found.route === null ? `from ${found.source}` : `over ${routeText(builder, found.route)}`;
  if (found.processGone || (target !== null && target !== found.route))
    return answer(builder, "failed", [...failures, `found mounted ${where}`].join("; "));
  if (target !== null) setOverride(builder, target === "fallback" ? "fallback" : null);
  return answer(builder, operation.kind === "switch" ? "switched" : "mounted", `found mounted ${where}`);
}

/** Ends an operation that has mounted the share over `route`. */
export function finishArrived(builder: DecisionBuilder, operation: Operation, route: RouteName): void {
  const missed = operation.target !== null && operation.target !== route;
  announceArrival(builder, operation, route, missed);
  clearPending(builder, operation.moves ? "moved" : "mounted anew");
  setMemory(builder, { lastSwitchAt: builder.observed.wallMs });
  setState(builder, { operation: null, ...recoveryPause(builder, operation, route) });
  // The error is cleared even if the wanted route could not be mounted and another one was. A transition and a
  // condition report the missed route.
  clearError(builder, "mounted");
  overrideAfterArrival(builder, operation, route, missed);
  if (!operation.isRequested) return;
  const over = `over ${routeText(builder, route)}`;
  const result = operation.kind === "switch" ? "switched" : "mounted";
  if (missed) answer(builder, "failed", `${operation.failures.join("; ")}; back ${over}`);
  else answer(builder, result, `${result} ${over}`, cutOff(operation));
}

function recoveryPause(
  builder: DecisionBuilder,
  { kind, failures }: Operation,
  route: RouteName,
): Partial<Pick<ReconcileState, "recoveryBackoff" | "recoveryFailure">> {
  if (route === "tb") return { recoveryBackoff: NO_BACKOFF, recoveryFailure: null };
  if (failures.length === 0 || kind === "failover") return {};
  // Thunderbolt answers but cannot be mounted: without a pause the next cycle would try again at once.
  return { recoveryBackoff: pauseRecovery(builder), recoveryFailure: failures.join("; ") };
}

/**
 * Updates `override` after a mount. A person's switch to the fallback holds the share on that route; a mount over
 * Thunderbolt ends the hold.
 */
function overrideAfterArrival(
  builder: DecisionBuilder,
  operation: Operation,
  route: RouteName,
  missed: boolean,
): void {
  if (operation.kind === "switch") {
    if (!missed) setOverride(builder, route === "fallback" ? "fallback" : null);
  } else if (route === "tb" && builder.memory.override === "fallback") {
    setOverride(builder, null);
  }
  // The share has our mount now, for example after a rollback, so the override that keeps it unmounted ends.
  if (builder.memory.override === "unmounted") setOverride(builder, null);
}

const ARRIVED: Record<OperationKind, ArrivalName> = {
  mount: "share.mounted",
  failover: "share.failover",
  recovery: "share.recovered",
  switch: "share.switched",
  remount: "share.remounted",
  unmount: "share.mounted",
};

function announceArrival(
  builder: DecisionBuilder,
  operation: Operation,
  route: RouteName,
  missed: boolean,
): void {
  const failed = operation.failures.join("; ");
  const moved = {
    from: operation.from,
    to: route,
    host: hostOf(builder, route),
    reason: operation.reason,
    duration_ms: Math.round(builder.observed.atMs - operation.startedAtMs),
    ...movedBy(builder),
  };
  if (missed && operation.kind === "recovery")
    builder.transitions.push({ ...moved, name: "share.recovery_failed", reason: failed });
  else if (missed && operation.kind === "switch")
    builder.transitions.push({ ...moved, name: "share.mounted", reason: `rolled back: ${failed}` });
  else builder.transitions.push({ ...moved, name: ARRIVED[operation.kind] });
}

function movedBy({ observed: { lastStep } }: DecisionBuilder) {
  if (lastStep?.kind !== "move" || !lastStep.outcome.ok) return {};
  const { quiet, connections } = lastStep.outcome;
  return { relayed: true, quiet, connections } as const;
}

/** Notes that the return to Thunderbolt failed; the share continues over the fallback. */
export function recordFailedRecovery(builder: DecisionBuilder, reason: string): void {
  const recoveryBackoff = pauseRecovery(builder);
  setState(builder, { tableAppliedWith: null, recoveryBackoff, recoveryFailure: reason });
}

function pauseRecovery(builder: DecisionBuilder): Backoff {
  const backoff = backOff(builder.state.recoveryBackoff, builder.observed.atMs);
  return {
    ...backoff,
    notBeforeMs: Math.max(backoff.notBeforeMs, builder.observed.atMs + builder.policy.stableMs),
  };
}

/** Ends an unmount that a person asked for. */
export function finishUnmounted(builder: DecisionBuilder, operation: Operation): null {
  setState(builder, { operation: null });
  if (builder.request?.kind !== "unmount" || builder.request.keepUnmounted) setOverride(builder, "unmounted");
  clearPending(builder, "unmounted");
  clearError(builder, "unmounted");
  return operation.isRequested ? answer(builder, "unmounted", "unmounted", cutOff(operation)) : null;
}

/** The open and unsent files that a forced unmount cut off. */
function cutOff({ interrupted }: Operation): Pick<RequestOutcome, "holders" | "unsent"> {
  if (interrupted === null) return { holders: [], unsent: [] };
  return { holders: interrupted.holders, unsent: interrupted.unsent };
}

/** Ends an operation whose routes have all failed: the share stays unmounted, and is tried again with backoff. */
export function finishExhausted(builder: DecisionBuilder, operation: Operation): null {
  const reason = operation.failures.join("; ");
  setState(builder, {
    operation: null,
    mountBackoff: backOff(builder.state.mountBackoff, builder.observed.atMs),
  });
  clearPending(builder, "unmounted");
  setError(builder, reason);
  return operation.isRequested ? answer(builder, "failed", reason) : null;
}

/** Ends an operation that could not unmount. `busy`: files are open. */
export function stopOperation(builder: DecisionBuilder, reason: string, busy = false): null {
  const { operation } = builder.state;
  setState(builder, { operation: null });
  if (operation === null) return null;
  if (operation.kind === "recovery") {
    if (busy) deferRecovery(builder, reason);
    else recordFailedRecovery(builder, reason);
  } else if (operation.isRequested) {
    answer(builder, busy ? "busy" : "failed", reason, { holders: builder.observed.openFiles?.holders ?? [] });
  }
  return null;
}

/** Puts off the return to Thunderbolt although it is ready: files are open, or a person has to decide. */
export function deferRecovery(builder: DecisionBuilder, reason: string): null {
  if (builder.memory.tbRecoveryPending) return null;
  const open_files = builder.observed.openFiles?.holders.length ?? 0;
  setMemory(builder, { tbRecoveryPending: true });
  builder.transitions.push(
    { name: "share.recovery_deferred", reason, open_files },
    { name: "share.tb_ready", reason },
  );
  return null;
}
