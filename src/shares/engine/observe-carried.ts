// Observes a carried mount: the route it really uses, the state of its connections, and whether its server is proved.
import { isIP } from "node:net";
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

/** How long a carrier may be away before mounts through it count as dead: one that was killed is back in a second, ms. */
const CARRIER_ABSENT_MS = 10_000;

/** How long programs wait for the server of a share that is not carried, as with the system's own clients, ms. */
export const PINNED_PATIENCE_MS = 3_000;

export function isCarriedPort({ carriedPort = null }: FoundMount): boolean {
  return carriedPort !== null;
}

/** Whether its route can be moved: it was mounted for that, or both routes were proved since to lead to its server. */
export function isMovable(
  { rememberedPort }: { readonly rememberedPort?: LookTools["rememberedPort"] | undefined },
  { carriedPort = null, pinned = false }: FoundMount,
): boolean {
  return carriedPort !== null && (!pinned || rememberedPort?.() === carriedPort);
}

/**
 * The mount table shows a carried mount's preferred host; the route in use is what the carrier says. `configured`: what
 * the probes of the configured hosts found.
 */
export function withCarried(
  tools: LookTools,
  { spec, driver }: Subject,
  configured: ShareSeen["routes"],
  mount: MountSeen,
): MountSeen {
  const { clock, carriage, rememberedPort } = tools;
  const { found } = mount;
  const { carriedPort = null, madeByDriver } = found;
  const isUnguarded = carriedPort === null && madeByDriver && driver.keepsUnsent === true;
  if (isUnguarded && carriage !== undefined) return { ...mount, unguarded: true };
  if (carriedPort === null || !found.sameShare) return mount;
  const state = carriage?.of(spec.name) ?? null;
  if (state === null || state.port !== carriedPort) {
    // Somebody else's mount through a tunnel is an ordinary mount.
    if (!madeByDriver && rememberedPort?.() !== carriedPort) return mount;
    const absentSinceMs = carriage?.absentSinceMs ?? null;
    const mayReturn = absentSinceMs !== null && clock.monotonicMs() - absentSinceMs < CARRIER_ABSENT_MS;
    // Nothing serves its port: programs that use it wait in vain.
    return { ...mount, found: { ...found, processGone: found.processGone || !mayReturn } };
  }
  // The routes are others now, and what is proved is about those.
  if (found.former === true) return mount;
  const { route, phase, lastAnswerAtMs, unansweredSinceMs, routeLostAtMs, outage } = state;
  const { outageAtMove = null, witness = null, epoch = null, encrypted = false } = state;
  const carried: CarriedSeen = {
    ...{ port: carriedPort, route, phase, lastAnswerAtMs, unansweredSinceMs, routeLostAtMs, outage },
    ...{ outageAtMove, witness, epoch, encrypted },
    rerouted: isRerouted(spec, configured[route], state),
    server: found.server ?? state.server ?? null,
  };
  if (!isMovable(tools, found)) return { look: mount.look, found, pinned: carried };
  return { look: mount.look, found: { ...found, route }, carried };
}

/** Whether the route in use leads elsewhere than the configuration says, or where that leads is unknown. */
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

/** Also begins a proof that is due, and passes changed addresses to the carrier. */
export async function observeCarry(
  { carriage, trust, logon }: ObserveTools,
  { spec, policy, driver }: Subject,
  {
    routes,
    configured,
    away = null,
  }: Pick<ShareSeen, "routes" | "away"> & { readonly configured: ShareSeen["routes"] },
  mount: MountSeen | null,
): Promise<CarrySeen | null> {
  const { keepsUnsent = false } = driver;
  if (carriage === undefined || (policy.carry === "off" && !keepsUnsent)) return null;
  const { unable, account } = await abilityOf(driver, spec, policy);
  const { carried = null, pinned = null } = mount ?? {};
  const held = carried ?? pinned;
  // The process behind the mount is gone, so it is about to be mounted anew.
  const isMountDue = mount === null || mount.found.processGone;
  const isUseful = keepsUnsent || (unable === null && (isMountDue || carried !== null));
  const now = logon?.() ?? null;
  const wanted = isUseful && spec.missingVariable === null && now?.may !== false;
  const route = held?.route ?? mount?.found.route ?? null;
  const inUse =
    held === null || route === null
      ? null
      : {
          ...inUseOf(held, route),
          ...(held.rerouted
            ? { detour: { seen: routes[route], port: carriage.of(spec.name)?.endpoint.port ?? 0 } }
            : {}),
        };
  // The server is asked with the mount's own account.
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

/** Whether the share could be carried, and which account its mount uses. */
async function abilityOf(
  { name, carries }: MountDriver,
  spec: ShareSpec,
  { carry }: SharePolicy,
): Promise<{ unable: string | null; account: Extract<MountDriver["carries"], { can: true }>["account"] }> {
  if (carry === "off") return { unable: "carry is off", account: undefined };
  if (carries?.can !== true)
    return { unable: carries?.reason ?? `driver ${name} mounts anew for each route`, account: undefined };
  const refusal = (await carries.refusal?.(spec)) ?? null;
  return {
    unable: refusal === null ? null : `${refusal.text}; ${refusal.hint}`,
    account: carries.account,
  };
}

function inUseOf(carried: CarriedSeen, route: RouteName) {
  const { server = null, outage, outageAtMove = null, witness = null, phase } = carried;
  return { route, server, outage, outageAtMove, witness, goesOn: phase === "carrying" };
}

/**
 * A mount that was made without a proof of both routes is carried once they are proved; it is not mounted anew for
 * that.
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

/** The endpoints of those routes whose hosts answer. */
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
