// Decides which of several routes a backend should use: the one that a person asks for, or a better one that is back. Pure.
import { stableFrom } from "../../../reconcile/route-health.ts";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import type { BackendSituation, Serving } from "./backend-situation.ts";
import {
  ATTEMPT_CHECK_MS,
  betterRoutes,
  clearPending,
  failRequested,
  isProbed,
  isReady,
  switchTo,
} from "./decide-route.ts";
import { unavailabilityOf, unavailableText } from "./required-data.ts";
import type { RouteChange, RouteSpec } from "./route-memory.ts";
import type { Rule, Wait } from "./rule.ts";

/** Greatest age of an idle instance's last answer at the end of its stability window, ms. */
const FRESH_MS = 1_000;
const IN_FLIGHT = "calls are in flight";
const BETTER = "use a better route";
const OVERRIDDEN = "a person has overridden its route";

interface Reason {
  readonly change: RouteChange;
  readonly reason: string;
}

/** The situation after a change of the route, and why; null: the earlier route failed. */
interface Changed {
  readonly next: BackendSituation;
  readonly why: Reason | null;
}

export function updatePreference(before: BackendSituation): BackendSituation {
  if (before.spec.wanted.kind !== "connection")
    return failRequested(clearPending(before, "the server is not wanted"), "the server is no longer wanted");
  const requested = updateRequested(before);
  const changed = requested.why === null ? updateRecovery(requested.next) : requested;
  const next = recordUsed(changed.next, changed.why);
  if (next.healthyServing === null) return next;
  const unwanted = next.routeList.filter((route) => !isProbed(next, route));
  return next.dropAttempts(unwanted.map(({ name }) => name));
}

/** A switch that a person asks for needs no stability window. An impossible switch changes nothing. */
function updateRequested(before: BackendSituation): Changed {
  const { requested } = before;
  const fail = (reason: string): Changed => ({ next: failRequested(before, reason), why: null });
  if (requested === null) return { next: before, why: null };
  const key = before.routeList.find(({ name }) => name === requested)?.key;
  const unavailable = unavailabilityOf(before.spec);
  if (key === undefined) return fail("there is no such route");
  if (key === null) return fail("its reference has no value");
  if (unavailable !== null) return fail(unavailableText(unavailable));
  const isInUse = before.healthyServing?.key === key;
  const switched = isInUse ? before : switchTo(before, requested);
  if (switched === null) return { next: before, why: null };
  const isBest = before.routeList[0]?.name === requested;
  const overridden = switched.rememberRoutes({ override: isBest ? null : requested });
  const next = (isBest ? overridden : clearPending(overridden, OVERRIDDEN)).announce({
    kind: "asked_done",
    route: requested,
    changed: !isInUse,
  });
  return { next, why: isInUse ? null : { change: "switched", reason: "a person switched" } };
}

/** Returns to the best route whose stability window is over. A return that has to wait is remembered as pending. */
function updateRecovery(before: BackendSituation): Changed {
  const stays = (next: BackendSituation): Changed => ({ next, why: null });
  const { routes } = before.memory;
  const serving = before.healthyServing;
  if (routes.override !== null) {
    const next = clearPending(before, OVERRIDDEN);
    const isChoice = before.routeList.length > 1;
    return stays(isChoice ? next.passOver(BETTER, overrideText(before, routes.override)) : next);
  }
  if (serving === null) return stays(clearPending(before, "another route failed"));
  const better = betterRoutes(before, serving);
  const { stable, unstable, unready } = firstStable(before, better);
  const planned = unstable.reduce(
    (next, { name, endMs }) =>
      next
        .runAt(endMs, "window_end")
        .passOver(BETTER, `${name} has to answer for ${stableMs(before) / 1000} s first`, endMs),
    unready.reduce((next, { name, why }) => next.passOver(BETTER, `${name}: ${why}`), before),
  );
  if (stable === null) {
    const isBetter = better.some(({ name }) => name === routes.pending?.route);
    return stays(isBetter ? planned : clearPending(planned, "it is in use"));
  }
  const isOther = routes.pending?.route !== stable;
  const ready = isOther ? clearPending(planned, "a better one is ready") : planned;
  const wait = waitBefore(ready, serving);
  if (wait !== null) {
    const deferred = defer(ready, stable, wait.reason).passOver(
      BETTER,
      `${stable}: ${wait.reason}`,
      wait.untilMs,
    );
    return stays(wait.untilMs === null ? deferred : deferred.runAt(wait.untilMs, "drain"));
  }
  const returned = ready.rememberRoutes({ pending: null });
  const reason = `it has answered for ${Math.round(stableMs(before) / 1000)} s`;
  return { next: switchTo(returned, stable) ?? returned, why: { change: "recovered", reason } };
}

