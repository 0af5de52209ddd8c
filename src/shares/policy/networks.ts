// Keeps the networks of a share's proved routes in its memory.
import { stillProved } from "../share-networks.ts";
import { announce, type Situation, setMemory } from "./situation.ts";

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
