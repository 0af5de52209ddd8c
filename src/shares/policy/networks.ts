// The networks on which a share is used besides those that its configuration names: those of its proved routes.
import { PROVED_NETWORKS } from "../../config/values/names.ts";
import type { ShareMemory } from "../../reconcile/state-store.ts";
import { ROUTE_NAMES, type SharePolicy, type ShareSpec } from "../share-spec.ts";
import { announce, type Situation, setMemory } from "./situation.ts";

/** The share's networks. A network that was proved counts as long as the host that was proved there is configured. */
export function networksOf(
  { onlyOn = [] }: Pick<SharePolicy, "onlyOn">,
  spec: Pick<ShareSpec, "routes">,
  memory: Pick<ShareMemory, "provedNetworks">,
): readonly string[] {
  if (!onlyOn.includes(PROVED_NETWORKS)) return onlyOn;
  return [...onlyOn, ...stillProved(spec, memory).map((one) => one.split("@")[0] ?? "")];
}

/** Remembers the networks of proved routes, and forgets those of hosts that are no longer configured. */
export function updateNetworks(now: Situation): Situation {
  const { observed, memory, spec } = now;
  const proved = stillProved(spec, memory);
  const added = (observed.networks ?? []).filter((one) => !proved.includes(one));
  if (added.length === 0 && proved.length === (memory.provedNetworks ?? []).length) return now;
  const provedNetworks = [...proved, ...added];
  const reason = provedNetworks.join(", ") || "only those in only_on";
  return announce(setMemory(now, { provedNetworks }), { name: "share.networks", reason });
}

function stillProved(
  { routes }: Pick<ShareSpec, "routes">,
  { provedNetworks = [] }: Pick<ShareMemory, "provedNetworks">,
) {
  const hosts = ROUTE_NAMES.map((route) => routes[route].host);
  return provedNetworks.filter((one) => hosts.includes(one.slice(one.indexOf("@") + 1)));
}
