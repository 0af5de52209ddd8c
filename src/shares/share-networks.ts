// The networks on which a share is used: those that its configuration names, and those of its proved routes.
import { PROVED_NETWORKS } from "../config/values/names.ts";
import type { ShareMemory } from "../reconcile/state-store.ts";
import { ROUTE_NAMES, type SharePolicy, type ShareSpec } from "./share-spec.ts";

type Proved = Pick<ShareMemory, "provedNetworks">;

/** Empty: any network. A network that was proved counts as long as the host that was proved there is configured. */
export function networksOf(
  { onlyOn = [] }: Pick<SharePolicy, "onlyOn">,
  spec: Pick<ShareSpec, "routes">,
  memory: Proved,
): readonly string[] {
  if (!onlyOn.includes(PROVED_NETWORKS)) return onlyOn;
  return [...onlyOn, ...stillProved(spec, memory).map((one) => one.split("@")[0] ?? "")];
}

export function stillProved(
  { routes }: Pick<ShareSpec, "routes">,
  { provedNetworks = [] }: Proved,
): readonly string[] {
  const hosts = ROUTE_NAMES.map((route) => routes[route].host);
  return provedNetworks.filter((one) => hosts.includes(one.slice(one.indexOf("@") + 1)));
}
