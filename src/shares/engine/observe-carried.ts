// Observes a carried mount: the route it really uses, the state of its connections, and whether its server is proved.
import type { CarriedState, Endpoints } from "../drivers/carriage.ts";
import type { FoundMount } from "../drivers/mount-driver.ts";
import {
  type CarrySeen,
  type MountSeen,
  NO_TRUST,
  type RouteSeen,
  type ShareSeen,
} from "../policy/share-seen.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../share-spec.ts";
import type { LookTools, ObserveTools, Subject } from "./share-subject.ts";

/** How long a carrier may be away before mounts through it count as dead: one that was killed is back in a second, ms. */
const CARRIER_ABSENT_MS = 10_000;

export function isCarriedPort({ carriedPort = null }: FoundMount): boolean {
  return carriedPort !== null;
}

/** The mount table shows a carried mount's preferred host; the route in use is the carrier's word. */
export function withCarried(
  { clock, carriage, rememberedPort }: LookTools,
  { spec }: Subject,
  routes: ShareSeen["routes"],
  mount: MountSeen,
): MountSeen {
  const { found } = mount;
  const { carriedPort = null } = found;
  if (carriedPort === null || !found.sameShare) return mount;
  const state = carriage?.of(spec.name) ?? null;
  if (state === null || state.port !== carriedPort) {
    // Somebody else's, through a tunnel of their own, is a mount like any other.
    if (!found.madeByDriver && rememberedPort?.() !== carriedPort) return mount;
    const absentSinceMs = carriage?.absentSinceMs ?? null;
    const mayReturn = absentSinceMs !== null && clock.monotonicMs() - absentSinceMs < CARRIER_ABSENT_MS;
    // Nobody serves its port: whoever uses it waits for nothing.
    return { ...mount, found: { ...found, processGone: found.processGone || !mayReturn } };
  }
  const { phase, lastAnswerAtMs, unansweredSinceMs, routeLostAtMs, outage, outageAtMove = null } = state;
  return {
    look: mount.look,
    found: { ...found, route: state.route },
    carried: {
      port: carriedPort,
      phase,
      lastAnswerAtMs,
      unansweredSinceMs,
      routeLostAtMs,
      outage,
      outageAtMove,
      rerouted: isRerouted(spec, routes[state.route], state),
    },
  };
}

function isRerouted(spec: ShareSpec, { probe }: RouteSeen, { route, endpoint }: CarriedState): boolean {
  if (probe.verdict !== "answers" || probe.address === null) return false;
  return probe.address !== endpoint.address || spec.routes[route].port !== endpoint.port;
}

/** Also begins the proof that is due, and tells the carrier of changed addresses. */
export async function observeCarry(
  { carriage, trust }: ObserveTools,
  { spec, policy, driver }: Subject,
  routes: ShareSeen["routes"],
  mount: MountSeen | null,
): Promise<CarrySeen | null> {
  if (carriage === undefined || policy.carry === "off") return null;
  const ability = driver.carries ?? {
    can: false,
    reason: `driver ${driver.name} mounts anew for each route`,
  };
  const refusal = ability.can ? ((await ability.refusal?.(spec)) ?? null) : null;
  const unable = ability.can
    ? refusal === null
      ? null
      : `${refusal.text}; ${refusal.hint}`
    : ability.reason;
  const carried = mount?.carried ?? null;
  if (carried !== null) carriage.keepEndpoints(spec.name, endpointsOf(spec, routes), policy.outagePatienceMs);
  // What served the mount is gone: it is about to be mounted anew.
  const isMountDue = mount === null || mount.found.processGone;
  const wanted = unable === null && spec.missingVariable === null && (isMountDue || carried !== null);
  const route = mount?.found.route ?? null;
  const { outage = null, outageAtMove = null, phase } = carried ?? {};
  const inUse =
    carried === null || route === null ? null : { route, outage, outageAtMove, goesOn: phase === "carrying" };
  // The server is asked as who the mount is.
  const account = wanted && ability.can ? ((await ability.account?.(spec)) ?? null) : null;
  const asked = account === null ? spec : { ...spec, ...account };
  const trusted = trust?.note({ spec: asked, routes, wanted, inUse });
  return { unable, trust: trusted ?? NO_TRUST };
}

/** Of the routes whose hosts answer. */
export function endpointsOf(spec: ShareSpec, routes: ShareSeen["routes"]): Endpoints {
  const found: Partial<Record<RouteName, Endpoints["tb"]>> = {};
  for (const name of ROUTE_NAMES) {
    const { probe } = routes[name];
    if (probe.verdict !== "answers" || probe.address === null) continue;
    found[name] = {
      address: probe.address,
      port: spec.routes[name].port,
      localAddress: probe.localAddress ?? null,
    };
  }
  return found as Endpoints;
}
