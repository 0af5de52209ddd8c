// Observes a relayed mount: the route in use, the state of its connections, and whether its server is proved.
import { isIP } from "node:net";
import { LOCAL_NETWORK_LINE } from "../../network/local-network-privacy.ts";
import type { FoundMount, MountDriver } from "../drivers/mount-driver.ts";
import type { Endpoints, RelayedState } from "../drivers/relay-contract.ts";
import {
  type MountObservation,
  NO_IDENTITY,
  type RelayEligibility,
  type RelayObservation,
  type RouteObservation,
  type ShareObservation,
} from "../policy/share-observation.ts";
import { otherRoute, ROUTE_NAMES, type RouteName, type SharePolicy, type ShareSpec } from "../share-spec.ts";
import type { ConfiguredShare, CycleObserveServices, ObserveServices } from "./share-subject.ts";

/**
 * If the relay does not answer for this long, ms, its mounts count as dead. A killed relay is back within about a
 * second.
 */
const RELAY_ABSENT_MS = 10_000;

/**
 * How long requests wait for the server of a share that is not relayed, ms: as long as with the system's own
 * clients.
 */
export const GUARDED_PATIENCE_MS = 3_000;

export function isRelayPort({ relayPort = null }: FoundMount): boolean {
  return relayPort !== null;
}

/**
 * Adds the relay's port to a mount that the relay knows and the driver does not: after an edit of `driver`, the mount of
 * the previous one stays relayed.
 */
export function withPortOfRelay(
  { relay }: Pick<ObserveServices, "relay">,
  { name }: Pick<ShareSpec, "name">,
  mount: FoundMount,
): FoundMount {
  if (mount.madeByDriver || mount.processGone || isRelayPort(mount)) return mount;
  const state = relay?.of(name) ?? null;
  if (state === null || state.mount?.id !== mount.id) return mount;
  return { ...mount, relayPort: state.port, guarded: true };
}

/**
 * Whether the mount can be moved to another route: it was mounted for that, or proofs have allowed it since.
 */
export function isMovable(
  { rememberedPort }: { readonly rememberedPort?: ObserveServices["rememberedPort"] | undefined },
  { relayPort = null, guarded = false }: FoundMount,
): boolean {
  return relayPort !== null && (!guarded || rememberedPort?.() === relayPort);
}

/**
 * Adds the relay's report to a relayed mount, because the mount table shows only the mount's preferred host.
 * `configured`: the probes of the configured hosts.
 */
export function withRelay(
  tools: ObserveServices,
  { spec }: ConfiguredShare,
  configured: ShareObservation["routes"],
  mount: MountObservation,
): MountObservation {
  const { clock, relay, rememberedPort } = tools;
  const { found } = mount;
  const { relayPort = null, madeByDriver } = found;
  if (relayPort === null || !found.sameShare) return mount;
  const state = relay?.of(spec.name) ?? null;
  if (state === null || state.port !== relayPort) {
    // A mount that another program made, through a tunnel at a local port, is an ordinary mount.
    if (!madeByDriver && rememberedPort?.() !== relayPort) return mount;
    const absentSinceMs = relay?.absentSinceMs ?? null;
    const mayReturn = absentSinceMs !== null && clock.monotonicMs() - absentSinceMs < RELAY_ABSENT_MS;
    // If the relay does not return, nothing serves the mount's port, and the mount is dead.
    return { ...mount, found: { ...found, processGone: found.processGone || !mayReturn } };
  }
  // The proofs are about the routes of the present configuration, so they say nothing about a mount of a
  // former driver.
  if (found.former === true) return mount;
  const { route } = state;
  const relayed: RelayObservation = {
    ...state,
    rerouted: isRerouted(spec, configured[route], state),
    server: found.server ?? state.server ?? null,
  };
  if (!isMovable(tools, found)) return { check: mount.check, found, guarded: relayed };
  return { check: mount.check, found: { ...found, route }, relayed };
}

/**
 * Returns false if the address and port in use are the configured ones; true if they differ, or if the configured
 * address is not known.
 */
