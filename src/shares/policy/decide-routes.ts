// What the probes of a share's two hosts mean: their health, and what is announced.
import { updateHealth } from "../../reconcile/route-health.ts";
import { ROUTE_NAMES, type RouteName, routesOf } from "../share-spec.ts";
import {
  answers,
  clearPending,
  type DecisionBuilder,
  hostOf,
  setMemory,
  setState,
} from "./decision-builder.ts";

/** The observation has a gap if it pauses for more than this many check intervals. */
const GAP_INTERVALS = 3;

/** Time that a cycle may take besides its probes, ms: a readdir 1 s, open files 2 s. */
const OWN_CHECKS_MS = 3000;

export function updateRoutes(builder: DecisionBuilder): void {
  for (const route of ROUTE_NAMES) updateRoute(builder, route);
  const { tb } = builder.state.health;
  const reachable = tb.reachableSince?.wallMs ?? null;
  const healthy = tb.healthySince?.wallMs ?? null;
  if (builder.memory.tbReachableSince !== reachable || builder.memory.tbHealthySince !== healthy) {
    setMemory(builder, { tbReachableSince: reachable, tbHealthySince: healthy });
  }
  if (healthy === null || !answers(builder, "tb")) clearPending(builder, "Thunderbolt dropped");
}

function updateRoute(builder: DecisionBuilder, route: RouteName): void {
  const { probe, atMs } = builder.observed.routes[route];
  const before = builder.state.health[route];
  if (before.observedAt !== null && before.observedAt.monotonicMs > atMs) return;
  const up = probe.verdict === "answers";
  const age = builder.observed.atMs - atMs;
  const { health, dropped } = updateHealth(
    before,
    {
      at: { monotonicMs: atMs, wallMs: builder.observed.wallMs - age },
      reachable: probe.tcpAnswered,
      healthy: up,
    },
    gapMs(builder),
  );
  const isThere = routesOf(builder.spec).includes(route);
  if (isThere && builder.state.announced[route]?.up !== up) {
    const [name, host] = [up ? "share.route_up" : "share.route_down", hostOf(builder, route)] as const;
    setState(builder, { announced: { ...builder.state.announced, [route]: { up, atMs } } });
    builder.transitions.push({ name, route, host, reason: probe.text });
  }
  setState(builder, { health: { ...builder.state.health, [route]: health } });
  // After a gap in the observation, or without a history, a pending return to Thunderbolt is dropped, even if
  // the host answers now.
  if (route === "tb" && (dropped || before.healthySince === null))
    clearPending(builder, up ? "Thunderbolt was not observed" : probe.text);
}

/** Time without a check after which the observation has a gap, ms. It is longer than the longest cycle. */
function gapMs({ policy }: DecisionBuilder): number {
  return Math.max(GAP_INTERVALS * policy.checkIntervalMs, policy.connectTimeoutMs + OWN_CHECKS_MS);
}
