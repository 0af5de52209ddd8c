// Decides about a backend's routes: which one is started next, and when the backend returns to a better one. Pure.
import { foldHealth, stableFrom } from "../../../reconcile/route-health.ts";
import type { LinkFailure } from "../links/backend-link.ts";
import type { BackendStep, DecisionBuilder, Serving } from "./backend-decision-builder.ts";
import { failedTry, hasOtherWay, promote, SILENT, startOutcome } from "./decide-backend-instances.ts";
import type { InstanceRef } from "./draining.ts";
import { awayOf, awayText, isMissing } from "./required-data.ts";
import { NEW_ROUTES, type RouteChange, type RouteSpec, type Standby, type Tries } from "./route-memory.ts";

const STANDBY_CHECK_MS = 5_000;
/** A longer silence counts as a gap: three checks, as for shares. */
const GAP_MS = 3 * STANDBY_CHECK_MS;
/** Number of missed checks after which a standby is given up. */
const MISSED_CHECKS = 3;
/** Greatest age of a standby's last answer at the end of its stability window, ms. */
const FRESH_MS = 1_000;
const IN_FLIGHT = "calls are in flight";
const HELD = "a person holds it where it is";

interface Reason {
  readonly change: RouteChange;
  readonly reason: string;
}

export function foldRoutes(builder: DecisionBuilder): void {
  const { byName, held } = builder.memory.routes;
  if (!builder.hasRoutes) {
    if (byName.size > 0) builder.remember({ routes: { ...NEW_ROUTES, held } });
    return;
  }
  const isConfigured = (name: string): boolean => builder.routeList.some((route) => route.name === name);
  builder.rememberRoutes({ byName: new Map([...byName].filter(([name]) => isConfigured(name))) });
  for (const route of builder.routeList) foldStandby(builder, route);
  if (builder.spec.wanted.kind !== "connection") {
    dropStandbys(builder);
    clearPending(builder, "the backend is not wanted");
    failAsked(builder, "the backend is not wanted any more");
    return;
  }
  takeOver(builder);
  noteUsed(builder, foldAsked(builder) ?? foldRecovery(builder));
  dropStandbys(builder, (route) => !isProbed(builder, route));
}

/** Remembers how long the standby has answered without a gap. Gives it up if it has ended or is silent. */
function foldStandby(builder: DecisionBuilder, { name, key }: RouteSpec): void {
  const { standby, health } = builder.route(name);
  if (standby === null) return;
  if (standby.key !== key || standby.epoch !== builder.spec.epoch) {
    builder.rememberRoute(name, { standby: null });
    return;
  }
  const outcome = startOutcome(builder, standby.id);
  if (outcome !== null && outcome !== "ready") giveUp(builder, name, outcome);
  const seen = builder.seenOf(standby.id);
  if (outcome !== "ready" || seen === null) return;
  const { now } = builder;
  const isHealthy = seen.missedChecks === 0;
  const signMs = Math.max(seen.readyAtMs ?? 0, seen.checkedAtMs ?? 0);
  if (signMs === standby.signMs && isHealthy) return;
  const at = isHealthy ? { monotonicMs: signMs, wallMs: now.wallMs - (now.monotonicMs - signMs) } : now;
  const folded = foldHealth(health, { at, reachable: isHealthy, healthy: isHealthy }, GAP_MS);
  builder.rememberRoute(name, { health: folded.health, standby: { ...standby, signMs } });
  if (folded.dropped) clearPendingOf(builder, name, "it has not answered");
  if (seen.outOfReach === true || seen.missedChecks >= MISSED_CHECKS) giveUp(builder, name, SILENT);
}

function giveUp(builder: DecisionBuilder, name: string, failure: LinkFailure): void {
  const { tries, health } = builder.route(name);
  const lost = foldHealth(health, { at: builder.now, reachable: false, healthy: false }, GAP_MS);
  builder.rememberRoute(name, {
    standby: null,
    tries: failedTry(builder, tries, failure),
    health: lost.health,
  });
  clearPendingOf(builder, name, failure.message);
  if (builder.asked === name) failAsked(builder, failure.message);
}

/**
 * If no healthy instance serves, lets a ready standby serve; if none is ready, a starting standby becomes the
 * candidate.
 */
function takeOver(builder: DecisionBuilder): void {
  if (builder.healthyServing !== null) return;
  if (builder.routeList.some(({ name }) => switchTo(builder, name))) {
    builder.remember({ candidate: null });
    return;
  }
  const starting = builder.routeList.find(({ name }) => builder.route(name).standby !== null);
  const standby = starting === undefined ? null : builder.route(starting.name).standby;
  if (starting === undefined || standby === null || builder.memory.candidate !== null) return;
  const { id, key, epoch } = standby;
  builder.rememberRoute(starting.name, { standby: null });
  builder.remember({ candidate: { id, key, epoch } });
}

function isReady(builder: DecisionBuilder, { id }: Standby): boolean {
  const seen = builder.seenOf(id);
  return seen?.state.kind === "ready" && seen.missedChecks === 0;
}

