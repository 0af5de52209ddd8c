// What follows from the routes of one backend: which is tried next, what stands by over a better one, and when the backend
// goes back to it. Pure.
import { foldHealth, stableFrom } from "../../../reconcile/route-health.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import type { BackendStep, DecisionBuilder, Serving } from "./backend-decision-builder.ts";
import { backOffWithJitter, hasOtherWay, promote, takesAway } from "./decide-backend-instances.ts";
import type { Kept } from "./draining.ts";
import { awayOf, awayText, isMissing } from "./required-data.ts";
import { NEW_ROUTES, type RouteChange, type RouteSpec, type Standby, type Tries } from "./route-memory.ts";

/** How often what stands by is asked whether it lives. */
const STANDBY_CHECK_MS = 5_000;
/** So long without an answer is a gap, as three intervals of shares are. */
const GAP_MS = 3 * STANDBY_CHECK_MS;
/** Checks without an answer after which it is given up. */
const MISSED_CHECKS = 3;
/** At a window's end the last answer may be so old. */
const FRESH_MS = 1_000;
const IN_FLIGHT = "calls are in flight";

const GONE = linkFailure("closed", "it is gone");

/** Why another route serves, where it is not that the one before failed. */
interface Reason {
  readonly change: RouteChange;
  readonly reason: string;
}

export function foldRoutes(builder: DecisionBuilder): void {
  const { spec, memory } = builder;
  if (!builder.hasRoutes) {
    const { held } = memory.routes;
    if (memory.routes.byName.size > 0) builder.remember({ routes: { ...NEW_ROUTES, held } });
    return;
  }
  forgetGone(builder);
  for (const route of builder.routeList) foldStandby(builder, route);
  if (spec.wanted.kind !== "connection") {
    dropStandbys(builder);
    clearPending(builder, "the backend is not wanted");
    const asked = spec.routes?.asked ?? null;
    if (asked !== null) {
      builder.events.push({
        kind: "asked_failed",
        route: asked,
        reason: "the backend is not wanted any more",
      });
    }
    return;
  }
  takeOver(builder);
  const reason = foldAsked(builder) ?? foldRecovery(builder);
  noteUsed(builder, reason);
  dropStandbys(builder, (route) => !isProbed(builder, route));
}

function forgetGone(builder: DecisionBuilder): void {
  const { routes } = builder.memory;
  const names = new Set(builder.routeList.map(({ name }) => name));
  if ([...routes.byName.keys()].every((name) => names.has(name))) return;
  builder.rememberRoutes({ byName: new Map([...routes.byName].filter(([name]) => names.has(name))) });
}

/** An instance that stands by: its end, its answers, and since when there was no gap between them. */
function foldStandby(builder: DecisionBuilder, { name, key }: RouteSpec): void {
  const { standby, health } = builder.route(name);
  if (standby === null) return;
  if (standby.key !== key || standby.epoch !== builder.spec.epoch) {
    builder.rememberRoute(name, { standby: null });
    return;
  }
  const seen = builder.seenOf(standby.id);
  if (seen?.state.kind === "starting") return;
  if (seen?.state.kind !== "ready") {
    giveUp(builder, name, seen?.state.kind === "ended" ? seen.state.failure : GONE);
    return;
  }
  const missing = takesAway(builder, seen);
  if (missing !== null) {
    giveUp(builder, name, linkFailure("protocol", missing));
    return;
  }
  const { now } = builder;
  const isHealthy = seen.missedChecks === 0;
  const signMs = Math.max(seen.readyAtMs ?? 0, seen.checkedAtMs ?? 0);
  if (signMs === standby.signMs && isHealthy) return;
  const at = isHealthy
    ? { monotonicMs: signMs, wallMs: now.wallMs - (now.monotonicMs - signMs) }
    : { ...now };
  const folded = foldHealth(health, { at, reachable: isHealthy, healthy: isHealthy }, GAP_MS);
  builder.rememberRoute(name, { health: folded.health, standby: { ...standby, signMs } });
  if (folded.dropped) clearPendingOf(builder, name, "it has not answered");
  if (seen.outOfReach === true || seen.missedChecks >= MISSED_CHECKS) {
    giveUp(builder, name, linkFailure("unreachable", "it does not answer"));
  }
}

function giveUp(builder: DecisionBuilder, name: string, failure: LinkFailure): void {
  const { now, seen } = builder;
  const { tries, health } = builder.route(name);
  const next = { ...backOffWithJitter(tries, now.monotonicMs, seen.jitter), failure };
  const none = { at: { ...now }, reachable: false, healthy: false };
  builder.rememberRoute(name, {
    standby: null,
    tries: next,
    health: foldHealth(health, none, GAP_MS).health,
  });
  clearPendingOf(builder, name, failure.message);
  if (builder.spec.routes?.asked === name) {
    builder.events.push({ kind: "asked_failed", route: name, reason: failure.message });
  }
}

