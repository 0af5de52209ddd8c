// Owns what to do with a share that is mounted: keep it, fail over, clean up a dead mount, or go back to Thunderbolt.

import { otherRoute, type RouteName } from "../share-spec.ts";
import { checkedOpenFiles, routesFrom, startErrand, whyNotMountable } from "./decide-errand.ts";
import { foldYoungDeath, judgeMount, settleBackoff } from "./decide-mount-alive.ts";
import { decideRecovery } from "./decide-recovery.ts";
import { judgeOwnRoute } from "./decide-routes.ts";
import { bestRoutes, whyNeither } from "./decide-unmounted.ts";
import { answers, clearError, type Draft, hostOf, setError } from "./draft.ts";
import type { MountSeen } from "./share-seen.ts";
import type { Step } from "./step.ts";

export function decideMounted(draft: Draft, mount: MountSeen, route: RouteName): Step | null {
  const own = judgeOwnRoute(draft, route, mount);
  const verdict = judgeMount(draft, mount);
  // Held unmounted and mounted: someone else's, which came to light when a person had ours unmounted.
  if (own === "waiting" || draft.memory.held === "unmounted") return null;
  if (own === "gone") return decideHostGone(draft, route);
  if (verdict.state === "dead") return decideDead(draft, mount, route, verdict.reason);
  if (own === "slow") pushSlowRoute(draft, route);
  if (verdict.state !== "alive") return null;
  if (own === "answers") clearError(draft, "host and mount answer");
  settleBackoff(draft);
  return route === "fallback" ? decideRecovery(draft, mount) : null;
}

export function pushSlowRoute(draft: Draft, route: RouteName): void {
  const { probe } = draft.seen.routes[route];
  draft.conditions.push({
    code: "route_slow",
    severity: "warning",
    title: `${hostOf(draft, route)} does not answer probes (${probe.text}), but the mount does`,
    hint: "The mount stays while it answers.",
  });
}

function decideHostGone(draft: Draft, route: RouteName): Step | null {
  const other = otherRoute(route);
  const { probe } = draft.seen.routes[route];
  if (!answers(draft, other)) {
    setError(draft, `both hosts are gone, the mount is kept: ${whyNeither(draft)}`);
    return null;
  }
  if (isBackingOff(draft)) return null;
  return startErrand(draft, {
    kind: "failover",
    reason: `${hostOf(draft, route)} is gone: ${probe.text}`,
    mode: "force",
    // The mount is retried once.
    plan: [other, other],
    goal: null,
  });
}

export function decideDead(draft: Draft, { found }: MountSeen, route: RouteName, why: string): Step | null {
  const reason = `the mount is dead: ${why}`;
  foldYoungDeath(draft, found.id);
  if (isBackingOff(draft)) {
    // An unmount that failed says more.
    if (draft.memory.lastError === null) setError(draft, `${reason}; it is mounted again after a pause`);
    return null;
  }
  const plan = routesFrom(draft, route);
  return startErrand(draft, { kind: "remount", reason, mode: "force", plan, goal: null });
}

/** An unmount that failed is not hammered. */
export function isBackingOff(draft: Draft): boolean {
  const { notBeforeMs } = draft.episode.mountBackoff;
  if (notBeforeMs <= draft.seen.atMs) return false;
  draft.wakes.push({ atMs: notBeforeMs, reason: "retry" });
  return true;
}

/**
 * A mount that the configuration does not explain (its host, its share, or the path of one of ours) is judged by its
 * looks alone. It is left while files are open, whatever the toggles say, and remounted over the best route when they
 * are closed; dead, at once.
 */
export function decideUnexplained(draft: Draft, mount: MountSeen): Step | null {
  const verdict = judgeMount(draft, mount);
  const reason =
    mount.found.route === null
      ? `no configured route explains ${mount.found.source}`
      : `its path is ${draft.spec.mountPath} now`;
  draft.conditions.push({
    code: mount.found.route === null ? "unknown_route" : "path_changed",
    severity: "warning",
    title: `Mounted at ${mount.found.path} from ${mount.found.source}, but ${reason}`,
    hint: "It is mounted anew over the best route as soon as nothing on it is open.",
  });
  if (verdict.state === "unproven" || draft.memory.held === "unmounted") return null;
  // What serves is not given up for what could not take its place; conditions tell what is wanting.
  if (verdict.state === "alive" && whyNotMountable(draft) !== null) return null;
  const plan = bestRoutes(draft);
  if (plan.length === 0) {
    if (verdict.state === "dead")
      setError(draft, `the mount is dead (${verdict.reason}) and neither host answers: ${whyNeither(draft)}`);
    return null;
  }
  if (isBackingOff(draft)) return null;
  if (verdict.state === "dead")
    return startErrand(draft, { kind: "remount", reason, mode: "force", plan, goal: null });
  const { lastStep } = draft.seen;
  const busy = lastStep?.kind === "unmount" && !lastStep.outcome.ok ? lastStep.outcome.text : null;
  const files = checkedOpenFiles(draft);
  if (files === null && busy === null) return { kind: "check_open_files", mount: mount.found };
  if (files?.state === "none" && busy === null)
    return startErrand(draft, { kind: "remount", reason, mode: "plain", plan, goal: null });
  const holders = files?.holders ?? [];
  draft.conditions.push({
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
