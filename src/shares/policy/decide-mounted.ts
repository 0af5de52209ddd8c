// The rules for a share that is mounted: keep it, fail over, replace a dead mount, or go back to Thunderbolt.

import { CONFIRM_AFTER_MS } from "../../reconcile/route-health.ts";
import type { FoundMount } from "../drivers/mount-driver.ts";
import { otherRoute, type RouteName } from "../share-spec.ts";
import { endBackoff, takeRoute, takeVerdict, updateShortLife } from "./decide-mount-alive.ts";
import { checkedOpenFiles, mountObstacle, routesFrom, startOperation } from "./decide-operation.ts";
import { decideRecovery } from "./decide-recovery.ts";
import { allHostsGone, bestRoutes, noHostAnswers } from "./decide-unmounted.ts";
import {
  answers,
  areProgramsStopped,
  clearError,
  configuredAnswers,
  type DecisionBuilder,
  hostOf,
  passOver,
  passOverAsError,
  passOverInPause,
  recheckAt,
  setError,
} from "./decision-builder.ts";
import { type MountVerdict, UNPROVEN } from "./mount-fact.ts";
import type { RouteFact } from "./route-fact.ts";
import { type MountObservation, NO_IDENTITY, type RelayObservation } from "./share-observation.ts";
import type { Step } from "./step.ts";

/** Pause between two requests to the relay to let connections through or to hold them back, ms. */
export const GATE_RETRY_MS = 250;

export function decideMounted(
  builder: DecisionBuilder,
  mount: MountObservation,
  route: RouteName,
): Step | null {
  const own = takeRoute(builder);
  const verdict = takeVerdict(builder);
  // A person has unmounted the share (`override`), so someone else made this mount.
  if (own === "waiting") return passOver(builder, "fail over", oneCheckMissed(builder, route));
  if (builder.memory.override === "unmounted") return null;
  if (own === "gone") return decideHostGone(builder, mount, route);
  if (verdict.state === "dead") return decideDead(builder, mount, route, verdict.reason);
  explainUnchanged(builder, route, own, verdict);
  if (own === "slow") pushSlowRoute(builder, route);
  if (verdict.state !== "alive") return null;
  if (own === "answers") clearError(builder, "host and mount answer");
  endBackoff(builder);
  return (
    remountForUnsent(builder, mount, route) ??
    remountOutdated(builder, mount, route) ??
    (route === "fallback" ? decideRecovery(builder, mount) : null)
  );
}

export function oneCheckMissed(builder: DecisionBuilder, route: RouteName): string {
  return `${hostOf(builder, route)} missed one check (${builder.observed.routes[route].probe.text}); a second one decides`;
}

/** Records why the mount stays as it is, although it might have to be moved or replaced. */
export function explainUnchanged(
  builder: DecisionBuilder,
  route: RouteName,
  own: RouteFact["state"],
  verdict: MountVerdict,
): void {
  const host = hostOf(builder, route);
  const isSilent = own === "slow";
  passOver(builder, "fail over", isSilent ? `${host} is silent, but the mount answers` : `${host} answers`);
  const why = verdict.state === "unproven" ? UNPROVEN[verdict.why] : "the mount answers";
  if (verdict.state !== "dead") passOver(builder, "replace the mount", why);
}

/**
 * Remounts the share if a proof recognized its server only after the mount: files that are kept for that server can
 * only be sent by a new mount.
 */
export function remountForUnsent(
  builder: DecisionBuilder,
  mount: MountObservation,
  route: RouteName,
): Step | null {
  const better = builder.observed.relayEligibility?.identity.correctedId ?? null;
  const { server = null } = mount.relayed ?? mount.guarded ?? {};
  if (better === null || better === server || passOverInPause(builder, "remount")) return null;
  return remountOnceClosed(builder, mount, {
    reason: "its server is verified now, and files for it wait here",
    plan: [route],
  });
}

