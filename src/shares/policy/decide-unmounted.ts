// Owns what to do with a share that is not mounted: over Thunderbolt if it answers, else fallback, else wait.
import { oneMissingText } from "../../secrets/reference.ts";
import type { RouteName } from "../share-spec.ts";
import { awaitsProof } from "./decide-carry.ts";
import { startErrand } from "./decide-errand.ts";
import { answers, clearError, type Draft, hostOf, setError } from "./draft.ts";
import type { Step } from "./step.ts";

/** The end of a proof wakes the lane; this is for one whose end was missed. */
const PROOF_LOOK_MS = 1000;

export function decideUnmounted(draft: Draft): Step | null {
  const { memory, seen, spec, episode } = draft;
  if (memory.held === "unmounted") {
    clearError(draft, "held unmounted");
    return null;
  }
  if (draft.request?.kind === "unmount" && draft.outcome !== null) return null;
  if (spec.missingVariable !== null) return null;
  if (seen.taken !== null) {
    setError(draft, `${spec.mountPath} is taken by ${seen.taken.source}`);
    return null;
  }
  if (seen.driverProblem !== null) {
    setError(draft, seen.driverProblem.text);
    return null;
  }
  if (episode.mountBackoff.notBeforeMs > seen.atMs) {
    draft.wakes.push({ atMs: episode.mountBackoff.notBeforeMs, reason: "retry" });
    return null;
  }
  if (awaitsProof(draft)) {
    draft.wakes.push({ atMs: seen.atMs + PROOF_LOOK_MS, reason: "confirm" });
    return null;
  }
  const plan = bestRoutes(draft);
  if (plan.length === 0) {
    setError(draft, `neither host answers: ${whyNeither(draft)}`);
    return null;
  }
  return startErrand(draft, { kind: "mount", reason: "not mounted", mode: "plain", plan, goal: null });
}

/** What stands now and keeps the share from being mounted at all; null: nothing, or it is mounted. */
export function whyUnmountable(draft: Draft): string | null {
  const { seen, spec } = draft;
  if (seen.mount !== null) return null;
  if (spec.missingVariable !== null) return oneMissingText(spec.missingVariable);
  if (seen.taken !== null) return `${spec.mountPath} is taken by ${seen.taken.source}`;
  if (seen.driverProblem !== null) return seen.driverProblem.text;
  return bestRoutes(draft).length === 0 ? `neither host answers: ${whyNeither(draft)}` : null;
}

/** The routes whose hosts answer, best first: Thunderbolt, unless the share is held to fallback. */
export function bestRoutes(draft: Draft): RouteName[] {
  const order: RouteName[] = draft.memory.held === "fallback" ? ["fallback", "tb"] : ["tb", "fallback"];
  return order.filter((route) => answers(draft, route));
}

export function whyNeither(draft: Draft): string {
  const text = (route: RouteName): string =>
    `${hostOf(draft, route)} (${draft.seen.routes[route].probe.text})`;
  return `${text("tb")}, ${text("fallback")}`;
}
