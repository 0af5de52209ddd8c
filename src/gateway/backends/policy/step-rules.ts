// The rules for the next step of one backend: what ends, what is checked or read again, and what starts. Pure.
import { CONFIRM_AFTER_MS, NO_BACKOFF } from "../../../reconcile/route-health.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { InstanceObservation } from "../instance/backend-instance.ts";
import type { BackendSituation } from "./backend-situation.ts";
import { isProbed, startOver } from "./decide-route.ts";
import { isMissing, unavailableText } from "./required-data.ts";
import { backOffWithJitter, nextRoute, nextTries } from "./retries.ts";
import { lastRetries } from "./route-memory.ts";
import type { Answer, Rule, Wait } from "./rule.ts";

/** Time between two checks of the serving instance, ms. */
const CHECK_EVERY_MS = 30_000;
/** Time to the next check after a missed one, longer than a check may take. */
const CHECK_AGAIN_MS = 10_000;
/** Time until the next check after several calls have timed out, ms. */
const REQUESTED_CHECK_MS = 5_000;
/** Time between two checks of a backend with several routes, ms. It is longer than a check may take. */
const ROUTE_CHECK_MS = 6_000;
/** After this many failed starts, an address that refuses connections is only probed. */
const STARTS_WHILE_UNREACHABLE = 3;

/**
 * Closes the instances that neither serve nor will serve. A draining instance first ends its calls, within
 * `drain_timeout`.
 */
export const endUnused: Rule = {
  name: "end the old instance",
  answer({ observed, memory, spec, now }) {
    const waits: Wait[] = [];
    for (const { id, state, inFlight } of observed.instances) {
      if (memory.closing.includes(id) || id === memory.serving?.id) continue;
      if ([...memory.routes.byName.values()].some(({ attempt }) => attempt?.id === id)) continue;
      const drained = memory.draining.find((one) => one.id === id);
      const untilMs = drained === undefined ? now.monotonicMs : drained.sinceMs + spec.drainTimeoutMs;
      const mayAnswer = state.kind === "ready" || state.kind === "starting";
      if (now.monotonicMs >= untilMs || !mayAnswer || inFlight === 0) {
        const draining = memory.draining.filter((one) => one !== drained);
        const learned = { closing: [...memory.closing, id], draining };
        return { waits, learned, step: { kind: "close", id, drained: drained ?? null } };
      }
      waits.push({ atMs: untilMs, reason: "drain", why: "calls on it have no answer yet" });
    }
    return { waits };
  },
};

function servingInstance({ memory, observed }: BackendSituation): InstanceObservation | null {
  return observed.instances.find(({ id }) => id === memory.serving?.id) ?? null;
}

/** Checks the health of the serving instance, if that is due. */
export const checkServing: Rule = {
  name: "check that it answers",
  answer(situation) {
    const { now, memory } = situation;
    const instance = servingInstance(situation);
    if (instance === null) return null;
    const dueMs = checkDueMs(situation, instance);
    if (now.monotonicMs < dueMs) return { waits: [{ atMs: dueMs, reason: "check" }] };
    // The confirming check is under way.
    if (memory.routes.unreachableSinceMs !== null && (memory.checkedAtMs ?? 0) >= dueMs) return null;
    return { learned: { checkedAtMs: now.monotonicMs }, step: { kind: "check", id: instance.id } };
  },
};

function checkDueMs(
  { memory, observed: { checkRequested }, hasChoice, now }: BackendSituation,
  { readyAtMs, checkedAtMs, missedChecks }: InstanceObservation,
): number {
  const { unreachableSinceMs } = memory.routes;
  if (unreachableSinceMs !== null) return unreachableSinceMs + CONFIRM_AFTER_MS;
  if (checkRequested && memory.checkedAtMs === null) return now.monotonicMs;
  const lastMs = Math.max(readyAtMs ?? 0, checkedAtMs ?? 0, memory.checkedAtMs ?? 0);
  const usualMs = missedChecks > 0 ? CHECK_AGAIN_MS : CHECK_EVERY_MS;
  if (checkRequested) return lastMs + REQUESTED_CHECK_MS;
  return lastMs + (hasChoice ? Math.min(usualMs, ROUTE_CHECK_MS) : usualMs);
}

