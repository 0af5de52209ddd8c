// Decides which of several routes a backend should use: the one that a person asks for, or a better one that is back. Pure.
import { stableFrom } from "../../../reconcile/route-health.ts";
import type { BackendDecisionBuilder, BackendStep, Serving } from "./backend-decision-builder.ts";
import {
  ATTEMPT_CHECK_MS,
  betterRoutes,
  clearPending,
  failRequested,
  isProbed,
  isReady,
  startOver,
  switchTo,
} from "./decide-route.ts";
import { isMissing, unavailabilityOf, unavailableText } from "./required-data.ts";
import type { RouteChange } from "./route-memory.ts";

/** Greatest age of an idle instance's last answer at the end of its stability window, ms. */
const FRESH_MS = 1_000;
const IN_FLIGHT = "calls are in flight";
const OVERRIDDEN = "a person has overridden its route";

interface Reason {
  readonly change: RouteChange;
  readonly reason: string;
}

export function updatePreference(builder: BackendDecisionBuilder): void {
  if (builder.spec.wanted.kind !== "connection") {
    clearPending(builder, "the backend is not wanted");
    failRequested(builder, "the backend is no longer wanted");
    return;
  }
  recordUsed(builder, updateRequested(builder) ?? updateRecovery(builder));
  if (builder.healthyServing === null) return;
  for (const route of builder.routeList) if (!isProbed(builder, route)) builder.dropAttempt(route.name);
}

/** A switch that a person asks for needs no stability window. An impossible switch changes nothing. */
function updateRequested(builder: BackendDecisionBuilder): Reason | null {
  const { requested } = builder;
  if (requested === null) return null;
  const key = builder.routeList.find(({ name }) => name === requested)?.key;
  const unavailable = unavailabilityOf(builder.spec);
  if (key === undefined) return failRequested(builder, "there is no such route");
  if (key === null) return failRequested(builder, "its reference has no value");
  if (unavailable !== null) return failRequested(builder, unavailableText(unavailable));
  const isInUse = builder.healthyServing?.key === key;
  if (!isInUse && !switchTo(builder, requested)) return null;
  const isBest = builder.routeList[0]?.name === requested;
  builder.rememberRoutes({ override: isBest ? null : requested });
  if (!isBest) clearPending(builder, OVERRIDDEN);
  builder.events.push({ kind: "asked_done", route: requested, changed: !isInUse });
  return isInUse ? null : { change: "switched", reason: "a person switched" };
}

/** Returns to the best route whose stability window is over. A return that has to wait is remembered as pending. */
function updateRecovery(builder: BackendDecisionBuilder): Reason | null {
  const { routes } = builder.memory;
  const serving = builder.healthyServing;
  if (serving === null || routes.override !== null) {
    clearPending(builder, routes.override === null ? "another route failed" : OVERRIDDEN);
    return null;
  }
  const better = betterRoutes(builder, serving);
  const stable = better.find(({ name }) => isStable(builder, name));
  if (stable === undefined) {
    const isBetter = better.some(({ name }) => name === routes.pending?.route);
    if (!isBetter) clearPending(builder, "it is in use");
    return null;
  }
  if (routes.pending?.route !== stable.name) clearPending(builder, "a better one is ready");
  if (!mayGoBack(builder, stable.name, serving)) return null;
  builder.rememberRoutes({ pending: null });
  switchTo(builder, stable.name);
  return { change: "recovered", reason: `it has answered for ${Math.round(stableMs(builder) / 1000)} s` };
}

function stableMs({ spec }: BackendDecisionBuilder): number {
  return spec.routes.failback.stableMs;
}

/** If the stability window has not ended yet, also sets a wake-up for its end. */
function isStable(builder: BackendDecisionBuilder, name: string): boolean {
  const { attempt, health } = builder.route(name);
  const endMs = stableFrom(health, stableMs(builder));
  if (attempt === null || endMs === null || !isReady(builder, attempt)) return false;
  if (builder.now.monotonicMs < endMs) {
    builder.runAt(endMs, "window_end");
    return false;
  }
  // If the newest answer is too old, `probeCheck` asks for another one.
  return attempt.signMs !== null && attempt.signMs >= endMs - FRESH_MS;
}

