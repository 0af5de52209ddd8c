// What to do with a share that is carried: its mount stays whatever becomes of the routes, and moves between them.
import { suspect } from "../../reconcile/route-health.ts";
import { otherRoute, type RouteName } from "../share-spec.ts";
import { startErrand } from "./decide-errand.ts";
import { judgeMount, type MountVerdict, settleBackoff } from "./decide-mount-alive.ts";
import { decideDead, isBackingOff, pushSlowRoute } from "./decide-mounted.ts";
import { decideRecovery } from "./decide-recovery.ts";
import { isDeadErrno, isLocalErrno, type OwnRoute } from "./decide-routes.ts";
import { whyNeither } from "./decide-unmounted.ts";
import { answers, clearError, type Draft, hostOf, setEpisode, setError } from "./draft.ts";
import { type CarriedSeen, type MountSeen, NO_TRUST } from "./share-seen.ts";
import type { Step } from "./step.ts";

/** A request without an answer for so long, on a route that does not answer probes, ms. */
const STALL_MS = 300;
/** How soon both hosts are looked at again while programs wait for either, ms. */
const WAITING_LOOK_MS = 400;
/** How soon a gate that did not open, or close, is tried again, ms. */
const GATE_RETRY_MS = 250;

export function decideCarried(
  draft: Draft,
  mount: MountSeen,
  route: RouteName,
  carried: CarriedSeen,
): Step | null {
  const own = judgeOwnCarried(draft, route, mount, carried);
  const verdict = judgeCarried(draft, mount, route, carried);
  noteDoubt(draft, carried, own);
  if (draft.memory.held === "unmounted") return null;
  if (verdict.state === "dead") return decideDeadCarried(draft, mount, route, verdict.reason);
  if (own === "waiting") return null;
  if (own === "gone") return decideRouteGone(draft, route, carried);
  if (own === "slow") pushSlowRoute(draft, route);
  if (carried.phase !== "carrying") return openGate(draft, route, carried);
  if (verdict.state !== "alive") return null;
  if (own === "answers") clearError(draft, "host and mount answer");
  settleBackoff(draft);
  if (carried.rerouted) return followHost(draft, route);
  return route === "fallback" ? decideRecovery(draft, mount) : null;
}

/** Whether the route in use is gone. Silence counts when the carrier, too, has had no answer since. */
function judgeOwnCarried(draft: Draft, route: RouteName, mount: MountSeen, carried: CarriedSeen): OwnRoute {
  const { probe, atMs } = draft.seen.routes[route];
  if (probe.verdict === "answers") {
    if (draft.episode.suspicion !== null) setEpisode(draft, { suspicion: null });
    return "answers";
  }
  if (probe.reason === "link_down") return "gone";
  const key = `${route} ${mount.found.id}`;
  const verdict = suspect(draft.episode.suspicion, key, atMs, probe.verdict === "gone");
  setEpisode(draft, { suspicion: verdict.suspicion });
  if (verdict.state === "waiting") {
    draft.wakes.push({ atMs: verdict.confirmAtMs, reason: "confirm" });
    return "waiting";
  }
  if (verdict.suspicion.certain || carried.phase !== "carrying") return "gone";
  return judgeSilentCarried(draft, mount, carried, verdict.suspicion.firstAtMs);
}

function judgeSilentCarried(
  draft: Draft,
  { look }: MountSeen,
  { lastAnswerAtMs, unansweredSinceMs }: CarriedSeen,
  sinceMs: number,
): OwnRoute {
  const { atMs } = draft.seen;
  const askedAtMs = unansweredSinceMs ?? (look.state === "pending" ? look.startedAtMs : null);
  if (askedAtMs !== null) {
    // One answer among many that are due shows that the server lives; none for so long, that it does not.
    const stalledSinceMs = Math.max(askedAtMs, lastAnswerAtMs ?? askedAtMs);
    if (atMs - stalledSinceMs >= STALL_MS) return "gone";
    if (lastAnswerAtMs !== null && lastAnswerAtMs > sinceMs) return "slow";
    draft.wakes.push({ atMs: stalledSinceMs + STALL_MS, reason: "confirm" });
    return "waiting";
  }
  if (lastAnswerAtMs !== null && lastAnswerAtMs > sinceMs) return "slow";
  if (look.state === "answered" && look.startedAtMs >= sinceMs && !isLocalErrno(look.errno)) {
    return isDeadErrno(look.errno) ? "gone" : "slow";
  }
  const finishedAtMs = look.state === "answered" ? look.finishedAtMs : atMs;
  draft.wakes.push({ atMs: Math.max(atMs + 1, finishedAtMs + draft.cacheMs), reason: "confirm" });
  return "waiting";
}

/** Dead only by a look that began after the route answered, or by a process that is gone: one that waits is not dead. */
function judgeCarried(
  draft: Draft,
  mount: MountSeen,
  route: RouteName,
  { phase, lastAnswerAtMs }: CarriedSeen,
): MountVerdict {
  const { found, look } = mount;
  if (found.processGone) return judgeMount(draft, mount);
  const healthySince = draft.episode.health[route].healthySince?.monotonicMs ?? null;
  if (phase !== "carrying" || healthySince === null || !answers(draft, route)) {
    if (draft.episode.deadLook !== null) setEpisode(draft, { deadLook: null });
    return { state: "unproven" };
  }
  const sinceMs = Math.max(healthySince, draft.episode.movedAtMs ?? healthySince);
  if (look.state === "pending") {
    if (lastAnswerAtMs !== null && lastAnswerAtMs >= look.startedAtMs) return { state: "alive" };
    return judgeMount(draft, {
      ...mount,
      look: { state: "pending", startedAtMs: Math.max(look.startedAtMs, sinceMs) },
    });
  }
  const isOld = look.state === "answered" && look.startedAtMs < sinceMs && isDeadErrno(look.errno);
  return isOld ? { state: "unproven" } : judgeMount(draft, mount);
}

