// How fast hosts have to answer while programs or a decision wait for them.
import type { CarriedPhase } from "../drivers/carriage.ts";
import type { RouteName } from "../share-spec.ts";
import type { Hurried } from "./share-subject.ts";

interface HurryInput {
  /** Phase of the carried share; null: nothing is carried. */
  readonly phase: CarriedPhase | null;
  /** The route that the mount uses. */
  readonly route: RouteName | null;
  /** A loss waits to be confirmed, or a request has waited too long for its answer. */
  readonly inDoubt: boolean;
  /** What the hosts needed for their answers at the last look, ms; null: no answer. */
  readonly tookMs: Readonly<Record<RouteName, number | null>>;
}

const SHORT_MS = 300;
/** While programs wait for a route, one look in so many gives slow hosts time to answer. */
const PATIENT_LOOK = 4;
/** No limit of its own: the configured one applies. */
const USUAL_MS = Number.POSITIVE_INFINITY;
/**
 * A host that needs more than this share of the short time is slow: cut short, it would count as gone, and lose its
 * proof.
 */
const SLOW_SHARE = 0.5;

/** One function for each share; each call stands for a look at its hosts. */
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
