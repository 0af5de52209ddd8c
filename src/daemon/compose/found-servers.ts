// The servers that `init` and `shares discover` offer: those discovered on this machine's links, and those already mounted.
import type { FoundServer } from "../../api/setup/found-server.ts";
import { parseHost } from "../../config/values/host.ts";
import { hostText } from "../../config/values/host-text.ts";
import { discoverServers } from "../../network/discover/discover.ts";
import { UNKNOWN_LINK } from "../../network/link-kind.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { findShares } from "../../shares/mounts/found-shares.ts";

/**
 * Finds servers: those that offer shares first, other hosts of the network last. Rejects only with the
 * signal's reason.
 */
export async function foundServers(signal: AbortSignal): Promise<readonly FoundServer[]> {
  const [heard, shares] = await Promise.all([discoverServers(systemClock, signal), findShares()]);
  const servers = new Map<string, FoundServer>();
  for (const { interfaceName, ...server } of heard) {
    const key = hostText({ host: server.address, port: server.port });
    servers.set(key, { ...server, by: [...server.by], interface: interfaceName, mounts: [] });
  }
  for (const { host: text, by, ...mount } of shares) {
    const reading = parseHost(text);
    if (!reading.ok) continue;
    const { host, port } = reading.address;
    const isNamed = (one: FoundServer): boolean => one.port === port && sameName(one.host, host);
    const [key, known] = [...servers].find(([name, one]) => name === text || isNamed(one)) ?? [text, null];
    const found = known ?? {
      ...{ address: host, port, name: null, host: null, interface: null, link: UNKNOWN_LINK },
      ...{ by: [], mounts: [] },
    };
    const source = by === "fstab" ? "fstab" : "mounted";
    servers.set(key, {
      ...found,
      by: [...new Set([...found.by, source] as const)],
      mounts: [...found.mounts, mount],
    });
  }
  const isNeighbour = ({ by }: FoundServer): boolean => by.every((source) => source === "neighbour");
  return [...servers.values()].sort((one, other) => Number(isNeighbour(one)) - Number(isNeighbour(other)));
}

function sameName(one: string | null, other: string): boolean {
  return one !== null && one.toLowerCase() === other.toLowerCase().replace(/\.$/, "");
}
