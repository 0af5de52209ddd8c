// What to do with a carried share: its mount stays whatever happens to the routes, and moves between them.
import { CONFIRM_AFTER_MS } from "../../reconcile/route-health.ts";
import { otherRoute, type RouteName, routesOf } from "../share-spec.ts";
import { isOwnProved } from "./decide-carry.ts";
import { judgeMount, type MountVerdict, settleBackoff } from "./decide-mount-alive.ts";
import {
  decideDead,
  isBackingOff,
  pushSlowRoute,
  remountOnceClosed,
  takeBetterCache,
} from "./decide-mounted.ts";
import { startOperation } from "./decide-operation.ts";
import { decideRecovery } from "./decide-recovery.ts";
import { isDeadErrno, isLocalErrno, judgeByProbes, type OwnRoute } from "./decide-routes.ts";
import { allHostsGone, noHostAnswers } from "./decide-unmounted.ts";
import {
  answers,
  type Builder,
  clearError,
  configuredAnswers,
  hostOf,
  setError,
  setState,
} from "./decision-builder.ts";
import { type CarriedSeen, type MountSeen, NO_TRUST, type ServerSeen } from "./share-seen.ts";
import type { Step } from "./step.ts";

/** How long a request may be without an answer on a route that does not answer probes, ms. */
const STALL_MS = 300;
/** How soon both hosts are looked at again while programs wait for either, ms. */
const WAITING_LOOK_MS = 400;
/** How soon opening or closing the gate is tried again if it failed, ms. */
const GATE_RETRY_MS = 250;

export function decideCarried(
  builder: Builder,
  mount: MountSeen,
  route: RouteName,
  carried: CarriedSeen,
): Step | null {
  const own = judgeOwnCarried(builder, route, mount, carried);
  const verdict = judgeCarried(builder, mount, route, carried);
  noteDoubt(builder, carried, own === "answers");
  if (carried.rerouted) pushRerouted(builder, route);
  if (builder.memory.held === "unmounted") return null;
  if (verdict.state === "dead") return decideDeadCarried(builder, mount, route, verdict.reason);
  if (own === "waiting") return null;
  if (own === "gone") return decideRouteGone(builder, mount, route, carried);
  if (own === "slow") pushSlowRoute(builder, route);
  if (carried.phase !== "carrying") {
    const gate = openGate(builder, route, carried, builder.policy.outagePatienceMs);
    const isLost = carried.rerouted && !isOwnProved(builder, route, carried);
    // Another server may be at the old address by now: what is mounted has nothing to go back to.
    return gate ?? (isLost ? followHost(builder, mount, route, true) : null);
  }
  if (verdict.state !== "alive") return null;
  if (own === "answers") clearError(builder, "host and mount answer");
  // After a failed move it is not tried again at once, because what is open works well where it is.
  if (carried.rerouted) return followHost(builder, mount, route, false);
  settleBackoff(builder);
  return (
    takeBetterCache(builder, mount, route) ?? (route === "fallback" ? decideRecovery(builder, mount) : null)
  );
}

/**
 * How long after a move a look may wait for rclone, which makes connections one after the other, with pauses of up to 2
 * s after failures, and needs a dozen for many programs.
 */
const RECONNECTS_MS = 20_000;

/** How long a server whose share is not carried may take to be recognised, ms; then it is mounted anew. */
const PINNED_DOUBT_MS = 10_000;

/**
 * For a share that is not carried: nothing goes to a server that was away before it is proved to be the same. "open":
 * the rules go on.
 */
export function decidePinnedGate(
  builder: Builder,
  mount: MountSeen,
  pinned: CarriedSeen,
): Step | null | "open" {
  const { route = mount.found.route, phase } = pinned;
  const isAway = route === null || !answers(builder, route);
  const isClosed = phase !== "carrying" && !isAway && !mount.found.processGone;
  noteDoubt(builder, pinned, isClosed);
  if (!isClosed || builder.state.operation !== null || builder.memory.held === "unmounted") return "open";
  // What the configuration no longer names is left once nothing is open.
  if (pinned.rerouted && !isOwnProved(builder, route, pinned))
    return leaveAddress(builder, mount, route, true);
  if (builder.state.suspicion !== null) setState(builder, { suspicion: null });
  return openGate(builder, route, pinned, PINNED_DOUBT_MS);
}

