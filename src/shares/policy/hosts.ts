// What the probes say about a share's hosts, which of them a mount tries first, and how messages name them.
import { hostText } from "../../config/values/host-text.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import type { DecideInput } from "./decide-input.ts";

export function answers({ observed }: Pick<DecideInput, "observed">, route: RouteName): boolean {
  return observed.routes[route].probe.verdict === "answers";
}

/** Whether the configured host answers; the mount may still use an earlier address. */
export function configuredAnswers({ observed }: DecideInput, route: RouteName): boolean {
  return observed.configured[route].probe.verdict === "answers";
}

/** The routes whose hosts answer, best first: Thunderbolt, unless an override keeps the share on the fallback. */
export function bestRoutes(input: DecideInput): RouteName[] {
  const order: RouteName[] = input.memory.override === "fallback" ? ["fallback", "tb"] : ["tb", "fallback"];
  return order.filter((route) => configuredAnswers(input, route));
}

/**
 * Routes to try for a remount, in this order: `route` first, but the fallback first if an override keeps the share on
 * the fallback.
 */
export function routesFrom({ memory }: DecideInput, route: RouteName): RouteName[] {
  return route === "tb" && memory.override !== "fallback" ? ["tb", "fallback"] : ["fallback", "tb"];
}

/** The name of a route's host in messages. */
export function hostOf({ spec }: Pick<DecideInput, "spec">, route: RouteName): string {
  const { host, port, folder } = spec.routes[route];
  if (host === null) return folder ?? "the address that it had";
  return hostText({ host, port });
}

/** The address that the mount uses over the route, if its host is known to have another one now; else null. */
export function earlierAddress(
  { mount, routes, configured }: Pick<DecideInput["observed"], "mount" | "routes" | "configured">,
  route: RouteName,
): string | null {
  if ((mount?.relayed ?? mount?.guarded)?.rerouted !== true) return null;
  const [inUse, now] = [routes[route].probe.address, configured[route].probe.address];
  return now === null || inUse === now ? null : inUse;
}

/** The host that the mount uses over the route, in messages. */
export function hostInUse(input: DecideInput, route: RouteName): string {
  const address = earlierAddress(input.observed, route);
  return address === null ? hostOf(input, route) : `its earlier address ${address}`;
}

export function noHostAnswers(input: DecideInput): string {
  return hostsText(input, "its host does not answer", "neither host answers");
}

export function allHostsGone(input: DecideInput): string {
  return hostsText(input, "its host is gone, the mount is kept", "both hosts are gone, the mount is kept");
}

function hostsText(input: DecideInput, one: string, both: string): string {
  const { offNetwork, routes } = input.observed;
  if (offNetwork !== null) return `off network: ${offNetwork}`;
  const texts = routesOf(input.spec).map((route) => {
    const [host, { text }] = [hostOf(input, route), routes[route].probe];
    return text.startsWith(host) ? text : `${host} (${text})`;
  });
  return `${texts.length === 1 ? one : both}: ${texts.join(", ")}`;
}
