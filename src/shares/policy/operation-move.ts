// Operations that move a mount to another route, in one step and without an unmount.
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
  if (route === undefined || !mount?.moving || mount.found.id !== operation.mountId)
    return endMove(now, operation, "the mount to be moved is gone");
  if (lastStep?.kind !== "move") return { ...now, step: { kind: "move", route } };
  return lastStep.outcome.ok
    ? finishArrived(now, operation, route)
    : endMove(now, operation, lastStep.outcome.text);
}

function endMove(before: Situation, operation: Operation, reason: string): Situation {
  let now = setState(before, { operation: null });
  if (operation.kind === "recovery") now = setState(now, failedRecovery(now, reason));
  else {
    now = setState(now, { mountBackoff: backOff(now.state.mountBackoff, now.observed.atMs) });
    if (!operation.isRequested) now = setError(now, `the move failed: ${reason}`);
  }
  return operation.isRequested ? answer(now, "failed", `${reason}; nothing was changed`) : now;
}

export function updateMoved(
  before: Situation,
  { step: { route }, outcome: moved, tookMs }: MoveStepObservation,
): Situation {
  // Checks that began before the move went over the previous route.
  if (moved.ok) return setState(before, { firstFailedCheck: null, pendingCheck: null });
  const duration_ms = Math.round(tookMs);
  const host = hostOf(before, route);
  return announce(before, { name: "share.move_failed", route, host, reason: moved.text, duration_ms });
}
