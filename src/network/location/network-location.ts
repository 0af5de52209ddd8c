// The network location: the networks that this machine is on, and whether a share is off network because none of them is
// in its `only_on` list.
import { createSocket } from "node:dgram";
import type { Clock } from "../../runtime/time/clock.ts";
import { containsAddress, type InterfaceSnapshot, readInterfaces } from "../interfaces.ts";
import { formatIp, parseIp } from "../ip-address.ts";
import type { NetworkLinks } from "../link-kind.ts";
import { createSingleFlight } from "../probe/single-flight.ts";

export type NetworkLocation = ReturnType<typeof createNetworkLocation>;

export interface CurrentNetworks {
  /**
   * A mark for each network that this machine is on, mapped to the name of the interface: `gateway:aa:bb:cc:dd:ee:ff`
   * for each gateway, `subnet:10.0.0.0/24` for each link without a gateway.
   */
  readonly marks: ReadonlyMap<string, string>;
  readonly gateways: readonly { readonly address: string; readonly mac: string | null }[];
  readonly interfaces: InterfaceSnapshot;
}

/** How long a reading is used while no change is reported, ms; on macOS a reading runs two commands. */
const CACHED_MS = 10_000;
/** How long to wait for the gateway of a new network, ms: a link is up before it has a route. */
const SETTLES_MS = 1_000;
const AGAIN_MS = 50;
/**
 * How long hardware addresses of neighbours are used, ms: long, because a NAS hardly ever gets another
 * network card.
 */
const NEIGHBOURS_CACHED_MS = 600_000;

interface LocationOptions {
  readonly clock: Clock;
  readonly links: Pick<NetworkLinks, "neighbours" | "gateways">;
  /** For tests. */
  readonly interfaces?: (nowMs: number) => InterfaceSnapshot;
  readonly query?: (gateway: string) => void;
}

export function createNetworkLocation(options: LocationOptions) {
  const { clock, links, interfaces = readInterfaces, query = queryGateway } = options;
  const readings = createSingleFlight<CurrentNetworks>(clock);
  /**
   * Hardware addresses of gateways, by IP address. They stay valid until the network changes, even while a gateway
   * restarts.
   */
  const macs = new Map<string, string>();
  let [changedAtMs, changes] = [clock.monotonicMs(), 0];

  const here = (notBeforeMs: number): Promise<CurrentNetworks> =>
    readings.run(String(changes), notBeforeMs, async (goesOut) => {
      goesOut();
      const asOf = changes;
      const [gateways, neighbours] = await Promise.all([links.gateways(), links.neighbours()]);
      const read = hereFrom(interfaces(clock.monotonicMs()), gateways, neighbours, macs);
      if (asOf === changes) for (const { address, mac } of read.gateways) if (mac) macs.set(address, mac);
      return read;
    });

  const met = createSingleFlight<Awaited<ReturnType<NetworkLinks["neighbours"]>>>(clock);
  const neighbours = (notBeforeMs: number) =>
    met.run("", notBeforeMs, (goesOut) => {
      goesOut();
      return links.neighbours();
    });

  return {
    /**
     * Why nothing may be sent to a share's `hosts`; null: sending is allowed. `onlyOn`: the marks of the
     * networks on which the share is used. If `hosts` has both addresses and names, only the addresses count.
     * Never rejects.
     */
    async offNetworkReason(
      onlyOn: readonly string[],
      hosts: readonly string[],
      notBeforeMs: number,
    ): Promise<string | null> {
      if (onlyOn.length === 0) return null;
      for (let sinceMs = notBeforeMs - CACHED_MS; ; ) {
        const now = await here(sinceMs);
        const offNetwork = offNetworkText(now, onlyOn, hosts);
        const unknown = now.gateways.filter(({ mac }) => mac === null);
        if (offNetwork === null || (now.gateways.length > 0 && unknown.length === 0)) return offNetwork;
        // A gateway that is the NAS itself is not asked, because nothing may be sent to the NAS yet.
        for (const { address } of unknown) if (!hosts.includes(address)) query(address);
        if (clock.monotonicMs() - changedAtMs >= SETTLES_MS) return offNetwork;
        await clock.sleep(AGAIN_MS);
        sinceMs = clock.monotonicMs();
      }
    },
    /**
     * The mark of the network that has this address; null: it is not known, or this machine is on none of the networks
     * in `onlyOn`. Sends nothing.
     */
    async networkOf(address: string, onlyOn: readonly string[]): Promise<string | null> {
      const now = await here(clock.monotonicMs() - CACHED_MS);
      return onlyOn.some((mark) => now.marks.has(mark)) ? (networkIdsOf(now, [address])?.[0] ?? null) : null;
    },
    async macOf(address: string): Promise<string | null> {
      const among = async (notBeforeMs: number): Promise<string | null> => {
        const known = await neighbours(notBeforeMs);
        return known.find((one) => one.address === address)?.mac.toLowerCase() ?? null;
      };
      const nowMs = clock.monotonicMs();
      return (await among(nowMs - NEIGHBOURS_CACHED_MS)) ?? (await among(nowMs - CACHED_MS));
    },
    networkChanged(): void {
      changedAtMs = clock.monotonicMs();
      changes += 1;
      macs.clear();
    },
  };
}

