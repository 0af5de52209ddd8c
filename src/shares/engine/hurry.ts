// How fast hosts have to answer while programs or a decision wait for them.
import type { CarriedPhase } from "../drivers/carriage.ts";
import type { RouteName } from "../share-spec.ts";
import type { Hurried } from "./share-subject.ts";

interface HurryInput {
  /** Phase of the carried share; null: nothing is carried. */
  readonly phase: CarriedPhase | null;
  /** What is mounted goes over it. */
  readonly route: RouteName | null;
  /** Its loss waits to be confirmed, or a request has waited too long for its answer. */
  readonly inDoubt: boolean;
  /** What the hosts needed for their answers at the last look, ms; null: no answer. */
  readonly tookMs: Readonly<Record<RouteName, number | null>>;
}

const SHORT_MS = 300;
/** While programs wait for a route, each look of so many gives hosts that are slow a chance. */
const PATIENT_LOOK = 4;
/** As long as the configuration says. */
const USUAL_MS = Number.POSITIVE_INFINITY;
/** One that needs more of the short time than this is slow: cut short, it would count as gone, and lose its proof. */
const SLOW_SHARE = 0.5;

/** One for each share; each call is a look at its hosts. */
export function createHurry(): (input: HurryInput) => Hurried {
  let looksWaiting = 0;
  return ({ phase, route, inDoubt, tookMs }) => {
    if (phase === "waiting" || phase === "unconfirmed") {
      looksWaiting++;
      const isPatient = looksWaiting % PATIENT_LOOK === 0;
      const within = (name: RouteName): number =>
        isPatient || (tookMs[name] ?? 0) > SHORT_MS * SLOW_SHARE ? USUAL_MS : SHORT_MS;
      return { tb: within("tb"), fallback: within("fallback") };
    }
    looksWaiting = 0;
    return route === null || !inDoubt ? {} : { [route]: SHORT_MS };
  };
}
