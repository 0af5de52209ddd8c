// A goal that is reached by moving what is carried: one step, and no unmount.
import { backOff } from "../../reconcile/route-health.ts";
import { finishArrived, pauseRecovery } from "./decide-errand-end.ts";
import { type Draft, hostOf, setEpisode, setError } from "./draft.ts";
import type { Errand } from "./episode.ts";
import { outcome } from "./share-request.ts";
import type { MoveStepSeen } from "./share-seen.ts";
import type { Step } from "./step.ts";

/** The next step of `errand`, or null when it has ended. */
export function continueMove(draft: Draft, errand: Errand): Step | null {
  const { mount, lastStep } = draft.seen;
  const [route] = errand.plan;
  if (route === undefined || !mount?.carried || mount.found.id !== errand.mountId) {
    return endMove(draft, errand, "what was to be moved is no longer there");
  }
  if (lastStep?.kind !== "move") return { kind: "move", route, planned: errand.kind !== "failover" };
  if (!lastStep.outcome.ok) return endMove(draft, errand, lastStep.outcome.text);
  finishArrived(draft, errand, route);
  return null;
}

function endMove(draft: Draft, errand: Errand, reason: string): null {
  setEpisode(draft, { errand: null });
  if (errand.kind === "recovery") {
    setEpisode(draft, {
      tableReadWith: null,
      recoveryBackoff: pauseRecovery(draft),
      recoveryFailure: reason,
    });
  } else {
    setEpisode(draft, { mountBackoff: backOff(draft.episode.mountBackoff, draft.seen.atMs) });
    if (!errand.asked) setError(draft, `the move failed: ${reason}`);
  }
  if (errand.asked) draft.outcome = outcome("failed", `${reason}; nothing was changed`);
  return null;
}

export function foldMoved(draft: Draft, { step, outcome: moved, tookMs }: MoveStepSeen): void {
  if (moved.ok) {
    // What looks found before says nothing of what it talks to now.
    setEpisode(draft, {
      movedAtMs: draft.seen.atMs,
      suspicion: null,
      deadLook: null,
      pendingLook: null,
    });
    return;
  }
  draft.transitions.push({
    name: "share.move_failed",
    route: step.route,
    host: hostOf(draft, step.route),
    reason: moved.text,
    duration_ms: Math.round(tookMs),
  });
}
