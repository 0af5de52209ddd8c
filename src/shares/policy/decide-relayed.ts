// The rules for a relayed mount: it stays whatever happens to the routes, and moves between them. A guarded mount only
// goes through the relay for identity checks.
import { otherRoute, type RouteName, routesOf } from "../share-spec.ts";
import { isOwnProved } from "./decide-eligibility.ts";
import { endBackoff, takeRoute, takeVerdict } from "./decide-mount-alive.ts";
import {
  deadWithoutHost,
  decideDead,
  explainUnchanged,
  GATE_RETRY_MS,
  oncePerCycle,
  oneCheckMissed,
  pushSlowRoute,
  remountForUnsent,
  remountOnceClosed,
  remountOutdated,
} from "./decide-mounted.ts";
import { mayFailOver } from "./decide-move.ts";
import { startOperation } from "./decide-operation.ts";
import { decideRecovery } from "./decide-recovery.ts";
import { allHostsGone } from "./decide-unmounted.ts";
import {
  answers,
  clearError,
  configuredAnswers,
  type DecisionBuilder,
  hostOf,
  passOver,
  passOverAsError,
  passOverInPause,
  recheckAt,
  setError,
  setState,
} from "./decision-builder.ts";
import {
  type MountObservation,
  NO_IDENTITY,
  type RelayObservation,
  type ServerIdentity,
} from "./share-observation.ts";
import type { Step } from "./step.ts";

/** Interval of looks while programs wait for a route, ms. */
const WAITING_CHECK_MS = 400;

export function decideRelayed(
  builder: DecisionBuilder,
  mount: MountObservation,
  route: RouteName,
  relayed: RelayObservation,
): Step | null {
  const own = takeRoute(builder);
  const verdict = takeVerdict(builder);
  recordUnverified(builder, relayed, own === "answers");
  if (relayed.rerouted) pushRerouted(builder, route);
  if (builder.memory.override === "unmounted") return null;
  if (verdict.state === "dead") {
    const { reason } = verdict;
    if (answers(builder, route) || answers(builder, otherRoute(route)))
      return decideDead(builder, mount, route, reason);
    return setError(builder, deadWithoutHost(builder, reason));
  }
  if (own === "waiting") return passOver(builder, "fail over", oneCheckMissed(builder, route));
  if (own === "gone") return decideRouteGone(builder, mount, route, relayed);
  explainUnchanged(builder, route, own, verdict);
  if (own === "slow") pushSlowRoute(builder, route);
  if (relayed.phase !== "carrying") {
    const gate = openGate(builder, route, relayed, builder.policy.outagePatienceMs);
    const isLost = relayed.rerouted && !isOwnProved(builder, route, relayed);
    // The address in use is no longer configured, and may belong to another server by now. So waiting for the mounted
    // server there is useless.
    return gate ?? (isLost ? followHost(builder, mount, route, true) : null);
  }
  if (verdict.state !== "alive") return null;
  if (own === "answers") {
    clearError(builder, "host and mount answer");
    setState(builder, { failedMove: null });
  }
  // A pause after a failed move is not reset here: files work over the present address, so the next try can
  // wait.
  if (relayed.rerouted) return followHost(builder, mount, route, false);
  endBackoff(builder);
  return (
    remountForUnsent(builder, mount, route) ??
    remountOutdated(builder, mount, route) ??
    (route === "fallback" ? decideRecovery(builder, mount) : null)
  );
}

/** How long programs may wait until the server of a guarded mount is proved, ms. */
const GUARDED_UNVERIFIED_MS = 10_000;

/**
 * For a mount that goes through the relay but cannot move (`guarded`). After an outage, the relay holds the
 * mount's requests back until the server is proved to be the same. Returns "open" if the relay holds nothing back.
 */
export function decideGuardedGate(
  builder: DecisionBuilder,
  mount: MountObservation,
  guarded: RelayObservation,
): Step | null | "open" {
  const { route = mount.found.route, phase } = guarded;
  const isUnreachable = route === null || !answers(builder, route);
  const isClosed = phase !== "carrying" && !isUnreachable && !mount.found.processGone;
  recordUnverified(builder, guarded, isClosed);
  if (!isClosed || builder.state.operation !== null || builder.memory.override === "unmounted") return "open";
  // The address in use is no longer configured, so the mount leaves it once no file is open.
  if (guarded.rerouted && !isOwnProved(builder, route, guarded))
    return leaveAddress(builder, mount, route, true);
  if (builder.state.suspectedLoss !== null) setState(builder, { suspectedLoss: null });
  return openGate(builder, route, guarded, GUARDED_UNVERIFIED_MS);
}

