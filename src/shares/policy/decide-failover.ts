// The rules for a mount whose route is gone: it moves to the other route, is replaced by a mount over it, or stays.
import { CONFIRM_AFTER_MS } from "../../reconcile/route-health.ts";
import { otherRoute, type RouteName } from "../share-spec.ts";
import { SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import type { Facts } from "./facts.ts";
import { allHostsGone, answers, configuredAnswers, hostInUse, hostOf, routesFrom } from "./hosts.ts";
import type { RouteFact } from "./route-fact.ts";
import { type Answer, failing, oncePerCycle, pauseOf, type Rule, recheck } from "./rule.ts";
import { notProved } from "./server-proof.ts";
import { NO_IDENTITY, type RelayObservation } from "./share-observation.ts";
import type { Situation } from "./situation.ts";

/** Interval of checks while programs wait for a route, ms. */
const WAITING_CHECK_MS = 400;
/** Pause after a failed failover, ms. Programs wait, and a try is one question to the server. */
const MOVE_AGAIN_MS = 1_000;

/** Unmounts what leads to the local disk, even if no other route answers: nothing may be written there. */
export const leaveLocalDisk: Rule = {
  name: "fail over",
  answer: (now, { mount: { found } }) => {
    if (found.lost === undefined) return null;
    const reason = found.lost;
    const pause = pauseOf(now);
    if (pause !== null) return { ...pause, error: reason };
    const plan = routesFrom(now, found.route ?? "tb");
    return { start: { kind: "failover", reason, mode: "force", plan } };
  },
};

/** Fails over if the host of the route in use is gone. */
export const failOver: Rule = {
  name: "fail over",
  answer: (now, facts) => {
    const { routeFact } = facts;
    if (routeFact === null) return null;
    const { route, state } = routeFact;
    const host = hostOf(now, route);
    const { text } = now.observed.routes[route].probe;
    switch (state) {
      case "answers":
        return { passes: true, why: `${hostInUse(now, route)} answers` };
      case "waiting":
        return { why: `${host} missed one check (${text}); a second one decides` };
      case "slow":
        return {
          passes: true,
          why: `${host} is silent, but the mount answers`,
          conditions: [SHARE_CONDITIONS.route_slow(host, text)],
        };
      case "gone":
        return facts.mount.relayed
          ? moveToOther(now, route, facts.mount.relayed)
          : replace(now, facts, routeFact);
    }
  },
};

/** For a mount that cannot move: unmounts it by force, and mounts over the other route. */
function replace(now: DecideInput, { mount: { guarded } }: Facts, { route }: RouteFact): Answer {
  const other = otherRoute(route);
  const { probe } = now.observed.routes[route];
  const host = hostOf(now, route);
  const pause = pauseOf(now);
  // The host now has another address, and the mount cannot be moved to it.
  const isElsewhere = guarded?.rerouted === true && configuredAnswers(now, route);
  if (isElsewhere && pause === null) {
    const reason = `${host} has a new address: ${probe.text}`;
    return { start: { kind: "failover", reason, mode: "force", plan: [route, other] } };
  }
  if (!answers(now, other)) {
    const due = isElsewhere ? pause?.nextRuns : undefined;
    return { ...failing(allHostsGone(now)), ...(due && { nextRuns: due }) };
  }
  if (pause !== null) return pause;
  const startsAtMs = mayBothStartUntil(now, route);
  if (startsAtMs !== null)
    return {
      why: "the server may be starting: it has just answered over the other route",
      ...recheck(Math.max(startsAtMs, now.observed.atMs + 1)),
    };
  const reason = `${host} is gone: ${probe.text}`;
  return { start: { kind: "failover", reason, mode: "force", plan: [other, other] } };
}

/**
 * Until when the server may just be starting, monotonic ms; null: it is not. A starting server answers over one route a
 * moment before the other, and a failover would cut off programs that wait for `route`.
 */
function mayBothStartUntil({ observed, state }: DecideInput, route: RouteName): number | null {
  const { probe, atMs } = observed.routes[route];
  const other = state.announced[otherRoute(route)];
  // A link of this machine that is down needs no second probe.
  if (other === null || probe.reason === "link_down") return null;
  const probedFromMs = other.atMs + CONFIRM_AFTER_MS;
  return atMs >= probedFromMs ? null : probedFromMs;
}

/** For a relayed mount: moves it to the other route. Until that is possible, the relay holds its programs back. */
function moveToOther(now: Situation, route: RouteName, relayed: RelayObservation): Answer {
  const { observed } = now;
  const other = otherRoute(route);
  const paused: Answer = relayed.phase === "carrying" ? oncePerCycle(now, { kind: "hold" }) : {};
  const pausedAnd = (more: Answer): Answer => ({
    ...paused,
    ...more,
    nextRuns: [...(more.nextRuns ?? []), ...(paused.nextRuns ?? [])],
  });
  const soon = recheck(observed.atMs + WAITING_CHECK_MS, "retry");
  const { proved, isProving, state, text } = observed.relayEligibility?.identity ?? NO_IDENTITY;
  if (relayed.rerouted && !(proved[other] && answers(now, other))) {
    const why = `${hostOf(now, route)} is not proved, and the address in use is gone`;
    return pausedAnd({ ...failing(why), passes: true, ...soon });
  }
  if (!answers(now, other)) {
    const isSoon = observed.offNetwork === null && isPatient(now, relayed);
    return pausedAnd({ ...failing(allHostsGone(now)), ...(isSoon ? soon : {}) });
  }
  const reason = `${hostOf(now, route)} is gone: ${observed.routes[route].probe.text}`;
  if (proved[other]) {
    const { failedMove } = now.state;
    const notBeforeMs = (failedMove?.atMs ?? Number.NEGATIVE_INFINITY) + MOVE_AGAIN_MS;
    if (notBeforeMs <= observed.atMs)
      return { start: { kind: "failover", reason, mode: "plain", plan: [other], moves: true } };
    const why = `the last try failed: ${failedMove?.reason}`;
    return pausedAnd({ why, untilMs: notBeforeMs, ...recheck(notBeforeMs, "retry") });
  }
  // A failed proof is repeated as long as `isPatient` says so.
  const isWorthWaiting = state !== "different" && isPatient(now, relayed);
  if (isWorthWaiting || isProving)
    return pausedAnd({ why: notProved(now, other), ...(isWorthWaiting ? soon : {}) });
  const pause = pauseOf(now);
  if (pause !== null) return pausedAnd(pause);
  // Open files may not move to a server that is not proved to be the same, so the share is remounted.
  const why = `${reason}; not proved to be the same server: ${text ?? hostOf(now, other)}`;
  return { start: { kind: "failover", reason: why, mode: "force", plan: [other, other] } };
}

/**
 * Whether the route was lost less than `outage_patience_secs` ago. If that time is unknown, the relay's
 * phase decides.
 */
function isPatient(
  { observed, state, policy }: DecideInput,
  { phase, routeLostAtMs }: RelayObservation,
): boolean {
  const lostAtMs = routeLostAtMs ?? state.suspectedLoss?.firstAtMs ?? null;
  if (lostAtMs === null) return phase !== "refusing";
  return observed.atMs < lostAtMs + policy.outagePatienceMs;
}