export function isRerouted(
  spec: ShareSpec,
  { probe }: RouteObservation,
  { route, endpoint }: RelayedState,
): boolean {
  const { host, port } = spec.routes[route];
  if (port !== endpoint.port) return true;
  const address = probe.address ?? (isIP(host ?? "") === 0 ? null : host);
  return address !== endpoint.address;
}

/** Begins a proof that is due, passes changed addresses to the relay, and returns what is known of the servers. */
export function observeEligibility(
  { relay, trust, login }: CycleObserveServices,
  { spec, policy, driver }: ConfiguredShare,
  { routes, configured, offNetwork }: Pick<ShareObservation, "routes" | "configured" | "offNetwork">,
  mount: MountObservation | null,
): RelayEligibility | null {
  const { onlyThroughRelay = false } = driver;
  if (relay === undefined || (policy.onRouteChange === "remount" && !onlyThroughRelay)) return null;
  const obstacle = obstacleOf(driver, policy, configured);
  const { relayed = null, guarded = null } = mount ?? {};
  const relayState = relayed ?? guarded;
  // If the mount's process is gone, the share is about to be remounted.
  const isMountDue = mount === null || mount.found.processGone;
  const isUseful = onlyThroughRelay || (obstacle === null && (isMountDue || relayed !== null));
  const now = login?.() ?? null;
  const wanted = isUseful && spec.missingVariable === null && now?.may !== false;
  const route = relayState?.route ?? mount?.found.route ?? null;
  const port = relay.of(spec.name)?.endpoint.port ?? 0;
  const unconfigured =
    relayState?.rerouted === true && route !== null ? { observed: routes[route], port } : null;
  const inUse = relayState &&
    route && { ...relayState, route, goesOn: relayState.phase === "carrying", unconfigured };
  const checksLogin = now !== null && now.refusedAs !== null && !now.accepted;
  const trusted = trust?.observe({ spec, routes: configured, wanted, inUse, checksLogin }) ?? NO_IDENTITY;
  if (relayState !== null) {
    const proved = ROUTE_NAMES.filter((name) => trusted.proved[name]);
    const patienceMs = relayed === null ? GUARDED_PATIENCE_MS : policy.outagePatienceMs;
    relay.keepEndpoints(spec.name, {
      endpoints: endpointsOf(spec, configured, relayed === null ? [] : proved),
      ...{ patienceMs, epoch: relayState.epoch ?? null, away: offNetwork !== null },
    });
  }
  return { obstacle, identity: trusted, provesServers: wanted };
}

/** Why the share cannot be relayed; null: it can. */
function obstacleOf(
  { name, canBeRelayed }: MountDriver,
  { onRouteChange }: SharePolicy,
  configured: ShareObservation["routes"],
): string | null {
  if (onRouteChange === "remount") return 'on_route_change is "remount"';
  if (canBeRelayed !== true) return `driver ${name} remounts on each route change`;
  // macOS blocks our connections to this host, so the relay cannot reach it, but the system's own mounts can.
  if (ROUTE_NAMES.some((name) => configured[name].probe.blocked === true)) return LOCAL_NETWORK_LINE;
  return null;
}

/**
 * Once the routes are proved, returns a guarded mount as relayed, because it can now move between them without a
 * remount. Otherwise returns it unchanged.
 */
export function relayedIfProved(
  mount: MountObservation | null,
  eligibility: RelayEligibility | null,
  configured: ShareObservation["routes"],
): MountObservation | null {
  const { guarded = null } = mount ?? {};
  const route = guarded?.route ?? null;
  if (
    mount === null ||
    guarded === null ||
    route === null ||
    eligibility === null ||
    guarded.phase !== "carrying"
  )
    return mount;
  const { obstacle, identity } = eligibility;
  const { state, proved } = identity;
  const other = otherRoute(route);
  if (obstacle !== null || state !== "same" || !proved[route]) return mount;
  if (!proved[other] && configured[other].probe.verdict === "answers") return mount;
  return { check: mount.check, found: { ...mount.found, route }, relayed: guarded };
}

/** The endpoints of the routes whose hosts answer. */
export function endpointsOf(
  spec: ShareSpec,
  routes: ShareObservation["routes"],
  names: readonly RouteName[] = ROUTE_NAMES,
): Endpoints {
  const found: Partial<Record<RouteName, Endpoints["tb"]>> = {};
  for (const name of names) {
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