/** Returns false if the standby instance is not ready. */
function switchTo(builder: DecisionBuilder, name: string): boolean {
  const { standby } = builder.route(name);
  if (standby === null || !isReady(builder, standby)) return false;
  const left = builder.healthyServing === null ? null : builder.routeOf(builder.healthyServing.key);
  if (left !== null) {
    // The route works, so its earlier failure is no reason for leaving it.
    const { tries } = builder.route(left.name);
    builder.rememberRoute(left.name, { tries: { ...tries, failure: null } });
  }
  builder.rememberRoute(name, { standby: null });
  promote(builder, standby);
  return true;
}

/** A switch that a person asks for needs no stability window. An impossible switch changes nothing. */
function foldAsked(builder: DecisionBuilder): Reason | null {
  const { asked } = builder;
  if (asked === null) return null;
  const key = builder.routeList.find(({ name }) => name === asked)?.key;
  const away = awayOf(builder.spec);
  if (key === undefined) return failAsked(builder, "there is no such route");
  if (key === null) return failAsked(builder, "what it refers to has no value");
  if (away !== null) return failAsked(builder, awayText(away));
  const isInUse = builder.healthyServing?.key === key;
  if (!isInUse && !switchTo(builder, asked)) return null;
  const isBest = builder.routeList[0]?.name === asked;
  builder.rememberRoutes({ held: isBest ? null : asked });
  if (!isBest) clearPending(builder, HELD);
  builder.events.push({ kind: "asked_done", route: asked, changed: !isInUse });
  return isInUse ? null : { change: "switched", reason: "a person switched" };
}

function failAsked(builder: DecisionBuilder, reason: string): null {
  const { asked } = builder;
  if (asked !== null) builder.events.push({ kind: "asked_failed", route: asked, reason });
  return null;
}