/** Reads stale lists of the serving instance again, if that is due. */
export const refreshLists: Rule = {
  name: "read its lists again",
  answer(situation) {
    const { now, memory } = situation;
    const instance = servingInstance(situation);
    if (instance === null) return null;
    const { id, listsStaleBecause: why } = instance;
    if (why === null) return { learned: { refresh: null } };
    const refresh = memory.refresh ?? backOffWithJitter(situation, NO_BACKOFF);
    const { notBeforeMs: atMs } = refresh;
    if (now.monotonicMs < atMs) return { learned: { refresh }, waits: [{ atMs, reason: "retry", why }] };
    return { learned: { refresh: backOffWithJitter(situation, refresh) }, step: { kind: "refresh", id } };
  },
};

/** The start that the backend needs to serve. */
export const startNeeded: Rule = {
  name: "start",
  answer(situation) {
    const { spec, observed, now } = situation;
    if (!needsStart(situation)) {
      const why = obstacleToStart(situation);
      return why === null ? null : { why };
    }
    const { notBeforeMs: atMs, failure } = nextTries(situation);
    const why = failure?.message ?? "the last try failed";
    if (isOnlyProbed(situation)) return { why };
    if (now.monotonicMs < atMs) return { waits: [{ atMs, reason: "retry", why }] };
    if (spec.isBlocked) return { why: "another process still runs it, and it may run only once" };
    if (spec.replace === "stop-first" && observed.instances.length > 0)
      return { why: "the old instance has to end first" };
    return startOnTurn(situation, nextRoute(situation));
  },
};

/** Why a backend without an instance is not to start; null: it runs, is being started, or is not wanted. */
function obstacleToStart({ spec, memory, attempt }: BackendSituation): string | null {
  const { wanted, needs } = spec;
  if (wanted.kind === "secret_missing") return missingText(wanted.variables);
  if (wanted.kind === "nothing" || memory.serving !== null || attempt !== null) return null;
  if (needs !== null && needs.data.kind !== "there") return unavailableText(needs.data);
  return memory.asleep ? "no client needs it; a call starts it" : null;
}

function startOnTurn(situation: BackendSituation, route: ReturnType<typeof nextRoute>): Answer | null {
  if (route === null) return null;
  return situation.observed.mayStart
    ? startOver(situation, route)
    : { why: "servers start one by one, and it waits for its turn", awaitsTurn: true };
}

/** A start over a better route, or over the one that a person asks for. */
export const startBetter: Rule = {
  name: "use a better route",
  answer(situation) {
    const { spec, now, requested } = situation;
    if (spec.wanted.kind !== "connection" || isMissing(spec)) return null;
    const waits: Wait[] = [];
    for (const route of situation.routeList) {
      const { attempt, tries } = situation.route(route.name);
      if (route.key === null || attempt !== null || !isProbed(situation, route)) continue;
      const { notBeforeMs: atMs, failure } = tries;
      if (requested === route.name || now.monotonicMs >= atMs)
        return { waits, ...startOnTurn(situation, route) };
      waits.push({ atMs, reason: "retry", why: `${route.name}: ${failure?.message ?? "it failed"}` });
    }
    return { waits };
  },
};

export function needsStart(situation: BackendSituation): boolean {
  const { spec, memory } = situation;
  if (spec.wanted.kind !== "connection" || situation.attempt !== null || memory.asleep) return false;
  // A server whose folder is missing would end at once, or serve an empty folder.
  return !isMissing(spec) && situation.healthyServing === null;
}

/**
 * True if the address refuses connections. Always false if there are several routes, because another one is tried
 * instead.
 */
export function isUnreachable(situation: BackendSituation): boolean {
  const { serving, routes } = situation.memory;
  const isWanted = situation.spec.wanted.kind === "connection" && serving === null;
  return (
    isWanted &&
    !situation.hasChoice &&
    !isMissing(situation.spec) &&
    lastRetries(routes).failure?.isUnreachable === true
  );
}

export function isOnlyProbed(situation: BackendSituation): boolean {
  return (
    isUnreachable(situation) && lastRetries(situation.memory.routes).failures >= STARTS_WHILE_UNREACHABLE
  );
}