/** Replaces a mount that was made with other options than today's, or by an older engine, as soon as no file on it is open. */
export function remountOutdated(
  builder: DecisionBuilder,
  mount: MountObservation,
  route: RouteName,
): Step | null {
  if (mount.found.outdated !== true) return null;
  builder.conditions.push({
    code: "mount_outdated",
    severity: "warning",
    title:
      "Mounted with outdated settings: its configuration, its server, rclone or Mountaineer has changed since",
    hint: "It remounts once all files are closed and sent.",
  });
  if (passOverInPause(builder, "remount")) return null;
  const obstacle = mountObstacle(builder);
  if (obstacle !== null) return passOver(builder, "remount", obstacle);
  const plan = routesFrom(builder, route);
  return remountOnceClosed(builder, mount, { reason: "its settings have changed", plan });
}

/**
 * Decides about a mount whose logins the relay delays: lets the logins through again, or remounts. Returns "open" if
 * the other rules have to decide.
 */
export function decideRefusedLogin(
  builder: DecisionBuilder,
  mount: MountObservation,
  { route: inUse, phase }: RelayObservation,
): Step | null | "open" {
  const route = inUse ?? mount.found.route;
  const { login, relayEligibility } = builder.observed;
  const { refusedAs = null, may = true, accepted = false } = login ?? {};
  if (refusedAs === null || !may || phase !== "carrying" || route === null) return "open";
  if (builder.memory.override === "unmounted" || mount.found.processGone) return "open";
  const { isProving, state } = relayEligibility?.identity ?? NO_IDENTITY;
  const canBeKnown = isProving || state !== "unproved";
  if ((!accepted && canBeKnown) || passOverInPause(builder, "remount")) return "open";
  if (refusedAs === "other") {
    const { check } = mount;
    // If Mountaineer's own check of the mount waits or was refused, a plain unmount would fail with EBUSY. The mount is
    // then unmounted by force.
    const lost = check.state !== "answered" || check.errno !== null;
    const reason = "its login has changed";
    return remountOnceClosed(builder, mount, { reason, plan: routesFrom(builder, route), lost });
  }
  return oncePerCycle(builder, { kind: "confirm", outage: null, login: true });
}

/**
 * Returns `step`, a request to the relay. If this cycle has already made such a request, plans the next look after
 * a pause instead.
 */
export function oncePerCycle(
  builder: DecisionBuilder,
  step: Extract<Step, { kind: "hold" | "confirm" }>,
): Step | null {
  const { lastStep, atMs } = builder.observed;
  return lastStep?.kind === "gate" ? recheckAt(builder, atMs + GATE_RETRY_MS) : step;
}

export function pushSlowRoute(builder: DecisionBuilder, route: RouteName): void {
  const { probe } = builder.observed.routes[route];
  builder.conditions.push({
    code: "route_slow",
    severity: "warning",
    title: `${hostOf(builder, route)} does not answer probes (${probe.text}), but the mount does`,
    hint: "The mount stays while it answers.",
  });
}

/** Unmounts what leads to the local disk, even if no other route answers: nothing may be written there. */
export function decideLost(builder: DecisionBuilder, { route }: FoundMount, lost: string): Step | null {
  if (passOverInPause(builder, "fail over")) return setError(builder, lost);
  const plan = routesFrom(builder, route ?? "tb");
  return startOperation(builder, { kind: "failover", reason: lost, mode: "force", plan });
}

function decideHostGone(builder: DecisionBuilder, mount: MountObservation, route: RouteName): Step | null {
  const { guarded = null } = mount;
  const other = otherRoute(route);
  const { probe } = builder.observed.routes[route];
  // The host now has another address, and the mount cannot be moved to it.
  if (
    guarded?.rerouted === true &&
    configuredAnswers(builder, route) &&
    !passOverInPause(builder, "fail over")
  ) {
    const reason = `${hostOf(builder, route)} has a new address: ${probe.text}`;
    return startOperation(builder, { kind: "failover", reason, mode: "force", plan: [route, other] });
  }
  if (!answers(builder, other)) return passOverAsError(builder, "fail over", allHostsGone(builder));
  if (passOverInPause(builder, "fail over")) return null;
  if (mayBothStart(builder, route))
    return passOver(
      builder,
      "fail over",
      "the server may be starting: it has just answered over the other route",
    );
  return startOperation(builder, {
    kind: "failover",
    reason: `${hostOf(builder, route)} is gone: ${probe.text}`,
    mode: "force",
    plan: [other, other],
  });
}

/**
 * Whether the server may just be starting: a starting server answers over one route a moment before the other. If so,
 * plans another probe of `route`, because a failover would cut off programs that wait for the route.
 */
