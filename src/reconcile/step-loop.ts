// Brings one resource where it should be: decide, take one step, decide again, until nothing is left to do.
import { MountaineerError } from "../runtime/errors.ts";
import type { Wake } from "./lane.ts";

interface Decided<Step> {
  /** null: there is nothing to do now. */
  readonly step: Step | null;
  /** When to look again, and why; null: when something happens. */
  readonly wake: Wake | null;
}

interface StepLoop<Step, Decision extends Decided<Step>> {
  /** For the error: "share CORE". */
  readonly subject: string;
  /** More steps than any operation takes; reaching it is a mistake in the decision. */
  readonly mostSteps: number;
  readonly decide: () => Decision;
  readonly perform: (step: Step) => void | Promise<void>;
}

/** Resolves with the first decision that has no step. Rejects with `internal`, and as `perform` does. */
export async function stepUntilSettled<Step, Decision extends Decided<Step>>({
  subject,
  mostSteps,
  decide,
  perform,
}: StepLoop<Step, Decision>): Promise<Decision> {
  for (let steps = 0; steps < mostSteps; steps++) {
    const decision = decide();
    if (decision.step === null) return decision;
    const underWay = perform(decision.step);
    // After a synchronous step the next decision follows at once: nothing else runs in between.
    if (underWay !== undefined) await underWay;
  }
  throw new MountaineerError("internal", `${subject} did not settle in ${mostSteps} steps`);
}