/** Returns to the best route whose stability window is over. A return that has to wait is remembered as pending. */
function foldRecovery(builder: DecisionBuilder): Reason | null {
  const { candidate, routes } = builder.memory;
  const serving = builder.healthyServing;
  if (serving === null || candidate !== null || routes.held !== null) {
    clearPending(builder, routes.held === null ? "another route failed" : HELD);
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

function stableMs({ spec }: DecisionBuilder): number {
  return spec.routes?.failback.stableMs ?? 0;
}

/** If the stability window has not ended yet, also sets a wake-up for its end. */
function isStable(builder: DecisionBuilder, name: string): boolean {
  const { standby, health } = builder.route(name);
  const endMs = stableFrom(health, stableMs(builder));
  if (standby === null || endMs === null || !isReady(builder, standby)) return false;
  if (builder.now.monotonicMs < endMs) {
    builder.wakeAt(endMs, "window_end");
    return false;
  }
  // If the newest answer is too old, `standbyCheck` asks for another one.
  return standby.signMs !== null && standby.signMs >= endMs - FRESH_MS;
}

/** True if no call is in flight, or `drain_timeout` is over. Without automatic failback, only a person switches. */
function mayGoBack(builder: DecisionBuilder, route: string, serving: Serving): boolean {
  const { spec, now, memory } = builder;
  if (spec.routes?.failback.byItself !== true) {
    defer(builder, route, "it waits until you switch");
    return false;
  }
  const { pending } = memory.routes;
  const sinceMs = pending?.reason === IN_FLIGHT ? pending.sinceMs : now.monotonicMs;
  const untilMs = sinceMs + spec.drainTimeoutMs;
  if (builder.seenOf(serving.id)?.inFlight === 0 || now.monotonicMs >= untilMs) return true;
  defer(builder, route, IN_FLIGHT);
  builder.wakeAt(untilMs, "drain");
  return false;
}

function defer(builder: DecisionBuilder, route: string, reason: string): void {
  const { pending } = builder.memory.routes;
  if (pending?.reason === reason) return;
  builder.rememberRoutes({ pending: { route, reason, sinceMs: builder.now.monotonicMs } });
  if (pending === null) builder.events.push({ kind: "route_ready", route, reason });
}

function clearPendingOf(builder: DecisionBuilder, route: string, reason: string): void {
  if (builder.memory.routes.pending?.route === route) clearPending(builder, reason);
}

function clearPending(builder: DecisionBuilder, reason: string): void {
  const { pending } = builder.memory.routes;
  if (pending === null) return;
  builder.rememberRoutes({ pending: null });
  builder.events.push({ kind: "route_ready_cleared", route: pending.route, reason });
}

/** Announces a change of the route. `switched`: why the route was changed; null: the earlier route failed. */
function noteUsed(builder: DecisionBuilder, switched: Reason | null): void {
  const { serving, routes } = builder.memory;
  const to = serving === null ? null : (builder.routeOf(serving.key)?.name ?? null);
  const { used: from, held } = routes;
  if (to === null || to === from) return;
  builder.rememberRoutes({ used: to });
  if (from === null) return;
  const why = switched ?? lossOf(builder, from);
  if (why.change === "failover") {
    clearPending(builder, "another route failed");
    if (held !== null && held !== to) builder.rememberRoutes({ held: null });
  }
  builder.events.push({ kind: why.change, from, to, reason: why.reason });
}

function lossOf(builder: DecisionBuilder, name: string): Reason {
  return builder.routeList.some((route) => route.name === name)
    ? { change: "failover", reason: builder.route(name).tries.failure?.message ?? "it failed" }
    : { change: "switched", reason: "the configuration does not have it any more" };
}

function betterRoutes(builder: DecisionBuilder, serving: InstanceRef): readonly RouteSpec[] {
  const at = builder.routeList.findIndex(({ key }) => key === serving.key);
  return builder.routeList.slice(0, Math.max(0, at));
}

function isProbed(builder: DecisionBuilder, route: RouteSpec): boolean {
  const { healthyServing, memory } = builder;
  if (route.key === null || route.key === memory.serving?.key) return false;
  if (builder.asked === route.name) return true;
  if (healthyServing === null || memory.routes.held !== null) return false;
  return betterRoutes(builder, healthyServing).includes(route);
}

export function dropStandbys(
  builder: DecisionBuilder,
  isDropped: (route: RouteSpec) => boolean = () => true,
): void {
  for (const route of builder.routeList) {
    if (builder.route(route.name).standby === null || !isDropped(route)) continue;
    builder.rememberRoute(route.name, { standby: null });
  }
}

export function isStandby(builder: DecisionBuilder, id: number): boolean {
  return [...builder.memory.routes.byName.values()].some(({ standby }) => standby?.id === id);
}

/** The serving instance may be out of reach, so calls wait for the next check or another route. */
export function isInDoubt(builder: DecisionBuilder): boolean {
  const { serving, candidate, routes } = builder.memory;
  if (!builder.hasRoutes || serving === null) return false;
  if (routes.suspectSinceMs !== null) return true;
  return serving.distrusted && (candidate !== null || hasOtherWay(builder, serving.key));
}

/** The route for the next start; null: the backend has no routes, or none of them has a key. */
export function nextRoute(builder: DecisionBuilder): RouteSpec | null {
  const { serving, routes } = builder.memory;
  const usable = builder.routeList.filter(({ key }) => key !== null);
  const dueMs = ({ name }: RouteSpec): number => builder.route(name).tries.notBeforeMs;
  const due = usable.filter((route) => dueMs(route) <= builder.now.monotonicMs);
  const own = serving === null ? undefined : due.find(({ key }) => key === serving.key);
  // As long as the serving instance answers its checks, its replacement uses the same route.
  if (own !== undefined && serving?.distrusted === false) return own;
  const held = due.find(({ name }) => name === routes.held);
  const soonest = usable.toSorted((one, other) => dueMs(one) - dueMs(other))[0];
  return held ?? due.find((route) => route !== own) ?? own ?? soonest ?? null;
}

/** The attempts over the next route; without routes, the attempts to start the backend. */
export function nextTries(builder: DecisionBuilder): Tries {
  const route = nextRoute(builder);
  return route === null ? builder.memory.tries : builder.route(route.name).tries;
}

/** Starts a standby over a better route, or over the one that a person asks for. Null: none is due. */
export function standbyStart(builder: DecisionBuilder): (() => BackendStep) | null {
  const { spec, memory, now, asked } = builder;
  if (spec.wanted.kind !== "connection" || isMissing(spec)) return null;
  for (const route of builder.routeList) {
    const { name, key } = route;
    const { standby, tries } = builder.route(name);
    if (key === null || standby !== null || memory.candidate?.key === key) continue;
    if (!isProbed(builder, route)) continue;
    if (asked === name || now.monotonicMs >= tries.notBeforeMs) return () => startStandby(builder, name, key);
    builder.wakeAt(tries.notBeforeMs, "retry");
  }
  return null;
}

function startStandby(builder: DecisionBuilder, name: string, key: string): BackendStep {
  const { seen, spec } = builder;
  const standby: Standby = { id: seen.nextId, key, epoch: spec.epoch, checkedAtMs: null, signMs: null };
  builder.rememberRoute(name, { standby });
  return { kind: "start", id: standby.id, key };
}

export function standbyCheck(builder: DecisionBuilder): BackendStep | null {
  const { now } = builder;
  for (const { name } of builder.routeList) {
    const { standby, health } = builder.route(name);
    if (standby === null || builder.seenOf(standby.id)?.state.kind !== "ready") continue;
    const lastMs = Math.max(standby.signMs ?? 0, standby.checkedAtMs ?? 0);
    const endMs = stableFrom(health, stableMs(builder));
    const usualMs = lastMs + STANDBY_CHECK_MS;
    // At the end of the stability window a fresh answer is needed.
    const dueMs = endMs !== null && lastMs < endMs - FRESH_MS ? Math.min(endMs, usualMs) : usualMs;
    if (now.monotonicMs < dueMs) {
      builder.wakeAt(dueMs, "check");
      continue;
    }
    builder.rememberRoute(name, { standby: { ...standby, checkedAtMs: now.monotonicMs } });
    return { kind: "check", id: standby.id };
  }
  return null;
}