/** With nothing that serves well, whatever stands by takes over, or is what is being started. */
function takeOver(builder: DecisionBuilder): void {
  const { serving } = builder.memory;
  if (serving !== null && builder.isCurrent(serving) && !serving.distrusted) return;
  const standbys = builder.routeList.flatMap(({ name }) => {
    const { standby } = builder.route(name);
    return standby === null ? [] : [{ name, standby }];
  });
  const ready = standbys.find(({ standby }) => isReady(builder, standby));
  if (ready !== undefined) {
    builder.remember({ candidate: null });
    promoteStandby(builder, ready.name, ready.standby);
    return;
  }
  const [starting] = standbys;
  if (starting === undefined || builder.memory.candidate !== null) return;
  const { id, key, epoch } = starting.standby;
  builder.rememberRoute(starting.name, { standby: null });
  builder.remember({ candidate: { id, key, epoch } });
}

function isReady(builder: DecisionBuilder, { id }: Standby): boolean {
  const seen = builder.seenOf(id);
  return seen?.state.kind === "ready" && seen.missedChecks === 0;
}

function promoteStandby(builder: DecisionBuilder, name: string, standby: Standby): void {
  builder.rememberRoute(name, { standby: null });
  promote(builder, standby);
}

/** What a person asks for goes without a window; what cannot be done changes nothing. */
function foldAsked(builder: DecisionBuilder): Reason | null {
  const asked = builder.spec.routes?.asked ?? null;
  if (asked === null || builder.events.some(({ kind }) => kind === "asked_failed")) return null;
  const route = builder.routeList.find(({ name }) => name === asked);
  const failed = (reason: string): null => {
    builder.events.push({ kind: "asked_failed", route: asked, reason });
    return null;
  };
  const away = awayOf(builder.spec);
  if (route === undefined) return failed("there is no such route");
  if (route.key === null) return failed("what it refers to has no value");
  if (away !== null) return failed(awayText(away));
  const { serving } = builder.memory;
  if (serving !== null && isWell(builder, serving) && serving.key === route.key) {
    holdOn(builder, asked, false);
    return null;
  }
  const { standby } = builder.route(asked);
  if (standby === null || !isReady(builder, standby)) return null;
  leaveBehind(builder, serving);
  promoteStandby(builder, asked, standby);
  holdOn(builder, asked, true);
  return { change: "switched", reason: "a person switched" };
}

function holdOn(builder: DecisionBuilder, route: string, changed: boolean): void {
  const isBest = builder.routeList[0]?.name === route;
  builder.rememberRoutes({ held: isBest ? null : route });
  if (!isBest) clearPending(builder, "a person holds it where it is");
  builder.events.push({ kind: "asked_done", route, changed });
}

/** What failed before it served is not why it is left. */
function leaveBehind(builder: DecisionBuilder, serving: Serving | null): void {
  const left = serving !== null && isWell(builder, serving) ? builder.routeOf(serving.key) : null;
  if (left === null) return;
  const { tries } = builder.route(left.name);
  if (tries.failure !== null) builder.rememberRoute(left.name, { tries: { ...tries, failure: null } });
}

function isWell(builder: DecisionBuilder, serving: Serving): boolean {
  return builder.isCurrent(serving) && !serving.distrusted;
}

/** Back to the best route whose window is over; pending while that waits. */
function foldRecovery(builder: DecisionBuilder): Reason | null {
  const { serving, candidate, routes } = builder.memory;
  const stableMs = builder.spec.routes?.failback.stableMs ?? 0;
  if (serving === null || candidate !== null || !isWell(builder, serving) || routes.held !== null) {
    clearPending(builder, routes.held === null ? "another route failed" : "a person holds it where it is");
    return null;
  }
  for (const route of betterRoutes(builder, serving)) {
    const { standby, health } = builder.route(route.name);
    const dueMs = stableFrom(health, stableMs);
    if (standby === null || dueMs === null || !isReady(builder, standby)) continue;
    if (builder.now.monotonicMs < dueMs) {
      builder.wakeAt(dueMs, "window_end");
      continue;
    }
    // The check that is due asks once more.
    if (!isFresh(standby, dueMs)) continue;
    const { pending } = builder.memory.routes;
    if (pending !== null && pending.route !== route.name) clearPending(builder, "a better one is ready");
    if (!mayGoBack(builder, route.name, serving)) return null;
    builder.rememberRoutes({ pending: null });
    leaveBehind(builder, serving);
    promoteStandby(builder, route.name, standby);
    return { change: "recovered", reason: `it has answered for ${Math.round(stableMs / 1000)} s` };
  }
  const { pending } = builder.memory.routes;
  const isBetter =
    pending !== null && betterRoutes(builder, serving).some(({ name }) => name === pending.route);
  if (pending !== null && !isBetter) clearPending(builder, "it is in use");
  return null;
}

