// Owns how fast hosts have to answer while something waits for the verdict about them.
import type { CarriedPhase } from "../drivers/carriage.ts";
import type { RouteName } from "../share-spec.ts";
import { NOT_HURRIED } from "./observe.ts";
import type { Hurried } from "./share-subject.ts";

export interface HurryInput {
  /** Of what is carried; null: nothing is. */
  readonly phase: CarriedPhase | null;
  /** What is mounted goes over it. */
  readonly route: RouteName | null;
  /** Its loss waits to be confirmed, or a request has waited too long for its answer. */
  readonly inDoubt: boolean;
  /** What the last look found. */
  readonly answered: Readonly<Record<RouteName, boolean>>;
}

const SHORT_MS = 300;
/** While programs wait for a route, each look of so many gives hosts that are slow a chance, ms. */
const PATIENT_LOOK = 4;
const PATIENT_MS = 1_000;

/** One for each share; each call is a look at its hosts. */
export function createHurry(): (input: HurryInput) => Hurried {
  let looksWaiting = 0;
  let given: Readonly<Record<RouteName, number>> | null = null;
  return ({ phase, route, inDoubt, answered }) => {
    if (phase === "waiting" || phase === "unconfirmed") {
      looksWaiting++;
      const isPatient = looksWaiting % PATIENT_LOOK === 0;
      // One that answered when it was given time is slow, not gone: cut short, it would lose the proof of its server.
      const within = (name: RouteName): number =>
        isPatient || (given?.[name] === PATIENT_MS && answered[name]) ? PATIENT_MS : SHORT_MS;
      given = { tb: within("tb"), fallback: within("fallback") };
      return given;
    }
    looksWaiting = 0;
    given = null;
    return route === null || !inDoubt ? NOT_HURRIED : { [route]: SHORT_MS };
  };
}
