// The machine's network interfaces, and by which of them a host is reached.
import { networkInterfaces } from "node:os";
import { valueOr } from "../runtime/errors.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { formatIp, type IpAddress, inPrefix, isLinkLocalIpv6, parseIp } from "./ip-address.ts";

interface InterfaceAddress {
  readonly interfaceName: string;
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  readonly prefixLength: number;
  /** The address as text to bind a socket to; a link-local address has its zone. */
  readonly text: string;
}

/** The interfaces that are up and have a link and an address. The system's list has no others. */
export interface InterfaceSnapshot {
  readonly takenAtMs: number;
  readonly addresses: readonly InterfaceAddress[];
  readonly names: ReadonlySet<string>;
}

/** One snapshot serves all probes of a cycle: reading three interfaces takes the calling thread 40 µs. */
export function createInterfaceReader(clock: Clock) {
  let newest: InterfaceSnapshot | null = null;
  return {
    /** The newest snapshot if it is not older than `notBeforeMs` (monotonic), else a new one. */
    snapshot(notBeforeMs: number): InterfaceSnapshot {
      if (newest === null || newest.takenAtMs < notBeforeMs) newest = readInterfaces(clock.monotonicMs());
      return newest;
    },
    networkChanged(): void {
      newest = null;
    },
  };
}

/** Reads the system's interfaces now; an empty snapshot when the system refuses. */
export function readInterfaces(nowMs: number): InterfaceSnapshot {
  // getifaddrs fails only when the system is out of descriptors or memory. Probes then leave the choice of
  // interface to the system.
  return valueOr(() => snapshotOf(networkInterfaces(), nowMs), snapshotOf({}, nowMs));
}

type SystemInterfaces = Readonly<
  Record<string, readonly { address: string; netmask: string; cidr: string | null }[] | undefined>
>;

/** Turns the system's list into a snapshot; entries that cannot be understood are left out. */
export function snapshotOf(interfaces: SystemInterfaces, takenAtMs: number): InterfaceSnapshot {
  const addresses: InterfaceAddress[] = [];
  for (const [interfaceName, entries] of Object.entries(interfaces)) {
    for (const entry of entries ?? []) {
      const address = parseIp(entry.address);
      if (address === null) continue;
      const bits = address.bytes.length * 8;
      const slash = entry.cidr?.lastIndexOf("/") ?? -1;
      const prefixLength = slash === -1 ? bits : Number(entry.cidr?.slice(slash + 1));
      if (!Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > bits) continue;
      const written = formatIp(address.bytes);
      addresses.push({
        interfaceName,
        family: address.family,
        bytes: address.bytes,
        prefixLength,
        text: isLinkLocalIpv6(address) ? `${written}%${interfaceName}` : written,
      });
    }
  }
  return { takenAtMs, addresses, names: new Set(Object.keys(interfaces)) };
}

/** Whether the subnet of an interface's address holds `ip`; false across families. */
export function containsAddress({ bytes, prefixLength }: InterfaceAddress, ip: IpAddress): boolean {
  return inPrefix(ip.bytes, bytes, prefixLength);
}

/**
 * The way to one address.
 * - `on_link`: the interface's subnet holds the address. Where several interfaces hold it equally, name and local address
 *   are null, and the system chooses, as it will for the mount.
 * - `configured`: a configured interface whose subnet does not hold the address.
 * - `routed`: no interface's subnet holds the address.
 * - `absent`: the configured interface, or the one of the address's zone, is down or does not exist.
 */
export type OutgoingInterface =
  | {
      readonly kind: "on_link" | "configured";
      readonly interfaceName: string | null;
      readonly localAddress: string | null;
      /** The address of the host, with a zone if it needs one. */
      readonly address: string;
    }
  | { readonly kind: "routed"; readonly address: string }
  | { readonly kind: "absent"; readonly interfaceName: string };

/** Finds the way to `host`; with `configuredInterface`, only through that interface. */
export function findOutgoingInterface(
  snapshot: InterfaceSnapshot,
  host: IpAddress,
  configuredInterface: string | null,
): OutgoingInterface {
  const wanted = host.scope ?? configuredInterface;
  if (wanted !== null && !snapshot.names.has(wanted)) return { kind: "absent", interfaceName: wanted };
  let best: InterfaceAddress | null = null;
  let tied = false;
  for (const own of snapshot.addresses) {
    if (wanted !== null && own.interfaceName !== wanted) continue;
    if (!containsAddress(own, host)) continue;
    if (best === null || own.prefixLength > best.prefixLength) {
      best = own;
      tied = false;
    } else if (own.prefixLength === best.prefixLength && own.interfaceName !== best.interfaceName) {
      tied = true;
    }
  }
  const plain = formatIp(host.bytes);
  const through = (name: string): string => (isLinkLocalIpv6(host) ? `${plain}%${name}` : plain);
  if (tied) return { kind: "on_link", interfaceName: null, localAddress: null, address: plain };
  if (best !== null) {
    const { interfaceName, text: localAddress } = best;
    return { kind: "on_link", interfaceName, localAddress, address: through(interfaceName) };
  }
  if (wanted === null) return { kind: "routed", address: plain };
  const first = snapshot.addresses.find(
    (own) => own.interfaceName === wanted && own.family === host.family && !isLinkLocalIpv6(own),
  );
  const localAddress = first?.text ?? null;
  return { kind: "configured", interfaceName: wanted, localAddress, address: through(wanted) };
}