/** Notes the time since which programs wait for a proof although the server answers. */
function recordUnverified(builder: DecisionBuilder, { phase }: RelayObservation, isThere: boolean): void {
  const isUnverified = phase !== "carrying" && isThere;
  const { unverifiedSinceMs } = builder.state;
  if (isUnverified === (unverifiedSinceMs !== null)) return;
  setState(builder, { unverifiedSinceMs: isUnverified ? builder.observed.atMs : null });
}

function decideRouteGone(
  builder: DecisionBuilder,
  mount: MountObservation,
  route: RouteName,
  relayed: RelayObservation,
): Step | null {
  const { phase } = relayed;
  const other = otherRoute(route);
  const pause = (): Step | null => (phase === "carrying" ? oncePerCycle(builder, { kind: "hold" }) : null);
  const { proved, isProving, state, text } = builder.observed.relayEligibility?.identity ?? NO_IDENTITY;
  if (relayed.rerouted && !(proved[other] && answers(builder, other))) {
    const why = `${hostOf(builder, route)} is not verified, and the address in use is gone`;
    passOverAsError(builder, "fail over", why);
    recheckSoon(builder);
    return pause() ?? followHost(builder, mount, route, true);
  }
  if (!answers(builder, other)) {
    passOverAsError(builder, "fail over", allHostsGone(builder));
    if (builder.observed.offNetwork === null && isPatient(builder, relayed)) recheckSoon(builder);
    return pause();
  }
  const reason = `${hostOf(builder, route)} is gone: ${builder.observed.routes[route].probe.text}`;
  if (proved[other])
    return mayFailOver(builder)
      ? startOperation(builder, { kind: "failover", reason, mode: "plain", plan: [other], moves: true })
      : pause();
  // A failed proof is repeated as long as `isPatient` says so.
  const isWorthWaiting = state !== "different" && isPatient(builder, relayed);
  if (isWorthWaiting) recheckSoon(builder);
  if (isWorthWaiting || isProving) {
    passOver(builder, "fail over", notProved(builder, other));
    return pause();
  }
  if (passOverInPause(builder, "fail over")) return pause();
  // Open files may not move to a server that is not proved to be the same, so the share is remounted.
  const why = `${reason}; not verified to be the same server: ${text ?? hostOf(builder, other)}`;
  return startOperation(builder, { kind: "failover", reason: why, mode: "force", plan: [other, other] });
}

/**
 * Whether the route was lost less than `outage_patience_secs` ago. If that time is unknown, the relay's
 * phase decides.
 */
function isPatient(builder: DecisionBuilder, { phase, routeLostAtMs }: RelayObservation): boolean {
  const { observed, state, policy } = builder;
  const lostAtMs = routeLostAtMs ?? state.suspectedLoss?.firstAtMs ?? null;
  if (lostAtMs === null) return phase !== "refusing";
  return observed.atMs < lostAtMs + policy.outagePatienceMs;
}

/**
 * Plans the next look soon: programs wait for a host to answer, and the next regular look would be too late.
 */
function recheckSoon(builder: DecisionBuilder): void {
  recheckAt(builder, builder.observed.atMs + WAITING_CHECK_MS, "retry");
}

/**
 * Lets waiting programs continue over a route that answers again, if the server behind that route is proved to be the
 * mounted one. Remounts if it is another server, or if no proof succeeds within `withinMs`.
 */
