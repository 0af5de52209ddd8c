// What the engine and the program of a mount that moves tell each other at each observation: the program reports its route, and learns
// which addresses and networks are allowed, and which routes answer.
import { isIP } from "node:net";
import type { FoundMount } from "../drivers/mount-driver.ts";
import type { MountReport, MountSettings } from "../drivers/moving-mounts.ts";
import type { MountObservation, ShareObservation } from "../policy/share-observation.ts";
import type { Endpoint, Endpoints } from "../program/arguments.ts";
import type { Contact } from "../program/sign-in.ts";
import { ROUTE_NAMES, type RouteName, routesOf, type ShareSpec } from "../share-spec.ts";
import type { ConfiguredShare } from "./share-subject.ts";

/** Whether a mount that is made now moves. */
export function mayMove({ driver, policy }: Pick<ConfiguredShare, "driver" | "policy">): boolean {
  return driver.moving !== undefined && policy.onRouteChange === "move";
}

/** The newest report on a mount that moves; null: the mount stays on its route. */
export function reportOf({ driver, spec }: ConfiguredShare, mount: FoundMount | null): MountReport | null {
  return mount?.moves === true && mount.former !== true ? (driver.moving?.of(spec.name) ?? null) : null;
}

/** Adds the report to a mount that moves: the mount table shows only the preferred host. */
export function withReport(subject: ConfiguredShare, mount: MountObservation): MountObservation {
  const report = reportOf(subject, mount.found);
  const { driver, spec } = subject;
  if (report === null) return { ...mount, loginRefused: driver.moving?.of(spec.name)?.refused?.text ?? null };
  return { ...mount, found: { ...mount.found, route: report.route ?? mount.found.route }, moving: report };
}

type Observed = Pick<ShareObservation, "routes">;

/** The settings that hold for the share's mount now. */
export function mountSettings(
  { spec, policy }: ConfiguredShare,
  { routes }: Observed,
  contact: Contact,
): MountSettings {
  const endpoints = endpointsOf(spec, routes);
  const signIn = contact.signIn(endpoints);
  const names = routesOf(spec);
  const probeOf = (route: RouteName) => routes[route].probe;
  return {
    configured: names,
    endpoints,
    allowed: signIn === null ? [] : names,
    patienceMs: policy.outagePatienceMs,
    signIn,
    down: signIn !== null ? names.filter((route) => probeOf(route).reason === "link_down") : [],
    answering: names.filter((route) => probeOf(route).verdict === "answers"),
  };
}

/** The routes whose address is known. */
export function endpointsOf(spec: ShareSpec, routes: Observed["routes"]): Endpoints {
  const found: Partial<Record<RouteName, Endpoint>> = {};
  for (const name of ROUTE_NAMES) {
    const { host, port, interfaceName } = spec.routes[name];
    const { probe } = routes[name];
    const address = probe.address ?? (host !== null && isIP(host) !== 0 ? host : null);
    if (address === null || host === null) continue;
    const named = interfaceName === null ? {} : { isNamed: true };
    found[name] = { address, port, interfaceName: probe.interfaceName ?? interfaceName, ...named };
  }
  return found;
}
