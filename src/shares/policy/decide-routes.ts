// What the probes of a share's two hosts mean: health, announcements, and whether the host in use is gone.
import { suspect, updateHealth } from "../../reconcile/route-health.ts";
import { ROUTE_NAMES, type RouteName, routesOf } from "../share-spec.ts";
import {
  answers,
  clearPending,
  type DecisionBuilder,
  hostOf,
  recheckAt,
  setMemory,
  setState,
} from "./decision-builder.ts";
import { isDeadErrno, isLocalErrno, SILENT_CHECK_MS } from "./mount-errno.ts";

import type { MountObservation } from "./share-observation.ts";

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

/** `waiting`: a second probe must confirm the loss. `slow`: the host is silent, but the mount answers. */
export type OwnRoute = "answers" | "waiting" | "slow" | "gone";

/**
 * Whether the host of a mounted share is gone: two probes with the verdict `gone` prove that, two silent ones only if a
 * mount check also fails.
 */
export function judgeOwnRoute(builder: DecisionBuilder, route: RouteName, mount: MountObservation): OwnRoute {
  const judged = judgeByProbes(builder, route, mount);
  return typeof judged === "string" ? judged : judgeSilence(builder, mount, judged.silentSinceMs);
}

/**
 * Judges the route only by its probes. `silentSinceMs`: since when no probe has been answered. Silence alone proves
 * nothing.
 */
export function judgeByProbes(
  builder: DecisionBuilder,
  route: RouteName,
  { found }: MountObservation,
): Exclude<OwnRoute, "slow"> | { readonly silentSinceMs: number } {
  const { probe, atMs } = builder.observed.routes[route];
  if (probe.verdict === "answers") {
    if (builder.state.suspectedLoss !== null) setState(builder, { suspectedLoss: null });
    return "answers";
  }
  // A link of this machine that is down needs no second probe.
  if (probe.reason === "link_down") return "gone";
  const key = `${route} ${found.id}`;
  const verdict = suspect(builder.state.suspectedLoss, key, atMs, probe.verdict === "gone");
  setState(builder, { suspectedLoss: verdict.suspicion });
  if (verdict.state === "waiting") {
    recheckAt(builder, verdict.confirmAtMs);
    return "waiting";
  }
  return verdict.suspicion.certain ? "gone" : { silentSinceMs: verdict.suspicion.firstAtMs };
}

function judgeSilence(
  builder: DecisionBuilder,
  { found, check, guarded = null }: MountObservation,
  sinceMs: number,
): OwnRoute {
  // While the relay has no route for the mount, no mount check can begin.
  if (found.processGone || (guarded !== null && guarded.phase !== "carrying")) return "gone";
  const { atMs: nowMs } = builder.observed;
  if (check.state === "pending") {
    const waited = nowMs - check.startedAtMs;
    if (waited >= SILENT_CHECK_MS) return "gone";
    recheckAt(builder, check.startedAtMs + SILENT_CHECK_MS);
    return "waiting";
  }
  return judgeByCheck(builder, check, sinceMs);
}

/**
 * Judges a host that does not answer by a mount check. Only a check that began at `sinceMs` or later is used; without
 * one, plans one.
 */
export function judgeByCheck(
  builder: DecisionBuilder,
  check: MountObservation["check"],
  sinceMs: number,
): OwnRoute {
  const { atMs } = builder.observed;
  if (check.state === "answered" && check.startedAtMs >= sinceMs && !isLocalErrno(check.errno))
    return isDeadErrno(check.errno) ? "gone" : "slow";
  const finishedAtMs = check.state === "answered" ? check.finishedAtMs : atMs;
  recheckAt(builder, Math.max(atMs + 1, finishedAtMs + builder.cacheMs));
  return "waiting";
}