/** Whether the route in use is gone. Silence counts when the carrier, too, has had no answer since. */
function judgeOwnCarried(
  builder: Builder,
  route: RouteName,
  mount: MountSeen,
  carried: CarriedSeen,
): OwnRoute {
  const judged = judgeByProbes(builder, route, mount);
  if (typeof judged === "string") return judged;
  if (carried.phase !== "carrying") return "gone";
  return judgeSilentCarried(builder, mount, carried, judged.silentSinceMs);
}

function judgeSilentCarried(
  builder: Builder,
  { look }: MountSeen,
  { lastAnswerAtMs, unansweredSinceMs }: CarriedSeen,
  sinceMs: number,
): OwnRoute {
  const { atMs } = builder.seen;
  const askedAtMs = unansweredSinceMs ?? (look.state === "pending" ? look.startedAtMs : null);
  if (askedAtMs !== null) {
    // One answer among many open requests proves that the server lives; no answer for this long means that it does not.
    const stalledSinceMs = Math.max(askedAtMs, lastAnswerAtMs ?? askedAtMs);
    if (atMs - stalledSinceMs >= STALL_MS) return "gone";
    if (lastAnswerAtMs !== null && lastAnswerAtMs > sinceMs) return "slow";
    builder.wakes.push({ atMs: stalledSinceMs + STALL_MS, reason: "confirm" });
    return "waiting";
  }
  if (lastAnswerAtMs !== null && lastAnswerAtMs > sinceMs) return "slow";
  if (look.state === "answered" && look.startedAtMs >= sinceMs && !isLocalErrno(look.errno)) {
    return isDeadErrno(look.errno) ? "gone" : "slow";
  }
  const finishedAtMs = look.state === "answered" ? look.finishedAtMs : atMs;
  builder.wakes.push({ atMs: Math.max(atMs + 1, finishedAtMs + builder.cacheMs), reason: "confirm" });
  return "waiting";
}

/**
 * Dead only by a look that began after the route answered, or because its process is gone: a mount that waits is not
 * dead.
 */
function judgeCarried(
  builder: Builder,
  mount: MountSeen,
  route: RouteName,
  { phase, lastAnswerAtMs }: CarriedSeen,
): MountVerdict {
  const { found, look } = mount;
  if (found.processGone) return judgeMount(builder, mount);
  const healthySince = builder.state.health[route].healthySince?.monotonicMs ?? null;
  if (phase !== "carrying" || healthySince === null || !answers(builder, route)) {
    if (builder.state.deadLook !== null) setState(builder, { deadLook: null });
    return { state: "unproven" };
  }
  const sinceMs = Math.max(healthySince, builder.state.movedAtMs ?? healthySince);
  const reconnectedAtMs = (builder.state.movedAtMs ?? Number.NEGATIVE_INFINITY) + RECONNECTS_MS;
  if (look.state === "pending") {
    if (lastAnswerAtMs !== null && lastAnswerAtMs >= look.startedAtMs) return { state: "alive" };
    return judgeMount(builder, {
      ...mount,
      look: { state: "pending", startedAtMs: Math.max(look.startedAtMs, sinceMs, reconnectedAtMs) },
    });
  }
  const hasFailed = look.state === "answered" && isDeadErrno(look.errno);
  if (hasFailed && look.startedAtMs < sinceMs) return { state: "unproven" };
  const verdict = judgeMount(builder, mount);
  // rclone keeps lost connections beside those that live: a program that gets one fails, and the server answers others.
  const answersOthers = lastAnswerAtMs !== null && hasFailed && lastAnswerAtMs >= look.startedAtMs;
  const deadAtMs = (builder.state.deadLook?.startedAtMs ?? 0) + builder.policy.mountHangMs;
  if (verdict.state !== "dead" || !answersOthers || builder.seen.atMs >= deadAtMs) return verdict;
  builder.wakes.push({ atMs: builder.seen.atMs + CONFIRM_AFTER_MS, reason: "confirm" });
  return { state: "unproven" };
}