function mayBothStart(builder: DecisionBuilder, route: RouteName): boolean {
  const { observed, state } = builder;
  const { probe, atMs } = observed.routes[route];
  const other = state.announced[otherRoute(route)];
  // A link of this machine that is down needs no second probe.
  if (other === null || probe.reason === "link_down") return false;
  const probedFromMs = other.atMs + CONFIRM_AFTER_MS;
  if (atMs >= probedFromMs) return false;
  recheckAt(builder, Math.max(probedFromMs, observed.atMs + 1));
  return true;
}

export function decideDead(
  builder: DecisionBuilder,
  { found }: MountObservation,
  route: RouteName,
  why: string,
): Step | null {
  const reason = `the mount is dead: ${why}`;
  updateShortLife(builder, found.id);
  if (passOverInPause(builder, "replace the mount")) {
    // An earlier error is kept, because it says more, for example that of a failed unmount.
    const hasError = builder.memory.lastError !== null;
    return hasError ? null : setError(builder, `${reason}; it is mounted again after a pause`);
  }
  const plan = routesFrom(builder, route);
  return startOperation(builder, { kind: "remount", reason, mode: "force", plan });
}

/**
 * Decides about a mount whose host, share or path does not match the configuration. A dead mount is replaced at once,
 * a living one as soon as no file is open, whatever `auto_failback` and `lsof_recheck` say.
 */
export function decideMismatched(builder: DecisionBuilder, mount: MountObservation): Step | null {
  const verdict = takeVerdict(builder);
  const reason =
    mount.found.route === null
      ? `no configured route explains ${mount.found.source}`
      : `its path is ${builder.spec.mountPath} now`;
  builder.conditions.push({
    code: mount.found.route === null ? "unknown_route" : "path_changed",
    severity: "warning",
    title: `Mounted at ${mount.found.path} from ${mount.found.source}, but ${reason}`,
    hint: "It remounts over the best route once all files are closed.",
  });
  if (verdict.state === "unproven" || builder.memory.override === "unmounted") return null;
  // A working mount is kept while no new one could be made; conditions say what is missing.
  if (verdict.state === "alive" && mountObstacle(builder) !== null) return null;
  const plan = bestRoutes(builder);
  if (plan.length === 0) {
    const isDead = verdict.state === "dead";
    return isDead ? setError(builder, deadWithoutHost(builder, verdict.reason)) : null;
  }
  if (passOverInPause(builder, "remount")) return null;
  if (verdict.state === "dead")
    return startOperation(builder, { kind: "remount", reason, mode: "force", plan });
  return remountOnceClosed(builder, mount, { reason, plan });
}

export function deadWithoutHost(builder: DecisionBuilder, why: string): string {
  return `the mount is dead (${why}) and ${noHostAnswers(builder)}`;
}

interface Remount {
  readonly reason: string;
  readonly plan: readonly RouteName[];
  /**
   * True: the server is gone. The mount is unmounted by force, and its unsent files are kept on this machine.
   */
  readonly lost?: boolean;
}

/** Remounts as soon as no file is open; until then a condition lists the open files. */
export function remountOnceClosed(
  builder: DecisionBuilder,
  mount: MountObservation,
  { reason, plan, lost = false }: Remount,
): Step | null {
  const { lastStep } = builder.observed;
  const busy = lastStep?.kind === "unmount" && !lastStep.outcome.ok ? lastStep.outcome.text : null;
  const files = checkedOpenFiles(builder);
  if (files === null && busy === null) return { kind: "check_open_files", mount: mount.found };
  const isClosed = files?.state === "none" || (lost && files?.state === "open" && files.holders.length === 0);
  if (isClosed && busy === null) {
    if (!areProgramsStopped(builder)) return null;
    return startOperation(builder, { kind: "remount", reason, mode: lost ? "force" : "plain", plan });
  }
  const holders = files?.holders ?? [];
  const title =
    busy ??
    files?.text ??
    `Waiting until ${holders.length + (files?.unsent.length ?? 0)} open or unsent files are closed`;
  passOver(builder, "remount", `${reason}, but files are open: ${title}`);
  builder.conditions.push({
    code: "waiting_for_close",
    severity: "info",
    title,
    hint: "Close them, or run `mountaineer switch --force` to cut them off.",
    holders,
  });
  return null;
}
