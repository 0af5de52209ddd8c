// The rules for a share that is mounted: keep it, fail over, replace a dead mount, or go back to Thunderbolt.

import { CONFIRM_AFTER_MS } from "../../reconcile/route-health.ts";
import { otherRoute, type RouteName } from "../share-spec.ts";
import { foldYoungDeath, judgeMount, settleBackoff } from "./decide-mount-alive.ts";
import { checkedOpenFiles, routesFrom, startOperation, whyNotMountable } from "./decide-operation.ts";
import { decideRecovery } from "./decide-recovery.ts";
import { judgeOwnRoute } from "./decide-routes.ts";
import { allHostsGone, bestRoutes, noHostAnswers } from "./decide-unmounted.ts";
import {
  answers,
  type Builder,
  clearError,
  configuredAnswers,
  hasRoom,
  hostOf,
  setError,
} from "./decision-builder.ts";
import { type CarriedSeen, type MountSeen, NO_TRUST } from "./share-seen.ts";
import type { Step } from "./step.ts";

/** How soon letting a login through is tried again, ms. */
const GATE_RETRY_MS = 250;

export function decideMounted(builder: Builder, mount: MountSeen, route: RouteName): Step | null {
  const own = judgeOwnRoute(builder, route, mount);
  const verdict = judgeMount(builder, mount);
  // Held unmounted, yet mounted: someone else's mount, which appeared when a person had ours unmounted.
  if (own === "waiting" || builder.memory.held === "unmounted") return null;
  if (own === "gone") return decideHostGone(builder, mount, route);
  if (verdict.state === "dead") return decideDead(builder, mount, route, verdict.reason);
  if (own === "slow") pushSlowRoute(builder, route);
  if (verdict.state !== "alive") return null;
  if (own === "answers") clearError(builder, "host and mount answer");
  settleBackoff(builder);
  return (
    takeBetterCache(builder, mount, route) ??
    takeGuard(builder, mount, route) ??
    (route === "fallback" ? decideRecovery(builder, mount) : null)
  );
}

/** It was mounted before its server could be proved, and what is kept for that server has been waiting since. */
export function takeBetterCache(builder: Builder, mount: MountSeen, route: RouteName): Step | null {
  const better = builder.seen.carry?.trust.better ?? null;
  const { server = null } = mount.carried ?? mount.pinned ?? {};
  if (better === null || better === server || isBackingOff(builder)) return null;
  return remountOnceClosed(builder, mount, {
    reason: "its server is proved now, and files for it wait here",
    plan: [route],
  });
}

/** It is mounted through the carrier as soon as nothing on it is open. */
function takeGuard(builder: Builder, mount: MountSeen, route: RouteName): Step | null {
  if (mount.unguarded !== true || isBackingOff(builder)) return null;
  if (whyNotMountable(builder) !== null) return null;
  const reason = "an earlier version mounted it, and nothing would keep its files from another server";
  return remountOnceClosed(builder, mount, { reason, plan: routesFrom(builder, route) });
}

/** The mount cannot log in any more: it is let in again, or mounted anew. "open": the rules go on. */
export function decideShutLogon(
  builder: Builder,
  mount: MountSeen,
  { route: inUse, phase }: CarriedSeen,
): Step | null | "open" {
  const route = inUse ?? mount.found.route;
  const { logon, carry, lastStep, atMs } = builder.seen;
  const { shut = null, may = true, accepted = false } = logon ?? {};
  if (shut === null || !may || phase !== "carrying" || route === null) return "open";
  if (builder.memory.held === "unmounted" || mount.found.processGone) return "open";
  const { asking, state } = carry?.trust ?? NO_TRUST;
  const canBeKnown = asking || state !== "unproved";
  if ((!accepted && canBeKnown) || isBackingOff(builder)) return "open";
  if (shut === "other") {
    const { look } = mount;
    // Otherwise our own look, which waits and is turned away, would keep it busy.
    const lost = look.state !== "answered" || look.errno !== null;
    const reason = "its login is another now";
    return remountOnceClosed(builder, mount, { reason, plan: routesFrom(builder, route), lost });
  }
  if (lastStep?.kind !== "gate") return { kind: "confirm", outage: null, logon: true };
  builder.wakes.push({ atMs: atMs + GATE_RETRY_MS, reason: "confirm" });
  return null;
}

export function pushSlowRoute(builder: Builder, route: RouteName): void {
  const { probe } = builder.seen.routes[route];
  builder.conditions.push({
    code: "route_slow",
    severity: "warning",
    title: `${hostOf(builder, route)} does not answer probes (${probe.text}), but the mount does`,
    hint: "The mount stays while it answers.",
  });
}

