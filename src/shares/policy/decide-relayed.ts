// The rules for mounts that go through the relay: when waiting programs continue, and how a mount leaves an address that
// is no longer configured. A relayed mount moves between routes; a guarded mount goes through the relay for identity
// checks, and is not moved.
import { otherRoute, type RouteName, routesOf } from "../share-spec.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import type { Facts } from "./facts.ts";
import { configuredAnswers, hostOf } from "./hosts.ts";
import { remountOnceClosed } from "./open-files.ts";
import { type Answer, GATE_RETRY_MS, pauseOf, type Rule, recheck } from "./rule.ts";
import { isOwnProved, notProved } from "./server-proof.ts";
import {
  type MountObservation,
  NO_IDENTITY,
  type RelayObservation,
  type ServerIdentity,
} from "./share-observation.ts";
import type { Situation } from "./situation.ts";

/** How long programs may wait until the server of a guarded mount is proved, ms. */
const GUARDED_UNPROVED_MS = 10_000;

/**
 * After an outage, the relay holds the requests of a guarded mount back until the server is proved to be the same.
 */
export const openGuardedGate: Rule = {
  name: "let programs continue",
  answer: (now, { mount, isGateClosed, unprovedSinceMs }) => {
    const { guarded = null, found } = mount;
    const route = guarded?.route ?? found.route;
    if (guarded === null) return null;
    const learned = { unprovedSinceMs };
    const isIgnored = now.state.operation !== null || now.memory.override === "unmounted";
    if (!isGateClosed || route === null || isIgnored) return { passes: true, learned };
    // The address in use is no longer configured, so the mount leaves it once no file is open.
    if (guarded.rerouted && !isOwnProved(now, route, guarded)) {
      const leaves = leaveAddress(now, mount, route, true);
      return { ...leaves, learned: { ...learned, ...leaves.learned } };
    }
    const opens = openGate(now, route, guarded, { unprovedSinceMs, withinMs: GUARDED_UNPROVED_MS });
    return { ...opens, learned: { ...learned, suspectedLoss: null } };
  },
};

export const openGateOfRelayed: Rule = {
  name: "let programs continue",
  answer: (now, { mount: { relayed = null }, routeFact, unprovedSinceMs }) => {
    if (relayed === null || relayed.phase === "carrying") return null;
    if (routeFact === null || routeFact.state === "gone") return null;
    const withinMs = now.policy.outagePatienceMs;
    return {
      passes: isAddressLost(now, routeFact.route, relayed),
      ...openGate(now, routeFact.route, relayed, { unprovedSinceMs, withinMs }),
    };
  },
};

/** Leaves an address that is no longer configured and is gone, or whose server is not proved after an outage. */
export const leaveLostAddress: Rule = {
  name: "move to the new address",
  answer: (now, { mount, routeFact }) => {
    const { relayed = null } = mount;
    if (!relayed?.rerouted || routeFact === null) return null;
    const isLost = routeFact.state === "gone" || relayed.phase !== "carrying";
    return isLost ? followHost(now, mount, routeFact.route, true) : null;
  },
};

/** Leaves a working address that is no longer configured. */
export const leaveAddressInUse: Rule = {
  name: "move to the new address",
  answer: (now, { mount, routeFact }) =>
    mount.relayed?.rerouted && routeFact !== null ? followHost(now, mount, routeFact.route, false) : null,
};

/**
 * Whether the address in use is no longer configured, and may belong to another server by now. Waiting for the mounted
 * server there is useless.
 */
function isAddressLost(input: DecideInput, route: RouteName, relayed: RelayObservation): boolean {
  return relayed.rerouted && !isOwnProved(input, route, relayed);
}

/**
 * Lets waiting programs continue over a route that answers again, if the server behind that route is proved to be the
 * mounted one. Remounts if it is another server, or if no proof succeeds within `withinMs`.
 */