/** True if no call is in flight, or `drain_timeout` is over. Without automatic failback, only a person switches. */
function mayGoBack(builder: BackendDecisionBuilder, route: string, serving: Serving): boolean {
  const { spec, now, memory } = builder;
  if (!spec.routes.failback.isAutomatic) {
    defer(builder, route, "it waits until you switch");
    return false;
  }
  const { pending } = memory.routes;
  const sinceMs = pending?.reason === IN_FLIGHT ? pending.sinceMs : now.monotonicMs;
  const untilMs = sinceMs + spec.drainTimeoutMs;
  if (builder.observedOf(serving.id)?.inFlight === 0 || now.monotonicMs >= untilMs) return true;
  defer(builder, route, IN_FLIGHT);
  builder.runAt(untilMs, "drain");
  return false;
}

function defer(builder: BackendDecisionBuilder, route: string, reason: string): void {
  const { pending } = builder.memory.routes;
  if (pending?.reason === reason) return;
  builder.rememberRoutes({ pending: { route, reason, sinceMs: builder.now.monotonicMs } });
  if (pending === null) builder.events.push({ kind: "route_ready", route, reason });
}

/** Announces a change of the route. `switched`: why the route was changed; null: the earlier route failed. */
function recordUsed(builder: BackendDecisionBuilder, switched: Reason | null): void {
  const { serving, routes } = builder.memory;
  const to = serving === null ? null : (builder.routeOf(serving.key)?.name ?? null);
  const { used: from, override } = routes;
  if (to === null || to === from) return;
  builder.rememberRoutes({ used: builder.hasChoice ? to : null });
  if (from === null || !builder.hasChoice) return;
  const why = switched ?? lossOf(builder, from);
  if (why.change === "failover") {
    clearPending(builder, "another route failed");
    if (override !== null && override !== to) builder.rememberRoutes({ override: null });
  }
  builder.events.push({ kind: why.change, from, to, reason: why.reason });
}

function lossOf(builder: BackendDecisionBuilder, name: string): Reason {
  return builder.routeList.some((route) => route.name === name)
    ? { change: "failover", reason: builder.route(name).tries.failure?.message ?? "it failed" }
    : { change: "switched", reason: "the configuration no longer has it" };
}

/** Starts an instance over a better route, or over the one that a person asks for. Null: none is due. */
export function probeStart(builder: BackendDecisionBuilder): (() => BackendStep | null) | null {
  const { spec, now, requested } = builder;
  if (spec.wanted.kind !== "connection" || isMissing(spec)) return null;
  for (const route of builder.routeList) {
    const { name, key } = route;
    const { attempt, tries } = builder.route(name);
    if (key === null || attempt !== null) continue;
    if (!isProbed(builder, route)) continue;
    if (requested === name || now.monotonicMs >= tries.notBeforeMs) return () => startOver(builder, route);
    builder.runAt(tries.notBeforeMs, "retry");
  }
  return null;
}

export function probeCheck(builder: BackendDecisionBuilder): BackendStep | null {
  const { now } = builder;
  for (const { name } of builder.routeList) {
    const { attempt, health } = builder.route(name);
    if (attempt === null || builder.observedOf(attempt.id)?.state.kind !== "ready") continue;
    const lastMs = Math.max(attempt.signMs ?? 0, attempt.checkedAtMs ?? 0);
    const endMs = stableFrom(health, stableMs(builder));
    const usualMs = lastMs + ATTEMPT_CHECK_MS;
    // At the end of the stability window a fresh answer is needed.
    const dueMs = endMs !== null && lastMs < endMs - FRESH_MS ? Math.min(endMs, usualMs) : usualMs;
    if (now.monotonicMs < dueMs) {
      builder.runAt(dueMs, "check");
      continue;
    }
    builder.rememberRoute(name, { attempt: { ...attempt, checkedAtMs: now.monotonicMs } });
    return { kind: "check", id: attempt.id };
  }
  return null;
}