function decideHostGone(builder: Builder, mount: MountSeen, route: RouteName): Step | null {
  const { pinned = null, unguarded = false } = mount;
  const { lastStep } = builder.seen;
  const other = otherRoute(route);
  const { probe } = builder.seen.routes[route];
  // Its host has another address now, which the mount would never use.
  if (pinned?.rerouted === true && configuredAnswers(builder, route) && !isBackingOff(builder)) {
    const reason = `${hostOf(builder, route)} has another address now: ${probe.text}`;
    return startOperation(builder, { kind: "failover", reason, mode: "force", plan: [route, other] });
  }
  if (!answers(builder, other) && unguarded && lastStep?.kind !== "unmount") {
    setError(
      builder,
      `${hostOf(builder, route)} is gone, and another server that answers there would get what is unsent`,
    );
    return { kind: "unmount", mount: mount.found, mode: "force" };
  }
  if (!answers(builder, other)) {
    setError(builder, allHostsGone(builder));
    return null;
  }
  if (isBackingOff(builder) || mayBothStart(builder, route)) return null;
  return startOperation(builder, {
    kind: "failover",
    reason: `${hostOf(builder, route)} is gone: ${probe.text}`,
    mode: "force",
    // The plan tries the other route twice.
    plan: [other, other],
  });
}

/**
 * A server that starts appears over one host a moment before the other: its own host is asked once more, because a
 * failover would cut off programs that waited for it.
 */
function mayBothStart({ seen, state, wakes }: Builder, route: RouteName): boolean {
  const { probe, atMs } = seen.routes[route];
  const other = state.announced[otherRoute(route)];
  // This machine's own link reports that it is down.
  if (other === null || probe.reason === "link_down") return false;
  const askedFromMs = other.atMs + CONFIRM_AFTER_MS;
  if (atMs >= askedFromMs) return false;
  wakes.push({ atMs: Math.max(askedFromMs, seen.atMs + 1), reason: "confirm" });
  return true;
}

export function decideDead(
  builder: Builder,
  { found }: MountSeen,
  route: RouteName,
  why: string,
): Step | null {
  const reason = `the mount is dead: ${why}`;
  foldYoungDeath(builder, found.id);
  if (isBackingOff(builder)) {
    // The failure of an unmount is more useful.
    if (builder.memory.lastError === null) setError(builder, `${reason}; it is mounted again after a pause`);
    return null;
  }
  const plan = routesFrom(builder, route);
  return startOperation(builder, { kind: "remount", reason, mode: "force", plan });
}

/** A failed unmount is not repeated without a pause. */
export function isBackingOff(builder: Builder): boolean {
  const { notBeforeMs } = builder.state.mountBackoff;
  if (notBeforeMs <= builder.seen.atMs) return false;
  builder.wakes.push({ atMs: notBeforeMs, reason: "retry" });
  return true;
}

/**
 * A mount that the configuration does not explain (its host, its share, or the path of one of ours) is judged by looks
 * alone. It stays while files are open, whatever the toggles say, and is mounted anew over the best route when they are
 * closed; at once if it is dead.
 */
export function decideUnexplained(builder: Builder, mount: MountSeen): Step | null {
  const verdict = judgeMount(builder, mount);
  const reason =
    mount.found.route === null
      ? `no configured route explains ${mount.found.source}`
      : `its path is ${builder.spec.mountPath} now`;
  builder.conditions.push({
    code: mount.found.route === null ? "unknown_route" : "path_changed",
    severity: "warning",
    title: `Mounted at ${mount.found.path} from ${mount.found.source}, but ${reason}`,
    hint: "It is mounted anew over the best route as soon as nothing on it is open.",
  });
  if (verdict.state === "unproven" || builder.memory.held === "unmounted") return null;
  // What serves is not given up for what could not take its place; conditions say what is missing.
  if (verdict.state === "alive" && whyNotMountable(builder) !== null) return null;
  const plan = bestRoutes(builder);
  if (plan.length === 0) {
    if (verdict.state === "dead")
      setError(builder, `the mount is dead (${verdict.reason}) and ${noHostAnswers(builder)}`);
    return null;
  }
  if (isBackingOff(builder)) return null;
  if (verdict.state === "dead")
    return startOperation(builder, { kind: "remount", reason, mode: "force", plan });
  return remountOnceClosed(builder, mount, { reason, plan });
}

interface Remount {
  readonly reason: string;
  readonly plan: readonly RouteName[];
  /** The server is gone: what is unsent is kept for it, and its mount cannot be asked. */
  readonly lost?: boolean;
}

/** Mounts anew as soon as nothing is open, and reports what is until then. */
export function remountOnceClosed(
  builder: Builder,
  mount: MountSeen,
  { reason, plan, lost = false }: Remount,
): Step | null {
  const { lastStep } = builder.seen;
  const busy = lastStep?.kind === "unmount" && !lastStep.outcome.ok ? lastStep.outcome.text : null;
  const files = checkedOpenFiles(builder);
  if (files === null && busy === null) return { kind: "check_open_files", mount: mount.found };
  const isClosed = files?.state === "none" || (lost && files?.state === "open" && files.holders.length === 0);
  if (isClosed && busy === null) {
    if (!hasRoom(builder)) return null;
    return startOperation(builder, { kind: "remount", reason, mode: lost ? "force" : "plain", plan });
  }
  const holders = files?.holders ?? [];
  builder.conditions.push({
    code: "waiting_for_close",
    severity: "info",
    title:
      busy ??
      files?.text ??
      `Waiting until ${holders.length + (files?.unsent.length ?? 0)} open or unsent files are closed`,
    hint: "Close them, or run `mountaineer switch --force` to cut them off.",
    holders,
  });
  return null;
}
