// Decides operations that move a relayed mount to another route, in one step and without an unmount.
import { backOff } from "../../reconcile/route-health.ts";
import { finishArrived, recordFailedRecovery } from "./decide-operation-end.ts";
import { answer, type DecisionBuilder, hostOf, recheckAt, setError, setState } from "./decision-builder.ts";
import type { Operation } from "./reconcile-state.ts";
import type { MoveStepObservation } from "./share-observation.ts";
import type { Step } from "./step.ts";

/** Pause after a failed failover, ms. Programs wait, and a try is one question to the server. */
const MOVE_AGAIN_MS = 1_000;

/** The next step of `operation`, or null when it has ended. */
export function continueMove(builder: DecisionBuilder, operation: Operation): Step | null {
  const { mount, lastStep } = builder.observed;
  const [route] = operation.plan;
  if (route === undefined || !mount?.relayed || mount.found.id !== operation.mountId) {
    return endMove(builder, operation, "the mount to be moved is gone");
  }
  if (lastStep?.kind !== "move") return { kind: "move", route, planned: operation.kind !== "failover" };
  if (!lastStep.outcome.ok) return endMove(builder, operation, lastStep.outcome.text);
  finishArrived(builder, operation, route);
  return null;
}

function endMove(builder: DecisionBuilder, operation: Operation, reason: string): null {
  setState(builder, { operation: null });
  if (operation.kind === "recovery") recordFailedRecovery(builder, reason);
  else {
    // A failover has its own pause, which does not grow: programs wait.
    if (operation.kind !== "failover")
      setState(builder, { mountBackoff: backOff(builder.state.mountBackoff, builder.observed.atMs) });
    if (!operation.isRequested) setError(builder, `the move failed: ${reason}`);
  }
  return operation.isRequested ? answer(builder, "failed", `${reason}; nothing was changed`) : null;
}

/** False right after a failed failover, which is tried again soon; then plans the next look. */
export function mayFailOver(builder: DecisionBuilder): boolean {
  const { failedMove } = builder.state;
  const notBeforeMs = (failedMove?.atMs ?? Number.NEGATIVE_INFINITY) + MOVE_AGAIN_MS;
  if (notBeforeMs <= builder.observed.atMs) return true;
  recheckAt(builder, notBeforeMs, "retry");
  return false;
}

export function updateMoved(
  builder: DecisionBuilder,
  { step, outcome: moved, tookMs }: MoveStepObservation,
): void {
  const { atMs } = builder.observed;
  const { failedMove: before } = builder.state;
  if (moved.ok) {
    // Looks that began before this time went over the previous route.
    setState(builder, {
      movedAtMs: atMs,
      suspectedLoss: null,
      firstFailedCheck: null,
      pendingCheck: null,
      failedMove: null,
    });
    return;
  }
  if (!step.planned) {
    setState(builder, { failedMove: { to: step.route, reason: moved.text, atMs } });
    if (before?.to === step.route && before.reason === moved.text) return;
  }
  builder.transitions.push({
    name: "share.move_failed",
    route: step.route,
    host: hostOf(builder, step.route),
    reason: moved.text,
    duration_ms: Math.round(tookMs),
  });
}