/**
 * Finds the networks from the system's tables. `macs`: hardware addresses of gateways that answered on this
 * network before.
 */
export function hereFrom(
  interfaces: InterfaceSnapshot,
  gateways: Awaited<ReturnType<NetworkLinks["gateways"]>>,
  neighbours: Awaited<ReturnType<NetworkLinks["neighbours"]>>,
  macs: ReadonlyMap<string, string> = new Map(),
): CurrentNetworks {
  const there = gateways.filter(({ interfaceName }) => interfaces.names.has(interfaceName));
  const known = there.map(({ address, interfaceName }) => {
    const found = neighbours.find((one) => one.address === address && one.interfaceName === interfaceName);
    return { address, interfaceName, mac: found?.mac.toLowerCase() ?? macs.get(address) ?? null };
  });
  const usable = interfaces.addresses.filter(
    ({ family, bytes, prefixLength, interfaceName }) =>
      family === 4 &&
      bytes[0] !== 127 &&
      prefixLength < 32 &&
      !there.some((gateway) => gateway.interfaceName === interfaceName),
  );
  const marks = new Map<string, string>();
  for (const { mac, interfaceName } of known) if (mac !== null) marks.set(`gateway:${mac}`, interfaceName);
  for (const { bytes, prefixLength, interfaceName } of usable)
    marks.set(`subnet:${networkOf(bytes, prefixLength)}/${prefixLength}`, interfaceName);
  return { marks, gateways: known, interfaces };
}

/**
 * Why nothing may be sent to the share's hosts; null: sending is allowed. Sending is refused if this machine is on
 * none of the networks in `onlyOn`, and its packets could reach the hosts. Without any network it is allowed: a
 * pulled cable is soon back.
 */
export function offNetworkText(
  { marks, gateways, interfaces }: CurrentNetworks,
  onlyOn: readonly string[],
  hosts: readonly string[],
): string | null {
  if (onlyOn.some((mark) => marks.has(mark))) return null;
  if (gateways.length > 0) {
    const shown = gateways.map(({ address, mac }) => `${address} (${mac ?? "address unknown"})`);
    return `this network's gateway, ${shown.join(", ")}, is not in its only_on list`;
  }
  const isOnLink = interfaces.addresses.some(({ text, bytes }) => text !== "::1" && bytes[0] !== 127);
  // Any machine on this link could answer to the name and would get a login.
  if (isOnLink && !hosts.some((host) => parseIp(host) !== null))
    return "its host is only known by name, and this network is not in its only_on list";
  const isHere = hosts.some((host) => linksOf(interfaces, host).length > 0);
  return isHere ? "this network has its address, but is not in its only_on list" : null;
}

/** The addresses of this machine whose subnets hold `host`; none for a name. */
function linksOf({ addresses }: InterfaceSnapshot, host: string): InterfaceSnapshot["addresses"] {
  const ip = parseIp(host);
  return ip === null ? [] : addresses.filter((own) => containsAddress(own, ip));
}

/**
 * Returns the marks (identities) of the networks that these hosts are on; null if a host is on no link, or if its
 * network has no mark.
 */
export function networkIdsOf(
  { marks, interfaces }: CurrentNetworks,
  hosts: readonly string[],
): readonly string[] | null {
  const found = hosts.map((host) => {
    const links = linksOf(interfaces, host);
    const [mark = null] =
      [...marks].find(([, name]) => links.some((own) => own.interfaceName === name)) ?? [];
    return mark;
  });
  return found.includes(null) ? null : [...new Set(found.filter((mark) => mark !== null))];
}

function networkOf(bytes: Uint8Array, prefixLength: number): string {
  const masked = bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte & (0xff << (8 - bits));
  });
  return formatIp(masked);
}

/** Sends an empty datagram to the gateway's discard port, so that the system learns the gateway's hardware address. */
function queryGateway(address: string): void {
  const socket = createSocket("udp4");
  socket.on("error", () => {});
  socket.send("", 9, address, () => socket.close());
}