function openGate(
  now: Situation,
  route: RouteName,
  relayed: RelayObservation,
  { unprovedSinceMs, withinMs }: { readonly unprovedSinceMs: number | null; readonly withinMs: number },
): Answer {
  const { outage, rerouted } = relayed;
  const { isProving, state, text } = now.observed.relayEligibility?.identity ?? NO_IDENTITY;
  const { lastStep, atMs } = now.observed;
  if (isOwnProved(now, route, relayed)) {
    // If this cycle has taken a step, there may have been another outage since the proof: observe again
    // first.
    return lastStep === null ? { step: { kind: "confirm", outage } } : recheck(atMs + GATE_RETRY_MS);
  }
  const isOverdue = unprovedSinceMs !== null && atMs - unprovedSinceMs >= withinMs;
  const due = unprovedSinceMs === null || isOverdue ? {} : recheck(unprovedSinceMs + withinMs);
  // The address was edited, perhaps by accident. That must not close open files, so the mount keeps its former address.
  if (rerouted) return due;
  if (isProving || (state !== "different" && !isOverdue)) return { why: notProved(now, route), ...due };
  const pause = pauseOf(now);
  if (pause !== null) return { ...pause, nextRuns: [...(due.nextRuns ?? []), ...(pause.nextRuns ?? [])] };
  const why =
    state === "different" ? "another server answers there" : "the server is not proved to be the same";
  const reason = `${why}: ${text ?? hostOf(now, route)}`;
  const plan = [route, otherRoute(route)];
  return { start: { kind: "remount", reason, mode: "force", plan }, ...due };
}

/**
 * Moves a mount away from an address that is no longer configured: to its route's new address, or to the other route
 * if its route was removed. Waits until no file is open, unless the same server is proved to be there.
 */
function followHost(now: Situation, mount: MountObservation, route: RouteName, isGone: boolean): Answer {
  const { proved } = now.observed.relayEligibility?.identity ?? NO_IDENTITY;
  const goal = remainingRoute(now, route);
  if (pauseOf(now) === null && proved[goal] && configuredAnswers(now, goal)) {
    const reason = followed(now, goal);
    return { start: { kind: "remount", reason, mode: "plain", plan: [goal], moves: true } };
  }
  return leaveAddress(now, mount, route, isGone);
}

/** Returns `route` if the configuration still has this route, else the other route. */
function remainingRoute({ spec }: DecideInput, route: RouteName): RouteName {
  return routesOf(spec).includes(route) ? route : otherRoute(route);
}

function followed(input: DecideInput, route: RouteName): string {
  return `its host is ${hostOf(input, route)} now`;
}

function leaveAddress(now: Situation, mount: MountObservation, route: RouteName, isGone: boolean): Answer {
  const { isProving, servers } = now.observed.relayEligibility?.identity ?? NO_IDENTITY;
  const pause = pauseOf(now);
  if (pause !== null) return pause;
  const plan = routesOf(now.spec).filter((name) => configuredAnswers(now, name) && isJudged(servers?.[name]));
  const goal = remainingRoute(now, route);
  if (isProving || plan.length === 0) return { why: notProved(now, goal) };
  // Open files are not moved to another server, or to one without a proof.
  return remountOnceClosed(now, mount, { reason: followed(now, goal), plan, lost: isGone });
}

/** Whether a proof of the server has ended, whatever its result. */
function isJudged(server: ServerIdentity | undefined): boolean {
  return server !== undefined && (server.id !== null || server.isAttempted);
}

/** The condition of a relayed mount that stays at an address which is no longer configured. */
export function addressConditions(
  { observed, spec }: DecideInput,
  { mount, routeFact }: Facts,
): ConditionDraft[] {
  if (!mount.relayed?.rerouted || routeFact === null) return [];
  const { route } = routeFact;
  const { servers, text, proved } = observed.relayEligibility?.identity ?? NO_IDENTITY;
  const { host, port } = spec.routes[route];
  const { probe } = observed.configured[route];
  if (proved[route] || probe.address === null) return [];
  const isOther = (servers?.[route].id ?? null) !== null;
  const why = probe.verdict === "answers" ? (text ?? "it is being checked") : probe.text;
  const address = observed.routes[route].probe.address ?? "the old address";
  return [SHARE_CONDITIONS.host_unproved(`${host}:${port}`, isOther, why, address)];
}