function overrideText({ spec: { name } }: BackendSituation, route: string): string {
  return `you asked for ${route}; \`${shellCommand`mountaineer switch --backend ${name} --to auto`}\` ends that`;
}

function stableMs({ spec }: BackendSituation): number {
  return spec.routes.failback.stableMs;
}

/**
 * The first route whose stability window is over; null: none is. `unstable`: those before it, whose windows still run;
 * `unready`: those before it that do not answer yet.
 */
function firstStable(situation: BackendSituation, routes: readonly RouteSpec[]) {
  const unstable: { readonly name: string; readonly endMs: number }[] = [];
  const unready: { readonly name: string; readonly why: string }[] = [];
  for (const { name, key } of routes) {
    const { attempt, health } = situation.route(name);
    const endMs = stableFrom(health, stableMs(situation));
    if (key === null) unready.push({ name, why: "its reference has no value" });
    if (key === null || attempt === null) continue;
    if (endMs === null || !isReady(situation, attempt)) {
      unready.push({ name, why: endMs === null ? "it missed a check" : "it is being started" });
      continue;
    }
    if (situation.now.monotonicMs < endMs) unstable.push({ name, endMs });
    // If the newest answer is too old, `checkAttempts` asks for another one.
    else if (attempt.signMs !== null && attempt.signMs >= endMs - FRESH_MS)
      return { stable: name, unstable, unready };
  }
  return { stable: null, unstable, unready };
}

/**
 * Why a return has to wait: calls are in flight, and `drain_timeout` is not over, or only a person switches. null: it
 * need not wait.
 */
function waitBefore(
  situation: BackendSituation,
  serving: Serving,
): { readonly reason: string; readonly untilMs: number | null } | null {
  const { spec, now, memory } = situation;
  if (!spec.routes.failback.isAutomatic) return { reason: "it waits until you switch", untilMs: null };
  const { pending } = memory.routes;
  const sinceMs = pending?.reason === IN_FLIGHT ? pending.sinceMs : now.monotonicMs;
  const untilMs = sinceMs + spec.drainTimeoutMs;
  const isFree = situation.observedOf(serving.id)?.inFlight === 0 || now.monotonicMs >= untilMs;
  return isFree ? null : { reason: IN_FLIGHT, untilMs };
}

function defer(before: BackendSituation, route: string, reason: string): BackendSituation {
  const { pending } = before.memory.routes;
  if (pending?.reason === reason) return before;
  const next = before.rememberRoutes({ pending: { route, reason, sinceMs: before.now.monotonicMs } });
  return pending === null ? next.announce({ kind: "route_ready", route, reason }) : next;
}

/** Announces a change of the route. `switched`: why the route was changed; null: the earlier route failed. */
function recordUsed(before: BackendSituation, switched: Reason | null): BackendSituation {
  const { serving, routes } = before.memory;
  const to = serving === null ? null : (before.routeOf(serving.key)?.name ?? null);
  const { used: from, override } = routes;
  if (to === null || to === from) return before;
  let next = before.rememberRoutes({ used: before.hasChoice ? to : null });
  if (from === null || !before.hasChoice) return next;
  const why = switched ?? lossOf(before, from);
  if (why.change === "failover") {
    next = clearPending(next, "another route failed");
    if (override !== null && override !== to) next = next.rememberRoutes({ override: null });
  }
  return next.announce({ kind: why.change, from, to, reason: why.reason });
}

function lossOf(situation: BackendSituation, name: string): Reason {
  return situation.routeList.some((route) => route.name === name)
    ? { change: "failover", reason: situation.route(name).tries.failure?.message ?? "it failed" }
    : { change: "switched", reason: "the configuration no longer has it" };
}

/** Checks an attempt that is ready and does not serve, if that is due. */
export const checkAttempts: Rule = {
  name: "use a better route",
  answer(situation) {
    const { now } = situation;
    const waits: Wait[] = [];
    for (const { name } of situation.routeList) {
      const { attempt, health } = situation.route(name);
      if (attempt === null || situation.observedOf(attempt.id)?.state.kind !== "ready") continue;
      const lastMs = Math.max(attempt.signMs ?? 0, attempt.checkedAtMs ?? 0);
      const endMs = stableFrom(health, stableMs(situation));
      const usualMs = lastMs + ATTEMPT_CHECK_MS;
      // At the end of the stability window a fresh answer is needed.
      const dueMs = endMs !== null && lastMs < endMs - FRESH_MS ? Math.min(endMs, usualMs) : usualMs;
      if (now.monotonicMs >= dueMs) {
        const checked = { attempt: { ...attempt, checkedAtMs: now.monotonicMs } };
        const { routes } = situation.rememberRoute(name, checked).memory;
        return { waits, learned: { routes }, step: { kind: "check", id: attempt.id } };
      }
      waits.push({ atMs: dueMs, reason: "check" });
    }
    return { waits };
  },
};
