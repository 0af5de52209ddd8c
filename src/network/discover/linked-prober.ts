// Adds to each probe's result the link that leads to the host: its device, kind and speed.
import type { Clock } from "../../runtime/time/clock.ts";
import type { NetworkLinks, RouteDevice } from "../link-kind.ts";
import type { AddressedHostProber } from "../probe/host-prober.ts";
import { findRoute } from "../routes/route-lookup.ts";

/** Reads the link to an address; null if no device leads there. Rejects only with the signal's reason. */
export async function linkTo(
  { address, interfaceName }: { readonly address: string | null; readonly interfaceName: string | null },
  links: Pick<NetworkLinks, "of">,
  clock: Clock,
  signal: AbortSignal,
): Promise<RouteDevice | null> {
  if (address === null) return null;
  const route = interfaceName === null ? await findRoute(address, clock, signal) : null;
  const device = route?.kind === "found" ? route.interfaceName : interfaceName;
  return device === null ? null : { device, ...(await links.of(device)) };
}

/** A link is read once the host answers, and again after a network change; a device that is gone keeps its kind. */
export function withLinks(
  prober: AddressedHostProber,
  { clock, links }: { readonly clock: Clock; readonly links: Pick<NetworkLinks, "of"> },
): AddressedHostProber {
  const ending = new AbortController();
  const known = new Map<string, RouteDevice>();
  const read = new Set<string>();
  return {
    ...prober,
    async probe(target, request) {
      const result = await prober.probe(target, request);
      const key = `${result.address}|${target.interfaceName ?? ""}`;
      if (result.verdict === "answers" && !read.has(key)) {
        read.add(key);
        const link = await linkTo(result, links, clock, ending.signal).catch(() => null);
        if (link !== null) known.set(key, link);
      }
      const link = known.get(key);
      return link === undefined ? result : { ...result, link };
    },
    networkChanged() {
      read.clear();
      prober.networkChanged();
    },
    [Symbol.dispose]() {
      ending.abort();
      prober[Symbol.dispose]();
    },
  };
}
