// Observes a carried mount: the route in use, the state of its connections, and whether its server is proved.
import { isIP } from "node:net";
import { LOCAL_NETWORK_LINE } from "../../network/local-network-privacy.ts";
import type { CarriedState, Endpoints } from "../drivers/carriage.ts";
import type { FoundMount, MountDriver } from "../drivers/mount-driver.ts";
import {
  type CarriedSeen,
  type CarrySeen,
  type MountSeen,
  NO_TRUST,
  type RouteSeen,
  type ShareSeen,
} from "../policy/share-seen.ts";
import { otherRoute, ROUTE_NAMES, type RouteName, type SharePolicy, type ShareSpec } from "../share-spec.ts";
import type { LookTools, ObserveTools, Subject } from "./share-subject.ts";

/**
 * If the carrier does not answer for this long, ms, its mounts count as dead. A killed carrier is back within about a
 * second.
 */
const CARRIER_ABSENT_MS = 10_000;

/**
 * How long requests wait for the server of a share that is not carried, ms: as long as with the system's own
 * clients.
 */
export const PINNED_PATIENCE_MS = 3_000;

export function isCarriedPort({ carriedPort = null }: FoundMount): boolean {
  return carriedPort !== null;
}

/**
 * Whether the mount can be moved to another route: it was mounted for that, or proofs have allowed it since.
 */
export function isMovable(
  { rememberedPort }: { readonly rememberedPort?: LookTools["rememberedPort"] | undefined },
  { carriedPort = null, pinned = false }: FoundMount,
): boolean {
  return carriedPort !== null && (!pinned || rememberedPort?.() === carriedPort);
}

/**
 * Adds the carrier's report to a carried mount, because the mount table shows only the mount's preferred host.
 * `configured`: the probes of the configured hosts.
 */
export function withCarried(
  tools: LookTools,
  { spec }: Subject,
  configured: ShareSeen["routes"],
  mount: MountSeen,
): MountSeen {
  const { clock, carriage, rememberedPort } = tools;
  const { found } = mount;
  const { carriedPort = null, madeByDriver } = found;
  if (carriedPort === null || !found.sameShare) return mount;
  const state = carriage?.of(spec.name) ?? null;
  if (state === null || state.port !== carriedPort) {
    // A mount of someone else's that leads through a tunnel at a local port is an ordinary mount.
    if (!madeByDriver && rememberedPort?.() !== carriedPort) return mount;
    const absentSinceMs = carriage?.absentSinceMs ?? null;
    const mayReturn = absentSinceMs !== null && clock.monotonicMs() - absentSinceMs < CARRIER_ABSENT_MS;
    // If the carrier does not return, nothing serves the mount's port, and the mount is dead.
    return { ...mount, found: { ...found, processGone: found.processGone || !mayReturn } };
  }
  // The proofs are about the routes of the present configuration, so they say nothing about a mount of a
  // former driver.
  if (found.former === true) return mount;
  const { route } = state;
  const carried: CarriedSeen = {
    ...state,
    rerouted: isRerouted(spec, configured[route], state),
    server: found.server ?? state.server ?? null,
  };
  if (!isMovable(tools, found)) return { look: mount.look, found, pinned: carried };
  return { look: mount.look, found: { ...found, route }, carried };
}

/**
 * Returns false if the address and port in use are the configured ones; true if they differ, or if the configured
 * address is not known.
 */
export function isRerouted(
  spec: ShareSpec,
  { probe }: RouteSeen,
  { route, endpoint }: CarriedState,
): boolean {
  const { host, port } = spec.routes[route];
  if (port !== endpoint.port) return true;
  const address = probe.address ?? (isIP(host ?? "") === 0 ? null : host);
  return address !== endpoint.address;
}

