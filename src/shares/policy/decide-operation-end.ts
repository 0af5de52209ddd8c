// The end of an operation: arrived, rolled back, exhausted or busy, and the answer to the person who waits.
import { type Backoff, backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import {
  type Builder,
  clearError,
  clearPending,
  hostOf,
  setError,
  setHeld,
  setMemory,
  setState,
} from "./decision-builder.ts";
import type { LaneState, Operation } from "./lane-state.ts";
import { outcome, type RequestOutcome } from "./share-request.ts";
import type { MountSeen } from "./share-seen.ts";

export const SPOKEN: Record<RouteName, string> = { tb: "Thunderbolt", fallback: "fallback" };

export function spokenRoute(builder: Builder, route: RouteName): string {
  const { host } = builder.spec.routes[route];
  const where = hostOf(builder, route);
  const endpoint = host === null ? where : `//${where}/${builder.spec.shareName}`;
  return routesOf(builder.spec).length === 1 ? endpoint : `${SPOKEN[route]} (${endpoint})`;
}

/** There is a mount that this operation did not make: it is adopted, and the rules go on from it. */
export function finishFound(builder: Builder, operation: Operation, { found }: MountSeen): null {
  const { failures, goal } = operation;
  setState(builder, {
    operation: null,
    // A failed mount may have left it behind: without a pause it would be tried over and over.
    ...(failures.length > 0 ? { mountBackoff: backOff(builder.state.mountBackoff, builder.seen.atMs) } : {}),
  });
  if (found.route !== "fallback") clearPending(builder, "mounted by someone else");
  if (failures.length > 0) setError(builder, failures.join("; "));
  if (builder.memory.held === "unmounted") setHeld(builder, null);
  if (!operation.asked) return null;
  const where = found.route === null ? `from ${found.source}` : `over ${spokenRoute(builder, found.route)}`;
  if (found.processGone || (goal !== null && goal !== found.route)) {
    builder.outcome = outcome("failed", [...failures, `found mounted ${where}`].join("; "));
    return null;
  }
  if (goal !== null) setHeld(builder, goal === "fallback" ? "fallback" : null);
  builder.outcome = outcome(operation.kind === "switch" ? "switched" : "mounted", `found mounted ${where}`);
  return null;
}

/** This operation has mounted the share over `route`. */
export function finishArrived(builder: Builder, operation: Operation, route: RouteName): void {
  const missed = operation.goal !== null && operation.goal !== route;
  const failed = operation.failures.join("; ");
  announceArrival(builder, operation, route, missed);
  clearPending(builder, operation.moves ? "moved" : "mounted anew");
  setMemory(builder, { lastSwitchAt: builder.seen.wallMs });
  setState(builder, { operation: null, ...recoveryPause(builder, operation, route) });
  // Mounted, but not where it was asked for: the operation's end and a condition say so.
  clearError(builder, "mounted");
  holdAfterArrival(builder, operation, route, missed);
  if (!operation.asked) return;
  if (missed) {
    builder.outcome = outcome("failed", `${failed}; back over ${spokenRoute(builder, route)}`);
  } else {
    const result = operation.kind === "switch" ? "switched" : "mounted";
    builder.outcome = outcome(result, `${result} over ${spokenRoute(builder, route)}`, cutOff(operation));
  }
}

function recoveryPause(
  builder: Builder,
  { kind, failures }: Operation,
  route: RouteName,
): Partial<Pick<LaneState, "recoveryBackoff" | "recoveryFailure">> {
  if (route === "tb") return { recoveryBackoff: NO_BACKOFF, recoveryFailure: null };
  if (failures.length === 0 || kind === "failover") return {};
  // tb answers but does not mount: without a pause the next cycle would try it again at once.
  return { recoveryBackoff: pauseRecovery(builder), recoveryFailure: failures.join("; ") };
}

function holdAfterArrival(builder: Builder, operation: Operation, route: RouteName, missed: boolean): void {
  if (operation.kind === "switch") {
    if (!missed) setHeld(builder, route === "fallback" ? "fallback" : null);
  } else if (route === "tb" && builder.memory.held === "fallback") {
    setHeld(builder, null);
  }
  // Rolled back over what someone else had mounted: our mount now is not held unmounted.
  if (builder.memory.held === "unmounted") setHeld(builder, null);
}

function announceArrival(builder: Builder, operation: Operation, route: RouteName, missed: boolean): void {
  const duration_ms = Math.round(builder.seen.atMs - operation.startedAtMs);
  const moved = {
    from: operation.from,
    to: route,
    host: hostOf(builder, route),
    reason: operation.reason,
    duration_ms,
    ...movedBy(builder, operation),
  };
  const failed = operation.failures.join("; ");
  switch (operation.kind) {
    case "failover":
      builder.transitions.push({ name: "share.failover", ...moved });
      break;
    case "recovery":
      builder.transitions.push(
        missed
          ? { name: "share.recovery_failed", ...moved, reason: failed }
          : { name: "share.recovered", ...moved },
      );
      break;
    case "switch":
      builder.transitions.push(
        missed
          ? { name: "share.mounted", ...moved, reason: `rolled back: ${failed}` }
          : { name: "share.switched", ...moved },
      );
      break;
    case "remount":
      builder.transitions.push({ name: "share.remounted", ...moved });
      break;
    case "mount":
    case "unmount":
      builder.transitions.push({ name: "share.mounted", ...moved });
  }
}

function movedBy({ seen }: Builder, { moves }: Operation) {
  const { lastStep } = seen;
  if (!moves || lastStep?.kind !== "move" || !lastStep.outcome.ok) return {};
  const { quiet, connections } = lastStep.outcome;
  return { carried: true, quiet, connections } as const;
}

export function pauseRecovery(builder: Builder): Backoff {
  const backoff = backOff(builder.state.recoveryBackoff, builder.seen.atMs);
  return {
    ...backoff,
    notBeforeMs: Math.max(backoff.notBeforeMs, builder.seen.atMs + builder.policy.stableMs),
  };
}

/** Nothing is mounted, as a person asked. */
export function finishUnmounted(builder: Builder, operation: Operation): null {
  setState(builder, { operation: null });
  if (builder.request?.kind !== "unmount" || builder.request.hold) setHeld(builder, "unmounted");
  clearPending(builder, "unmounted");
  clearError(builder, "unmounted");
  if (operation.asked) {
    builder.outcome = outcome("unmounted", "unmounted", cutOff(operation));
  }
  return null;
}

/** What was lost by forcing it. */
function cutOff({ mode, cost }: Operation): Pick<RequestOutcome, "holders" | "unsent"> {
  if (mode === "plain" || cost === null) return { holders: [], unsent: [] };
  return { holders: cost.holders, unsent: cost.unsent };
}

/** Every route of the plan failed: the share stays unmounted, and is tried again with backoff. */
export function finishExhausted(builder: Builder, operation: Operation): null {
  const reason = operation.failures.join("; ");
  setState(builder, {
    operation: null,
    mountBackoff: backOff(builder.state.mountBackoff, builder.seen.atMs),
  });
  clearPending(builder, "unmounted");
  setError(builder, reason);
  if (operation.asked) builder.outcome = outcome("failed", reason);
  return null;
}

/** The operation ends with the mount still there. `busy`: files are open. */
export function stopOperation(builder: Builder, reason: string, busy = false): null {
  const { operation } = builder.state;
  setState(builder, { operation: null });
  if (operation === null) return null;
  if (operation.kind === "recovery") {
    if (busy) deferRecovery(builder, reason);
    else {
      setState(builder, {
        tableReadWith: null,
        recoveryBackoff: pauseRecovery(builder),
        recoveryFailure: reason,
      });
    }
    return null;
  }
  if (operation.asked)
    builder.outcome = outcome(busy ? "busy" : "failed", reason, {
      holders: builder.seen.openFiles?.holders ?? [],
    });
  return null;
}

/** Thunderbolt is ready, but files are open, or a person has to decide. */
export function deferRecovery(builder: Builder, reason: string): void {
  if (builder.memory.tbRecoveryPending) return;
  const open_files = builder.seen.openFiles?.holders.length ?? 0;
  setMemory(builder, { tbRecoveryPending: true });
  builder.transitions.push(
    { name: "share.recovery_deferred", reason, open_files },
    { name: "share.tb_ready", reason },
  );
}
