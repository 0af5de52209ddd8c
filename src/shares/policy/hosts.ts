// What the probes say about a share's hosts, which of them a mount tries first, and how messages name them.
import { hostText } from "../../config/values/host-text.ts";
import { type RouteName, routesOf } from "../share-spec.ts";
import type { DecideInput } from "./decide-input.ts";

export function answers({ observed }: Pick<DecideInput, "observed">, route: RouteName): boolean {
  return observed.routes[route].probe.verdict === "answers";
}

/** The routes whose hosts answer, best first: Thunderbolt, unless an override keeps the share on the fallback. */
export function bestRoutes(input: DecideInput): RouteName[] {
  return routesFrom(input, "tb").filter((route) => answers(input, route));
}

/** Whether the route's host takes connections, and answers them later than a probe waits. */
export function isSlow({ observed }: Pick<DecideInput, "observed">, route: RouteName): boolean {
  return observed.routes[route].probe.reason === "smb_timeout";
}

/** The routes over which a share can be mounted, best first; slow ones only if no other host answers. */
export function mountableRoutes(input: DecideInput): RouteName[] {
  const best = bestRoutes(input);
  return best.length > 0 ? best : routesFrom(input, "tb").filter((route) => isSlow(input, route));
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

/** The address that the mount uses, if the configuration gives its route another one by now; else null. */
export function earlierAddress({ mount }: Pick<DecideInput["observed"], "mount">): string | null {
  const endpoint = mount?.moving?.endpoint ?? null;
  return endpoint?.isFormer === true ? endpoint.address : null;
}

/** The host that the mount uses over the route, in messages. */
export function hostInUse(input: DecideInput, route: RouteName): string {
  const address = earlierAddress(input.observed);
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
