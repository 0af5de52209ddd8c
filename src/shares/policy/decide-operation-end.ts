// How operations end: mounted, rolled back, without a route left, or busy; and the answer to a waiting person.
import { type Backoff, backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import {
  answer,
  type Builder,
  clearError,
  clearPending,
  hostOf,
  setError,
  setHeld,
  setMemory,
  setState,
} from "./decision-builder.ts";
import type { LaneState, Operation, OperationKind } from "./lane-state.ts";
import type { RequestOutcome } from "./share-request.ts";
import type { MountSeen } from "./share-seen.ts";
import type { ArrivalName } from "./share-transitions.ts";

export const SPOKEN: Record<RouteName, string> = { tb: "Thunderbolt", fallback: "fallback" };

export function spokenRoute(builder: Builder, route: RouteName): string {
  const { host } = builder.spec.routes[route];
  const where = hostOf(builder, route);
  const endpoint = host === null ? where : `//${where}/${builder.spec.shareName}`;
  return routesOf(builder.spec).length === 1 ? endpoint : `${SPOKEN[route]} (${endpoint})`;
}

/**
 * Ends an operation by adopting the mount that is there: somebody else's, or one that a failed try has left.
 */
export function finishFound(builder: Builder, operation: Operation, { found }: MountSeen): null {
  const { failures, goal } = operation;
  setState(builder, {
    operation: null,
    // This mount may be the remains of a failed try; without a pause, the operation would be repeated at
    // once.
    ...(failures.length > 0 ? { mountBackoff: backOff(builder.state.mountBackoff, builder.seen.atMs) } : {}),
  });
  if (found.route !== "fallback") clearPending(builder, "mounted by someone else");
  if (failures.length > 0) setError(builder, failures.join("; "));
  if (builder.memory.held === "unmounted") setHeld(builder, null);
  if (!operation.asked) return null;
  const where = found.route === null ? `from ${found.source}` : `over ${spokenRoute(builder, found.route)}`;
  if (found.processGone || (goal !== null && goal !== found.route))
    return answer(builder, "failed", [...failures, `found mounted ${where}`].join("; "));
  if (goal !== null) setHeld(builder, goal === "fallback" ? "fallback" : null);
  return answer(builder, operation.kind === "switch" ? "switched" : "mounted", `found mounted ${where}`);
}

/** Ends an operation that has mounted the share over `route`. */
export function finishArrived(builder: Builder, operation: Operation, route: RouteName): void {
  const missed = operation.goal !== null && operation.goal !== route;
  announceArrival(builder, operation, route, missed);
  clearPending(builder, operation.moves ? "moved" : "mounted anew");
  setMemory(builder, { lastSwitchAt: builder.seen.wallMs });
  setState(builder, { operation: null, ...recoveryPause(builder, operation, route) });
  // The error is cleared even if the wanted route could not be mounted and another one was. A transition and a
  // condition report the missed route.
  clearError(builder, "mounted");
  holdAfterArrival(builder, operation, route, missed);
  if (!operation.asked) return;
  const over = `over ${spokenRoute(builder, route)}`;
  const result = operation.kind === "switch" ? "switched" : "mounted";
  if (missed) answer(builder, "failed", `${operation.failures.join("; ")}; back ${over}`);
  else answer(builder, result, `${result} ${over}`, cutOff(operation));
}

function recoveryPause(
  builder: Builder,
  { kind, failures }: Operation,
  route: RouteName,
): Partial<Pick<LaneState, "recoveryBackoff" | "recoveryFailure">> {
  if (route === "tb") return { recoveryBackoff: NO_BACKOFF, recoveryFailure: null };
  if (failures.length === 0 || kind === "failover") return {};
  // Thunderbolt answers but cannot be mounted: without a pause the next cycle would try again at once.
  return { recoveryBackoff: pauseRecovery(builder), recoveryFailure: failures.join("; ") };
}

/**
 * Updates `held` after a mount. A person's switch to the fallback holds the share on that route; a mount over
 * Thunderbolt ends the hold.
 */
function holdAfterArrival(builder: Builder, operation: Operation, route: RouteName, missed: boolean): void {
  if (operation.kind === "switch") {
    if (!missed) setHeld(builder, route === "fallback" ? "fallback" : null);
  } else if (route === "tb" && builder.memory.held === "fallback") {
    setHeld(builder, null);
  }
  // The share has our mount now, for example after a rollback, so it is no longer held unmounted.
  if (builder.memory.held === "unmounted") setHeld(builder, null);
}

const ARRIVED: Record<OperationKind, ArrivalName> = {
  mount: "share.mounted",
  failover: "share.failover",
  recovery: "share.recovered",
  switch: "share.switched",
  remount: "share.remounted",
  unmount: "share.mounted",
};

function announceArrival(builder: Builder, operation: Operation, route: RouteName, missed: boolean): void {
  const failed = operation.failures.join("; ");
  const moved = {
    from: operation.from,
    to: route,
    host: hostOf(builder, route),
    reason: operation.reason,
    duration_ms: Math.round(builder.seen.atMs - operation.startedAtMs),
    ...movedBy(builder),
  };
  if (missed && operation.kind === "recovery")
    builder.transitions.push({ ...moved, name: "share.recovery_failed", reason: failed });
  else if (missed && operation.kind === "switch")
    builder.transitions.push({ ...moved, name: "share.mounted", reason: `rolled back: ${failed}` });
  else builder.transitions.push({ ...moved, name: ARRIVED[operation.kind] });
}

function movedBy({ seen: { lastStep } }: Builder) {
  if (lastStep?.kind !== "move" || !lastStep.outcome.ok) return {};
  const { quiet, connections } = lastStep.outcome;
  return { carried: true, quiet, connections } as const;
}

/** Notes that the return to Thunderbolt failed; the share continues over the fallback. */
export function noteFailedRecovery(builder: Builder, reason: string): void {
  const recoveryBackoff = pauseRecovery(builder);
  setState(builder, { tableAppliedWith: null, recoveryBackoff, recoveryFailure: reason });
}

function pauseRecovery(builder: Builder): Backoff {
  const backoff = backOff(builder.state.recoveryBackoff, builder.seen.atMs);
  return {
    ...backoff,
    notBeforeMs: Math.max(backoff.notBeforeMs, builder.seen.atMs + builder.policy.stableMs),
  };
}

/** Ends an unmount that a person asked for. */
export function finishUnmounted(builder: Builder, operation: Operation): null {
  setState(builder, { operation: null });
  if (builder.request?.kind !== "unmount" || builder.request.hold) setHeld(builder, "unmounted");
  clearPending(builder, "unmounted");
  clearError(builder, "unmounted");
  return operation.asked ? answer(builder, "unmounted", "unmounted", cutOff(operation)) : null;
}

/** The open and unsent files that a forced unmount cut off. */
function cutOff({ cost }: Operation): Pick<RequestOutcome, "holders" | "unsent"> {
  if (cost === null) return { holders: [], unsent: [] };
  return { holders: cost.holders, unsent: cost.unsent };
}

/** Ends an operation whose routes have all failed: the share stays unmounted, and is tried again with backoff. */
export function finishExhausted(builder: Builder, operation: Operation): null {
  const reason = operation.failures.join("; ");
  setState(builder, {
    operation: null,
    mountBackoff: backOff(builder.state.mountBackoff, builder.seen.atMs),
  });
  clearPending(builder, "unmounted");
  setError(builder, reason);
  return operation.asked ? answer(builder, "failed", reason) : null;
}

/** Ends an operation that could not unmount. `busy`: files are open. */
export function stopOperation(builder: Builder, reason: string, busy = false): null {
  const { operation } = builder.state;
  setState(builder, { operation: null });
  if (operation === null) return null;
  if (operation.kind === "recovery") {
    if (busy) deferRecovery(builder, reason);
    else noteFailedRecovery(builder, reason);
  } else if (operation.asked) {
    answer(builder, busy ? "busy" : "failed", reason, { holders: builder.seen.openFiles?.holders ?? [] });
  }
  return null;
}

/** Puts off the return to Thunderbolt although it is ready: files are open, or a person has to decide. */
export function deferRecovery(builder: Builder, reason: string): null {
  if (builder.memory.tbRecoveryPending) return null;
  const open_files = builder.seen.openFiles?.holders.length ?? 0;
  setMemory(builder, { tbRecoveryPending: true });
  builder.transitions.push(
    { name: "share.recovery_deferred", reason, open_files },
    { name: "share.tb_ready", reason },
  );
  return null;
}
