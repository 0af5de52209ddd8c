// The facts about the observed mount, each judged once for all rules, and what the next decision needs to know of them.
import type { DecideInput } from "./decide-input.ts";
import { type MountFact, mountFact } from "./mount-fact.ts";
import { movingMountFact, movingRouteFact, reportOn } from "./moving-mount.ts";
import { type RouteFact, routeFact } from "./route-fact.ts";
import type { MountObservation } from "./share-observation.ts";
import { recheckAt, type Situation, setState } from "./situation.ts";

export interface Facts {
  readonly mount: MountObservation;
  readonly mountFact: MountFact;
  /** The route that the mount uses; null: the mount does not match the configuration. */
  readonly routeFact: RouteFact | null;
}

/**
 * Both facts come from the mount's own program where it has one that moves it, as that program has the connection; else from probes
 * and checks.
 */
export function factsOf(input: DecideInput, mount: MountObservation): Facts {
  const { route, path, madeByDriver } = mount.found;
  const isMisplaced = madeByDriver && path !== input.spec.mountPath;
  const own = isMisplaced ? null : route;
  const report = reportOn(mount);
  if (report === null)
    return {
      mount,
      mountFact: mountFact(input, mount),
      routeFact: own === null ? null : routeFact(input, mount, own),
    };
  return {
    mount,
    mountFact: movingMountFact(input, mount, report),
    routeFact: own === null ? null : movingRouteFact(input, report, own),
  };
}

/** Remembers what the checks of the mount and the probes of its route have shown. */
export function learnFrom(before: Situation, { mountFact: judged, routeFact: own }: Facts): Situation {
  const { learned, condition } = judged;
  let now = setState(before, {
    ...learned,
    ...(own === null ? {} : { suspectedLoss: own.suspectedLoss }),
  });
  if (condition !== null) now = { ...now, conditions: [...now.conditions, condition] };
  for (const atMs of [own?.recheckAtMs ?? null, judged.recheckAtMs])
    if (atMs !== null) now = recheckAt(now, atMs);
  return now;
}
