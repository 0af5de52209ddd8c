// The rules for a mount that stays on its route, when that is gone: it is replaced by a mount over the other route, or stays.
import { CONFIRM_AFTER_MS } from "../../reconcile/route-health.ts";
import { otherRoute, type RouteName } from "../share-spec.ts";
import { SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import { allHostsGone, answers, hostInUse, hostOf, routesFrom } from "./hosts.ts";
import type { RouteFact } from "./route-fact.ts";
import { type Answer, failing, pauseOf, type Rule, recheck } from "./rule.ts";
import { targetObstacle } from "./server-check.ts";
import type { Situation } from "./situation.ts";

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
  answer: (now, { routeFact }) => {
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
        return replace(now, routeFact);
    }
  },
};

/** Unmounts by force, and mounts over the other route. */
function replace(now: Situation, { route }: RouteFact): Answer {
  const other = otherRoute(route);
  const { probe } = now.observed.routes[route];
  if (!answers(now, other)) return failing(allHostsGone(now));
  const pause = pauseOf(now) ?? targetObstacle(now, other);
  if (pause !== null) return pause;
  const startsAtMs = mayBothStartUntil(now, route);
  if (startsAtMs !== null)
    return {
      why: "the server may be starting: it has just answered over the other route",
      ...recheck(Math.max(startsAtMs, now.observed.atMs + 1)),
    };
  const reason = `${hostOf(now, route)} is gone: ${probe.text}`;
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
