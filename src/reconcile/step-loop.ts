// Brings one resource into its wanted state: decide, perform one step, decide again, until no step is left.
import { MountaineerError } from "../runtime/errors.ts";
import type { NextRun } from "./reconcile-loop.ts";

interface Decided<Step> {
  /** null: nothing is to be done now. */
  readonly step: Step | null;
  /** When to run again, and why; null: at the next trigger. */
  readonly nextRun: NextRun | null;
}

interface StepLoop<Step, Decision extends Decided<Step>> {
  /** For the error: "share CORE". */
  readonly subject: string;
  /** More steps than any operation takes; reaching this limit means an error in the decision. */
  readonly mostSteps: number;
  readonly decide: () => Decision;
  readonly perform: (step: Step) => void | Promise<void>;
}

/** Resolves with the first decision without a step. Rejects with `internal` after too many steps, and as `perform` does. */
export async function stepUntilDone<Step, Decision extends Decided<Step>>({
  subject,
  mostSteps,
  decide,
  perform,
}: StepLoop<Step, Decision>): Promise<Decision> {
  for (let steps = 0; steps < mostSteps; steps++) {
    const decision = decide();
    if (decision.step === null) return decision;
    const inProgress = perform(decision.step);
    // A synchronous step is not awaited, so that nothing else runs before the next decision.
    if (inProgress !== undefined) await inProgress;
  }
  throw new MountaineerError("internal", `${subject} did not settle in ${mostSteps} steps`);
}