/** By itself as soon as no call is in flight, or those that are have had `drain_timeout`; else when a person switches. */
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

/** The route that serves now, told when it is another one. */
function noteUsed(builder: DecisionBuilder, why: Reason | null): void {
  const { serving, routes } = builder.memory;
  const to = serving === null ? null : (builder.routeOf(serving.key)?.name ?? null);
  const { used: from, held } = routes;
  if (to === null || to === from) return;
  builder.rememberRoutes({ used: to });
  if (from === null) return;
  const isKnown = builder.routeList.some(({ name }) => name === from);
  const failed = builder.route(from).tries.failure?.message ?? "it failed";
  const { change, reason } =
    why ??
    (isKnown
      ? ({ change: "failover", reason: failed } as const)
      : ({ change: "switched", reason: "the configuration does not have it any more" } as const));
  if (change === "failover") {
    clearPending(builder, "another route failed");
    if (held !== null && held !== to) builder.rememberRoutes({ held: null });
  }
  builder.events.push({ kind: "route", change, from, to, reason });
}

function betterRoutes(builder: DecisionBuilder, serving: Kept): readonly RouteSpec[] {
  const at = builder.routeList.findIndex(({ key }) => key === serving.key);
  return builder.routeList.slice(0, Math.max(0, at));
}

/** Whether an instance over it is to stand by. */
function isProbed(builder: DecisionBuilder, route: RouteSpec): boolean {
  const { serving, routes } = builder.memory;
  if (route.key === null || route.key === serving?.key) return false;
  const isAsked = builder.spec.routes?.asked === route.name;
  const isDone = builder.events.some(({ kind }) => kind === "asked_done" || kind === "asked_failed");
  if (isAsked && !isDone) return true;
  if (serving === null || !isWell(builder, serving) || routes.held !== null) return false;
  return betterRoutes(builder, serving).includes(route);
}

/** They are closed as all that has no use. */
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

/** What serves may be out of reach, and another look or another route will tell: calls wait for that. */
export function isInDoubt(builder: DecisionBuilder): boolean {
  const { serving, candidate, routes } = builder.memory;
  if (!builder.hasRoutes || serving === null) return false;
  if (routes.suspectSinceMs !== null) return true;
  return serving.distrusted && (candidate !== null || hasOtherWay(builder, serving.key));
}

/** The route that an instance is started over when one is needed; null: there is one alone. */
export function nextRoute(builder: DecisionBuilder): RouteSpec | null {
  const { serving, routes } = builder.memory;
  const usable = builder.routeList.filter(({ key }) => key !== null);
  const dueMs = ({ name }: RouteSpec): number => builder.route(name).tries.notBeforeMs;
  const due = usable.filter((route) => dueMs(route) <= builder.now.monotonicMs);
  const own = serving === null ? undefined : due.find(({ key }) => key === serving.key);
  // A restart stays where it is; what does not answer is left.
  if (own !== undefined && serving?.distrusted === false) return own;
  const held = due.find(({ name }) => name === routes.held);
  const soonest = usable.toSorted((one, other) => dueMs(one) - dueMs(other))[0];
  return held ?? due.find((route) => route !== own) ?? own ?? soonest ?? null;
}

/** Of the route that is tried next; null: there is one alone. */
export function nextTries(builder: DecisionBuilder): Tries | null {
  const route = nextRoute(builder);
  return route === null ? null : builder.route(route.name).tries;
}

/** Begins an instance that stands by over a better route, or over the one that a person asks for. */
export function standbyStart(builder: DecisionBuilder): ((builder: DecisionBuilder) => BackendStep) | null {
  const { spec, memory, now } = builder;
  if (spec.wanted.kind !== "connection" || isMissing(spec)) return null;
  for (const route of builder.routeList) {
    const { name, key } = route;
    const { standby, tries } = builder.route(name);
    if (key === null || standby !== null || memory.candidate?.key === key) continue;
    if (!isProbed(builder, route)) continue;
    const isDue = spec.routes?.asked === name || now.monotonicMs >= tries.notBeforeMs;
    if (isDue) return (starting) => startStandby(starting, name, key);
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

/** Asks what stands by whether it lives. */
export function standbyCheck(builder: DecisionBuilder): BackendStep | null {
  const { now, spec } = builder;
  for (const { name } of builder.routeList) {
    const { standby, health } = builder.route(name);
    if (standby === null || builder.seenOf(standby.id)?.state.kind !== "ready") continue;
    const lastMs = Math.max(standby.signMs ?? 0, standby.checkedAtMs ?? 0);
    const endMs = stableFrom(health, spec.routes?.failback.stableMs ?? 0);
    const usualMs = lastMs + STANDBY_CHECK_MS;
    // The window's end wants an answer of its own.
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

function isFresh({ signMs }: Standby, dueMs: number): boolean {
  return signMs !== null && signMs >= dueMs - FRESH_MS;
}
