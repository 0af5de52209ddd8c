// The facts about the observed mount, each judged once for all rules, and what the next decision needs to know of them.
import type { DecideInput } from "./decide-input.ts";
import { answers } from "./hosts.ts";
import { type MountFact, mountFact } from "./mount-fact.ts";
import { type RouteFact, routeFact } from "./route-fact.ts";
import type { MountObservation } from "./share-observation.ts";
import { recheckAt, type Situation, setState } from "./situation.ts";

export interface Facts {
  readonly mount: MountObservation;
  readonly mountFact: MountFact;
  /** The route that the mount uses; null: the mount does not match the configuration. */
  readonly routeFact: RouteFact | null;
  /** Whether the relay holds the requests of a guarded mount back although the server answers. */
  readonly isGateClosed: boolean;
  /** Since when programs wait for a proof although the server answers, monotonic ms; null: none waits. */
  readonly unprovedSinceMs: number | null;
}

export function factsOf(input: DecideInput, mount: MountObservation): Facts {
  const { route, path, madeByDriver } = mount.found;
  const isMisplaced = madeByDriver && path !== input.spec.mountPath;
  const own = route === null || isMisplaced ? null : routeFact(input, mount, route);
  const facts = { mount, mountFact: mountFact(input, mount), routeFact: own };
  const isGateClosed = isClosed(input, mount);
  const isThere = (mount.relayed ?? null) === null ? isGateClosed : own?.state === "answers";
  const unprovedSinceMs = unprovedSince(input, mount, isThere);
  return { ...facts, isGateClosed, unprovedSinceMs };
}

function isClosed(input: DecideInput, { found, guarded = null }: MountObservation): boolean {
  const route = guarded?.route ?? found.route;
  if (guarded === null || route === null || found.processGone) return false;
  return guarded.phase !== "carrying" && answers(input, route);
}

function unprovedSince(
  { state, observed }: DecideInput,
  { relayed = null, guarded = null }: MountObservation,
  isThere: boolean,
): number | null {
  const through = relayed ?? guarded;
  if (through === null) return state.unprovedSinceMs;
  const isUnproved = through.phase !== "carrying" && isThere;
  return isUnproved ? (state.unprovedSinceMs ?? observed.atMs) : null;
}

/** Remembers what the checks of the mount and the probes of its route have shown. */
export function learnFrom(before: Situation, facts: Facts): Situation {
  const { mountFact: judged, routeFact: own, unprovedSinceMs, mount } = facts;
  const { learned, condition } = judged;
  const isRelayed = own !== null && (mount.relayed ?? null) !== null;
  let now = setState(before, {
    ...learned,
    ...(own === null ? {} : { suspectedLoss: own.suspectedLoss }),
    ...(isRelayed ? { unprovedSinceMs } : {}),
  });
  if (condition !== null) now = { ...now, conditions: [...now.conditions, condition] };
  for (const atMs of [own?.recheckAtMs ?? null, judged.recheckAtMs])
    if (atMs !== null) now = recheckAt(now, atMs);
  return now;
}