/** Since when the server behind the route in use has answered without being proved. */
function noteDoubt(builder: Builder, { phase }: CarriedSeen, isThere: boolean): void {
  const isInDoubt = phase !== "carrying" && isThere;
  const { doubtAtMs } = builder.state;
  if (isInDoubt === (doubtAtMs !== null)) return;
  setState(builder, { doubtAtMs: isInDoubt ? builder.seen.atMs : null });
}

function decideDeadCarried(
  builder: Builder,
  mount: MountSeen,
  route: RouteName,
  reason: string,
): Step | null {
  if (answers(builder, route) || answers(builder, otherRoute(route)))
    return decideDead(builder, mount, route, reason);
  setError(builder, `the mount is dead (${reason}) and ${noHostAnswers(builder)}`);
  return null;
}

function decideRouteGone(
  builder: Builder,
  mount: MountSeen,
  route: RouteName,
  carried: CarriedSeen,
): Step | null {
  const { phase } = carried;
  const other = otherRoute(route);
  const hold = (): Step | null => (phase === "carrying" ? holdOnce(builder) : null);
  const { proved, asking, state, text } = builder.seen.carry?.trust ?? NO_TRUST;
  if (carried.rerouted && !(proved[other] && answers(builder, other))) {
    setError(builder, `${hostOf(builder, route)} is not proved, and the address in use is gone`);
    lookAgainSoon(builder);
    return hold() ?? followHost(builder, mount, route, true);
  }
  if (!answers(builder, other)) {
    setError(builder, allHostsGone(builder));
    if ((builder.seen.away ?? null) === null && isPatient(builder, carried)) lookAgainSoon(builder);
    return hold();
  }
  if (isBackingOff(builder)) return hold();
  const reason = `${hostOf(builder, route)} is gone: ${builder.seen.routes[route].probe.text}`;
  if (proved[other]) {
    return startOperation(builder, {
      kind: "failover",
      reason,
      mode: "plain",
      plan: [other],
      moves: true,
    });
  }
  // A failed proof is tried again while programs have patience.
  if (asking || (state !== "different" && isPatient(builder, carried))) return hold();
  // Not proved to be the same server, so no open file may be moved there: it is mounted anew.
  const why = `${reason}; not proved to be the same server: ${text ?? hostOf(builder, other)}`;
  return startOperation(builder, {
    kind: "failover",
    reason: why,
    mode: "force",
    plan: [other, other],
  });
}

/** The route was lost less than the share's patience ago; where the carrier did not hear of it, its own patience counts. */
function isPatient({ seen, state, policy, wakes }: Builder, { phase, routeLostAtMs }: CarriedSeen): boolean {
  const lostAtMs = routeLostAtMs ?? state.suspicion?.firstAtMs ?? null;
  if (lostAtMs === null) return phase !== "refusing";
  const endsAtMs = lostAtMs + policy.outagePatienceMs;
  if (seen.atMs >= endsAtMs) return false;
  wakes.push({ atMs: endsAtMs, reason: "confirm" });
  return true;
}

/** Programs wait for the first host to answer, so the next tick would be too late. */
function lookAgainSoon({ seen, wakes }: Builder): void {
  wakes.push({ atMs: seen.atMs + WAITING_LOOK_MS, reason: "retry" });
}

/** If the carrier cannot be asked now, it is asked again after a moment. */
function holdOnce({ seen, wakes }: Builder): Step | null {
  if (seen.lastStep?.kind !== "gate") return { kind: "hold" };
  wakes.push({ atMs: seen.atMs + GATE_RETRY_MS, reason: "confirm" });
  return null;
}