/** Since when the server behind the route in use answers without being proved. */
function noteDoubt(draft: Draft, { phase }: CarriedSeen, own: OwnRoute): void {
  const isInDoubt = phase !== "carrying" && own === "answers";
  const { doubtAtMs } = draft.episode;
  if (isInDoubt === (doubtAtMs !== null)) return;
  setEpisode(draft, { doubtAtMs: isInDoubt ? draft.seen.atMs : null });
}

function decideDeadCarried(draft: Draft, mount: MountSeen, route: RouteName, reason: string): Step | null {
  if (answers(draft, route) || answers(draft, otherRoute(route)))
    return decideDead(draft, mount, route, reason);
  setError(draft, `the mount is dead (${reason}) and neither host answers: ${whyNeither(draft)}`);
  return null;
}

function decideRouteGone(draft: Draft, route: RouteName, carried: CarriedSeen): Step | null {
  const { phase } = carried;
  const other = otherRoute(route);
  const hold = (): Step | null => (phase === "carrying" ? holdOnce(draft) : null);
  if (!answers(draft, other)) {
    setError(draft, `both hosts are gone, the mount is kept: ${whyNeither(draft)}`);
    if (isPatient(draft, carried)) lookAgainSoon(draft);
    return hold();
  }
  if (isBackingOff(draft)) return hold();
  const { proved, asking, state, text } = draft.seen.carry?.trust ?? NO_TRUST;
  const reason = `${hostOf(draft, route)} is gone: ${draft.seen.routes[route].probe.text}`;
  if (proved[other]) {
    return startErrand(draft, {
      kind: "failover",
      reason,
      mode: "plain",
      plan: [other],
      goal: null,
      moves: true,
    });
  }
  // A proof that failed is tried again as long as programs have patience.
  if (asking || (state !== "different" && isPatient(draft, carried))) return hold();
  // Not proved to be the same server: no open file may be moved there, so it is mounted anew.
  const why = `${reason}; not proved to be the same server: ${text ?? hostOf(draft, other)}`;
  return startErrand(draft, {
    kind: "failover",
    reason: why,
    mode: "force",
    plan: [other, other],
    goal: null,
  });
}

/** The route was lost less than the share's patience ago; where nobody told the carrier, its own patience counts. */
function isPatient({ seen, episode, policy, wakes }: Draft, { phase, routeLostAtMs }: CarriedSeen): boolean {
  const lostAtMs = routeLostAtMs ?? episode.suspicion?.firstAtMs ?? null;
  if (lostAtMs === null) return phase !== "refusing";
  const endsAtMs = lostAtMs + policy.outagePatienceMs;
  if (seen.atMs >= endsAtMs) return false;
  wakes.push({ atMs: endsAtMs, reason: "confirm" });
  return true;
}

/** Programs wait for the first of both hosts that answers: the next tick is too late. */
function lookAgainSoon({ seen, wakes }: Draft): void {
  wakes.push({ atMs: seen.atMs + WAITING_LOOK_MS, reason: "retry" });
}

/** A carrier that cannot be asked now is asked again after a moment. */
function holdOnce({ seen, wakes }: Draft): Step | null {
  if (seen.lastStep?.kind !== "gate") return { kind: "hold" };
  wakes.push({ atMs: seen.atMs + GATE_RETRY_MS, reason: "confirm" });
  return null;
}

/** The route answers, and programs wait: they go on once the server is proved to be theirs. */
function openGate(draft: Draft, route: RouteName, { outage }: CarriedSeen): Step | null {
  const { proved, asking, state, text } = draft.seen.carry?.trust ?? NO_TRUST;
  const { lastStep, atMs } = draft.seen;
  if (proved[route]) {
    if (lastStep?.kind !== "gate") return { kind: "confirm", outage };
    draft.wakes.push({ atMs: atMs + GATE_RETRY_MS, reason: "confirm" });
    return null;
  }
  const { doubtAtMs } = draft.episode;
  const isOverdue = doubtAtMs !== null && atMs - doubtAtMs >= draft.policy.outagePatienceMs;
  if (asking || (state !== "different" && !isOverdue) || isBackingOff(draft)) return null;
  const why =
    state === "different" ? "another server answers there" : "the server is not proved to be the same";
  return startErrand(draft, {
    kind: "remount",
    reason: `${why}: ${text ?? hostOf(draft, route)}`,
    mode: "force",
    plan: [route, otherRoute(route)],
    goal: null,
  });
}

/** The configuration gives the route another address: the mount follows once the server there is proved. */
function followHost(draft: Draft, route: RouteName): Step | null {
  if (draft.seen.carry?.trust.proved[route] !== true || isBackingOff(draft)) return null;
  return startErrand(draft, {
    kind: "remount",
    reason: `its host is ${hostOf(draft, route)} now`,
    mode: "plain",
    plan: [route],
    goal: null,
    moves: true,
  });
}
