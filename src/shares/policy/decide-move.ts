// Decides operations that move a carried mount to another route, in one step and without an unmount.
import { backOff } from "../../reconcile/route-health.ts";
import { finishArrived, noteFailedRecovery } from "./decide-operation-end.ts";
import { answer, type Builder, hostOf, setError, setState } from "./decision-builder.ts";
import type { Operation } from "./lane-state.ts";
import type { MoveStepSeen } from "./share-seen.ts";
import type { Step } from "./step.ts";

/** The next step of `operation`, or null when it has ended. */
export function continueMove(builder: Builder, operation: Operation): Step | null {
  const { mount, lastStep } = builder.seen;
  const [route] = operation.plan;
  if (route === undefined || !mount?.carried || mount.found.id !== operation.mountId) {
    return endMove(builder, operation, "what was to be moved is no longer there");
  }
  if (lastStep?.kind !== "move") return { kind: "move", route, planned: operation.kind !== "failover" };
  if (!lastStep.outcome.ok) return endMove(builder, operation, lastStep.outcome.text);
  finishArrived(builder, operation, route);
  return null;
}

function endMove(builder: Builder, operation: Operation, reason: string): null {
  setState(builder, { operation: null });
  if (operation.kind === "recovery") noteFailedRecovery(builder, reason);
  else {
    setState(builder, { mountBackoff: backOff(builder.state.mountBackoff, builder.seen.atMs) });
    if (!operation.asked) setError(builder, `the move failed: ${reason}`);
  }
  return operation.asked ? answer(builder, "failed", `${reason}; nothing was changed`) : null;
}

export function foldMoved(builder: Builder, { step, outcome: moved, tookMs }: MoveStepSeen): void {
  if (moved.ok) {
    // Looks that began before this time went over the previous route.
    const movedAtMs = builder.seen.atMs;
    setState(builder, { movedAtMs, suspicion: null, deadLook: null, pendingLook: null });
    return;
  }
  builder.transitions.push({
    name: "share.move_failed",
    route: step.route,
    host: hostOf(builder, step.route),
    reason: moved.text,
    duration_ms: Math.round(tookMs),
  });
}