/** The route answers, and programs wait: they go on once the server is proved to be theirs. */
function openGate(builder: Builder, route: RouteName, carried: CarriedSeen, withinMs: number): Step | null {
  const { outage, rerouted } = carried;
  const { asking, state, text } = builder.seen.carry?.trust ?? NO_TRUST;
  const { lastStep, atMs } = builder.seen;
  if (isOwnProved(builder, route, carried)) {
    // The proof is older than a step of this cycle, and the outage may be newer: observe again first.
    if (lastStep === null) return { kind: "confirm", outage };
    builder.wakes.push({ atMs: atMs + GATE_RETRY_MS, reason: "confirm" });
    return null;
  }
  const { doubtAtMs } = builder.state;
  const isOverdue = doubtAtMs !== null && atMs - doubtAtMs >= withinMs;
  if (doubtAtMs !== null && !isOverdue) builder.wakes.push({ atMs: doubtAtMs + withinMs, reason: "confirm" });
  // A typing mistake must not cut off what is open: it waits, and the edit may be taken back.
  if (rerouted) return null;
  if (asking || (state !== "different" && !isOverdue) || isBackingOff(builder)) return null;
  const why =
    state === "different" ? "another server answers there" : "the server is not proved to be the same";
  return startOperation(builder, {
    kind: "remount",
    reason: `${why}: ${text ?? hostOf(builder, route)}`,
    mode: "force",
    plan: [route, otherRoute(route)],
  });
}

/**
 * The configuration gives the route another address, or none any more: the mount follows once its server is proved to be
 * there, or behind the route that is left.
 */
function followHost(builder: Builder, mount: MountSeen, route: RouteName, isGone: boolean): Step | null {
  const { proved } = builder.seen.carry?.trust ?? NO_TRUST;
  const goal = routeLeft(builder, route);
  if (isBackingOff(builder)) return null;
  if (proved[goal] && configuredAnswers(builder, goal)) {
    const reason = followed(builder, goal);
    return startOperation(builder, { kind: "remount", reason, mode: "plain", plan: [goal], moves: true });
  }
  return leaveAddress(builder, mount, route, isGone);
}

/** The other one, where the configuration has the route no more. */
function routeLeft({ spec }: Builder, route: RouteName): RouteName {
  return routesOf(spec).includes(route) ? route : otherRoute(route);
}

function followed(builder: Builder, route: RouteName): string {
  return `its host is ${hostOf(builder, route)} now`;
}

function leaveAddress(builder: Builder, mount: MountSeen, route: RouteName, isGone: boolean): Step | null {
  const { asking, servers } = builder.seen.carry?.trust ?? NO_TRUST;
  if (isBackingOff(builder)) return null;
  const names = routesOf(builder.spec);
  const plan = names.filter((name) => configuredAnswers(builder, name) && isJudged(servers?.[name]));
  if (asking || plan.length === 0) return null;
  // Another server, or one that cannot be proved: nothing that is open goes there.
  const reason = followed(builder, routeLeft(builder, route));
  return remountOnceClosed(builder, mount, { reason, plan, lost: isGone });
}

/** The server there is known, or it is known that it cannot be proved. */
function isJudged(server: ServerSeen | undefined): boolean {
  return server !== undefined && (server.id !== null || server.asked);
}

function pushRerouted({ seen, spec, conditions }: Builder, route: RouteName): void {
  const { servers, text, proved } = seen.carry?.trust ?? NO_TRUST;
  const { host, port } = spec.routes[route];
  const { probe } = (seen.configured ?? seen.routes)[route];
  if (proved[route] || probe.address === null) return;
  const isOther = (servers?.[route].id ?? null) !== null;
  const why = probe.verdict === "answers" ? (text ?? "it is being asked") : probe.text;
  const now = `What is open goes on over ${seen.routes[route].probe.address ?? "the old address"} as long as that answers.`;
  conditions.push({
    code: "host_unproved",
    severity: "warning",
    title: isOther
      ? `Another server answers at ${host}:${port} than the one that is mounted: ${why}`
      : `${host}:${port} is not proved to be the server that is mounted: ${why}`,
    hint: `${now} Close it, and the share is mounted from there; or set the host back.`,
  });
}