function openGate(
  builder: DecisionBuilder,
  route: RouteName,
  relayed: RelayObservation,
  withinMs: number,
): Step | null {
  const { outage, rerouted } = relayed;
  const { isProving, state, text } = builder.observed.relayEligibility?.identity ?? NO_IDENTITY;
  const { lastStep, atMs } = builder.observed;
  if (isOwnProved(builder, route, relayed)) {
    // If this cycle has taken a step, there may have been another outage since the proof: observe again
    // first.
    return lastStep === null ? { kind: "confirm", outage } : recheckAt(builder, atMs + GATE_RETRY_MS);
  }
  const { unverifiedSinceMs } = builder.state;
  const isOverdue = unverifiedSinceMs !== null && atMs - unverifiedSinceMs >= withinMs;
  if (unverifiedSinceMs !== null && !isOverdue) recheckAt(builder, unverifiedSinceMs + withinMs);
  // The address was edited, perhaps by accident. That must not close open files, so the mount keeps its former address.
  if (rerouted) return null;
  if (isProving || (state !== "different" && !isOverdue))
    return passOver(builder, "let programs continue", notProved(builder, route));
  if (passOverInPause(builder, "replace the mount")) return null;
  const why =
    state === "different" ? "another server answers there" : "the server is not verified to be the same";
  return startOperation(builder, {
    kind: "remount",
    reason: `${why}: ${text ?? hostOf(builder, route)}`,
    mode: "force",
    plan: [route, otherRoute(route)],
  });
}

/**
 * Moves a mount away from an address that is no longer configured: to its route's new address, or to the other route
 * if its route was removed. Waits until no file is open, unless the same server is proved to be there.
 */
function followHost(
  builder: DecisionBuilder,
  mount: MountObservation,
  route: RouteName,
  isGone: boolean,
): Step | null {
  const { proved } = builder.observed.relayEligibility?.identity ?? NO_IDENTITY;
  const goal = remainingRoute(builder, route);
  if (passOverInPause(builder, "move to the new address")) return null;
  if (proved[goal] && configuredAnswers(builder, goal)) {
    const reason = followed(builder, goal);
    return startOperation(builder, { kind: "remount", reason, mode: "plain", plan: [goal], moves: true });
  }
  return leaveAddress(builder, mount, route, isGone);
}

function notProved(builder: DecisionBuilder, route: RouteName): string {
  const { text } = builder.observed.relayEligibility?.identity ?? NO_IDENTITY;
  return `${hostOf(builder, route)} is not verified to be the same server${text === null ? " yet" : `: ${text}`}`;
}

/** Returns `route` if the configuration still has this route, else the other route. */
function remainingRoute({ spec }: DecisionBuilder, route: RouteName): RouteName {
  return routesOf(spec).includes(route) ? route : otherRoute(route);
}

function followed(builder: DecisionBuilder, route: RouteName): string {
  return `its host is ${hostOf(builder, route)} now`;
}

function leaveAddress(
  builder: DecisionBuilder,
  mount: MountObservation,
  route: RouteName,
  isGone: boolean,
): Step | null {
  const { isProving, servers } = builder.observed.relayEligibility?.identity ?? NO_IDENTITY;
  if (passOverInPause(builder, "move to the new address")) return null;
  const names = routesOf(builder.spec);
  const plan = names.filter((name) => configuredAnswers(builder, name) && isJudged(servers?.[name]));
  if (isProving || plan.length === 0)
    return passOver(builder, "move to the new address", notProved(builder, remainingRoute(builder, route)));
  // Open files are not moved to another server, or to one without a proof.
  const reason = followed(builder, remainingRoute(builder, route));
  return remountOnceClosed(builder, mount, { reason, plan, lost: isGone });
}

/** Whether a proof of the server has ended, whatever its result. */
function isJudged(server: ServerIdentity | undefined): boolean {
  return server !== undefined && (server.id !== null || server.isAttempted);
}

function pushRerouted({ observed, spec, conditions }: DecisionBuilder, route: RouteName): void {
  const { servers, text, proved } = observed.relayEligibility?.identity ?? NO_IDENTITY;
  const { host, port } = spec.routes[route];
  const { probe } = observed.configured[route];
  if (proved[route] || probe.address === null) return;
  const isOther = (servers?.[route].id ?? null) !== null;
  const why = probe.verdict === "answers" ? (text ?? "it is being checked") : probe.text;
  const now = `Open files keep using ${observed.routes[route].probe.address ?? "the old address"} as long as it answers.`;
  conditions.push({
    code: "host_unproved",
    severity: "warning",
    title: isOther
      ? `${host}:${port} is not the server that is mounted: ${why}`
      : `${host}:${port} is not verified to be the server that is mounted: ${why}`,
    hint: `${now} Close them to mount the share from the new host, or set the host back.`,
  });
}