/** Begins a proof that is due, passes changed addresses to the carrier, and returns what is known of the servers. */
export async function observeCarry(
  { carriage, trust, logon }: ObserveTools,
  { spec, policy, driver }: Subject,
  { routes, configured, away }: Pick<ShareSeen, "routes" | "configured" | "away">,
  mount: MountSeen | null,
): Promise<CarrySeen | null> {
  const { keepsUnsent = false } = driver;
  if (carriage === undefined || (policy.carry === "off" && !keepsUnsent)) return null;
  const { unable, account } = await abilityOf(driver, spec, policy, configured);
  const { carried = null, pinned = null } = mount ?? {};
  const held = carried ?? pinned;
  // If the mount's process is gone, the share is about to be mounted anew.
  const isMountDue = mount === null || mount.found.processGone;
  const isUseful = keepsUnsent || (unable === null && (isMountDue || carried !== null));
  const now = logon?.() ?? null;
  const wanted = isUseful && spec.missingVariable === null && now?.may !== false;
  const route = held?.route ?? mount?.found.route ?? null;
  const port = carriage.of(spec.name)?.endpoint.port ?? 0;
  const detour = held?.rerouted === true && route !== null ? { seen: routes[route], port } : null;
  const inUse = held && route && { ...held, route, goesOn: held.phase === "carrying", detour };
  // Proofs log in with the mount's own account.
  const asked = wanted ? { ...spec, ...((await account?.(spec)) ?? {}) } : spec;
  const asksLogin = now !== null && now.shut !== null && !now.accepted;
  const trusted = trust?.note({ spec: asked, routes: configured, wanted, inUse, asksLogin }) ?? NO_TRUST;
  if (held !== null) {
    const proved = ROUTE_NAMES.filter((name) => trusted.proved[name]);
    const patienceMs = carried === null ? PINNED_PATIENCE_MS : policy.outagePatienceMs;
    carriage.keepEndpoints(spec.name, {
      endpoints: endpointsOf(spec, configured, carried === null ? [] : proved),
      ...{ patienceMs, epoch: held.epoch ?? null, away: away !== null },
    });
  }
  return { unable, trust: trusted, asks: wanted };
}

/** Why the share cannot be carried (null: it can), and how to get the account of its mount. */
async function abilityOf(
  { name, carries }: MountDriver,
  spec: ShareSpec,
  { carry }: SharePolicy,
  configured: ShareSeen["routes"],
): Promise<{ unable: string | null; account: NonNullable<MountDriver["carries"]>["account"] }> {
  if (carry === "off") return { unable: "carry is off", account: undefined };
  if (carries === undefined)
    return { unable: `driver ${name} mounts anew for each route`, account: undefined };
  // The system still mounts from a host from which it keeps our own connections.
  if (ROUTE_NAMES.some((name) => configured[name].probe.blocked === true))
    return { unable: LOCAL_NETWORK_LINE, account: undefined };
  const refusal = (await carries.refusal?.(spec)) ?? null;
  return { unable: refusal && `${refusal.text}; ${refusal.hint}`, account: carries.account };
}

/**
 * Once the routes are proved, returns an earlier mount as carried, because it can move between them without a new
 * mount. Otherwise returns it unchanged.
 */
export function carriedIfProved(
  mount: MountSeen | null,
  carry: CarrySeen | null,
  configured: ShareSeen["routes"],
): MountSeen | null {
  const { pinned = null } = mount ?? {};
  const route = pinned?.route ?? null;
  if (mount === null || pinned === null || route === null || carry === null || pinned.phase !== "carrying")
    return mount;
  const { unable, trust } = carry;
  const { state, proved } = trust;
  const other = otherRoute(route);
  if (unable !== null || state !== "same" || !proved[route]) return mount;
  if (!proved[other] && configured[other].probe.verdict === "answers") return mount;
  return { look: mount.look, found: { ...mount.found, route }, carried: pinned };
}

/** The endpoints of the routes whose hosts answer. */
export function endpointsOf(
  spec: ShareSpec,
  routes: ShareSeen["routes"],
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
