// Operations that move a relayed mount to another route, in one step and without an unmount.
import { backOff } from "../../reconcile/route-health.ts";
import { hostOf } from "./hosts.ts";
import { failedRecovery, finishArrived } from "./operation-end.ts";
import type { Operation } from "./reconcile-state.ts";
import type { MoveStepObservation } from "./share-observation.ts";
import { announce, answer, type Situation, setError, setState } from "./situation.ts";

/** The operation's next step, or its end. */
export function continueMove(now: Situation, operation: Operation): Situation {
  const { mount, lastStep } = now.observed;
  const [route] = operation.plan;
  if (route === undefined || !mount?.relayed || mount.found.id !== operation.mountId)
    return endMove(now, operation, "the mount to be moved is gone");
  if (lastStep?.kind !== "move")
    return { ...now, step: { kind: "move", route, planned: operation.kind !== "failover" } };
  return lastStep.outcome.ok
    ? finishArrived(now, operation, route)
    : endMove(now, operation, lastStep.outcome.text);
}

function endMove(before: Situation, operation: Operation, reason: string): Situation {
  let now = setState(before, { operation: null });
  if (operation.kind === "recovery") now = setState(now, failedRecovery(now, reason));
  else {
    // A failover has its own pause, which does not grow: programs wait.
    if (operation.kind !== "failover")
      now = setState(now, { mountBackoff: backOff(now.state.mountBackoff, now.observed.atMs) });
    if (!operation.isRequested) now = setError(now, `the move failed: ${reason}`);
  }
  return operation.isRequested ? answer(now, "failed", `${reason}; nothing was changed`) : now;
}

export function updateMoved(
  before: Situation,
  { step, outcome: moved, tookMs }: MoveStepObservation,
): Situation {
  const { atMs } = before.observed;
  if (moved.ok) {
    // Looks that began before this time went over the previous route.
    const forgotten = { suspectedLoss: null, firstFailedCheck: null, pendingCheck: null, failedMove: null };
    return setState(before, { movedAtMs: atMs, ...forgotten });
  }
  const { route } = step;
  const reason = moved.text;
  const { failedMove } = before.state;
  const now = step.planned ? before : setState(before, { failedMove: { to: route, reason, atMs } });
  if (!step.planned && failedMove?.to === route && failedMove.reason === reason) return now;
  const duration_ms = Math.round(tookMs);
  return announce(now, { name: "share.move_failed", route, host: hostOf(now, route), reason, duration_ms });
}
