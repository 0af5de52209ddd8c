// What the probes of a share's two hosts mean: their health, and what is announced.
import { updateHealth } from "../../reconcile/route-health.ts";
import { ROUTE_NAMES, type RouteName, routesOf } from "../share-spec.ts";
import type { DecideInput } from "./decide-input.ts";
import { answers, hostOf } from "./hosts.ts";
import { announce, clearPending, type Situation, setMemory, setState } from "./situation.ts";

/** The observation has a gap if it pauses for more than this many check intervals. */
const GAP_INTERVALS = 3;

/** Time that a cycle may take besides its probes, ms: a readdir 1 s, open files 2 s. */
const OWN_CHECKS_MS = 3000;

export function updateRoutes(before: Situation): Situation {
  let now = ROUTE_NAMES.reduce(updateRoute, before);
  const { tb } = now.state.health;
  const tbReachableSince = tb.reachableSince?.wallMs ?? null;
  const tbHealthySince = tb.healthySince?.wallMs ?? null;
  const { memory } = now;
  if (memory.tbReachableSince !== tbReachableSince || memory.tbHealthySince !== tbHealthySince)
    now = setMemory(now, { tbReachableSince, tbHealthySince });
  return tbHealthySince === null || !answers(now, "tb")
    ? clearPending(now, "the preferred route dropped")
    : now;
}

function updateRoute(before: Situation, route: RouteName): Situation {
  const { observed, state, spec } = before;
  const { probe, atMs } = observed.routes[route];
  const known = state.health[route];
  if (known.observedAt !== null && known.observedAt.monotonicMs > atMs) return before;
  const up = probe.verdict === "answers";
  const at = { monotonicMs: atMs, wallMs: observed.wallMs - (observed.atMs - atMs) };
  const reading = { at, reachable: probe.tcpAnswered, healthy: up };
  const { health, dropped } = updateHealth(known, reading, gapMs(before));
  let now = setState(before, { health: { ...state.health, [route]: health } });
  if (routesOf(spec).includes(route) && state.announced[route]?.up !== up) {
    const name = up ? "share.route_up" : "share.route_down";
    now = setState(now, { announced: { ...state.announced, [route]: { up, atMs } } });
    now = announce(now, { name, route, host: hostOf(now, route), reason: probe.text });
  }
  // After a gap in the observation, or without a history, a pending return to Thunderbolt is dropped, even if
  // the host answers now.
  const isForgotten = route === "tb" && (dropped || known.healthySince === null);
  return isForgotten ? clearPending(now, up ? "the preferred route was not observed" : probe.text) : now;
}

/** Time without a check after which the observation has a gap, ms. It is longer than the longest cycle. */
function gapMs({ policy }: DecideInput): number {
  return Math.max(GAP_INTERVALS * policy.checkIntervalMs, policy.connectTimeoutMs + OWN_CHECKS_MS);
}
