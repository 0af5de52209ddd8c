// The bytes of rtnetlink ([rtnetlink(7)]): requests, and what each message changes. Little-endian.
import { formatIp, isLinkLocalIpv6 } from "../../ip-address.ts";
import type { NetworkDelta } from "../events/network-delta.ts";

const HEADER_BYTES = 16;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP = 0x300;

const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;
const IFLA_IFNAME = 3;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_OPTIMISTIC = 0x04;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_TABLE = 15;
const RT_TABLE_MAIN = 254;
const RTN_UNICAST = 1;
const RTM_F_CLONED = 0x200;
const AF_INET = 2;
const AF_INET6 = 10;

/** RTMGRP_LINK | IPV4_IFADDR | IPV4_ROUTE | IPV6_IFADDR | IPV6_ROUTE, for `bind`. */
export const RTNETLINK_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/** What is asked for at the start and after an overflow, one after the other: a socket has one dump at a time. */
export type DumpSubject = "links" | "addresses";

/** A request for all links or all addresses. `sequence` comes back in the answers. */
export function buildDumpRequest(subject: DumpSubject, sequence: number): Buffer {
  const request = Buffer.alloc(HEADER_BYTES + 16);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(subject === "links" ? RTM_GETLINK : RTM_GETADDR, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  request.writeUInt32LE(sequence, 8);
  return request;
}

interface Link {
  readonly name: string;
  readonly up: boolean;
  readonly running: boolean;
  readonly addresses: Set<string>;
}

interface RtnetlinkRead {
  readonly deltas: readonly NetworkDelta[];
  /** The dump asked for with this sequence number came to its end (or was refused). */
  readonly dumpEnded: number | null;
}

/**
 * Remembers links and addresses so that a message that repeats what is known is no delta. The first dump teaches
 * without deltas; later ones, after an overflow, tell what was missed.
 */
export class RtnetlinkReader {
  readonly #links = new Map<number, Link>();
  #dump: { subject: DumpSubject; sequence: number; seen: Set<string> } | null = null;
  readonly #taught: Record<DumpSubject, boolean> = { links: false, addresses: false };

  /** A dump of `subject` was asked for: what it does not name, and no event named since, is gone. */
  expectDump(subject: DumpSubject, sequence: number): void {
    this.#dump = { subject, sequence, seen: new Set() };
  }

  /** Reads one datagram. Garbage and messages of no concern change nothing; never throws. */
  read(datagram: Uint8Array): RtnetlinkRead {
    const deltas: NetworkDelta[] = [];
    let dumpEnded: number | null = null;
    for (const { type, sequence, payload } of messages(datagram)) {
      if (type === RTM_NEWLINK || type === RTM_DELLINK) {
        deltas.push(...this.#readLink(payload, type === RTM_DELLINK));
      } else if (type === RTM_NEWADDR || type === RTM_DELADDR) {
        deltas.push(...this.#readAddress(payload, type === RTM_DELADDR));
      } else if (type === RTM_NEWROUTE || type === RTM_DELROUTE) {
        deltas.push(...this.#readRoute(payload, type === RTM_DELROUTE));
      } else if ((type === NLMSG_DONE || type === NLMSG_ERROR) && this.#dump?.sequence === sequence) {
        dumpEnded = sequence;
        // A refused dump named nothing, which does not mean that nothing is there.
        if (type === NLMSG_DONE) deltas.push(...this.#endDump(this.#dump));
        this.#dump = null;
      }
    }
    return { deltas, dumpEnded };
  }

  #readLink(message: DataView, gone: boolean): readonly NetworkDelta[] {
    // Bridge ports announce themselves under AF_BRIDGE: that is about the bridge, not the link.
    if (message.byteLength < 16 || message.getUint8(0) !== 0) return [];
    const index = message.getInt32(4, true);
    const flags = message.getUint32(8, true);
    const nameBytes = attribute(message, 16, IFLA_IFNAME);
    const known = this.#links.get(index);
    const name = nameBytes === undefined ? known?.name : textOf(nameBytes);
    if (name === undefined || name === "") return [];
    this.#dump?.seen.add(String(index));
    if (gone) return this.#links.delete(index) ? [linkDelta(name, "removed")] : [];
    const up = (flags & IFF_UP) !== 0;
    const running = up && (flags & IFF_RUNNING) !== 0;
    const link = { name, up, running, addresses: known?.addresses ?? new Set<string>() };
    this.#links.set(index, link);
    if (known !== undefined) return linkChanges(known, link);
    return this.#taught.links ? [linkDelta(name, "added")] : [];
  }

  #readAddress(message: DataView, gone: boolean): readonly NetworkDelta[] {
    if (message.byteLength < 8) return [];
    const family = message.getUint8(0);
    const index = message.getUint32(4, true);
    // On a point-to-point link IFA_ADDRESS is the other end.
    const bytes = attribute(message, 8, IFA_LOCAL) ?? attribute(message, 8, IFA_ADDRESS);
    if (bytes === undefined || bytes.length !== addressBytes(family)) return [];
    const link = this.#links.get(index);
    if (link === undefined) return [];
    const address = formatIp(bytes);
    const key = `${address}/${message.getUint8(1)}`;
    this.#dump?.seen.add(`${index}|${key}`);
    const flagBytes = attribute(message, 8, IFA_FLAGS);
    const flags = flagBytes === undefined ? message.getUint8(2) : uint32(flagBytes);
    const tentative = (flags & IFA_F_TENTATIVE) !== 0 && (flags & IFA_F_OPTIMISTIC) === 0;
    if (gone) return link.addresses.delete(key) ? [addressDelta(link, "removed", address)] : [];
    // An address is of use once it is known to be the only one of its kind on the link.
    if (tentative || (flags & IFA_F_DADFAILED) !== 0 || link.addresses.has(key)) return [];
    link.addresses.add(key);
    return this.#taught.addresses ? [addressDelta(link, "added", address)] : [];
  }

  #readRoute(message: DataView, gone: boolean): readonly NetworkDelta[] {
    if (message.byteLength < 12) return [];
    const family = message.getUint8(0);
    const length = addressBytes(family);
    const prefixLength = message.getUint8(1);
    const tableBytes = attribute(message, 12, RTA_TABLE);
    const table = tableBytes === undefined ? message.getUint8(4) : uint32(tableBytes);
    const cloned = (message.getUint32(8, true) & RTM_F_CLONED) !== 0;
    if (length === 0 || table !== RT_TABLE_MAIN || cloned || message.getUint8(7) !== RTN_UNICAST) return [];
    let destination = "default";
    if (prefixLength > 0) {
      const bytes = attribute(message, 12, RTA_DST);
      if (bytes === undefined || bytes.length !== length || prefixLength > length * 8) return [];
      // Each link that comes or goes brings its fe80::/64 along.
      if (length === 16 && isLinkLocalIpv6({ family: 6, bytes, scope: null })) return [];
      destination = `${formatIp(bytes)}/${prefixLength}`;
    }
    const indexBytes = attribute(message, 12, RTA_OIF);
    const link = indexBytes === undefined ? undefined : this.#links.get(uint32(indexBytes));
    const change = gone ? "removed" : "added";
    return [{ kind: "route", interfaceName: link?.name ?? null, change, destination }];
  }

  /** Forgets what the dump did not name. */
  #endDump({ subject, seen }: { readonly subject: DumpSubject; readonly seen: ReadonlySet<string> }) {
    const deltas: NetworkDelta[] = [];
    for (const [index, link] of this.#links) {
      if (subject === "links") {
        if (seen.has(String(index))) continue;
        this.#links.delete(index);
        deltas.push(linkDelta(link.name, "removed"));
        continue;
      }
      for (const key of link.addresses) {
        if (seen.has(`${index}|${key}`)) continue;
        link.addresses.delete(key);
        deltas.push(addressDelta(link, "removed", key.slice(0, key.lastIndexOf("/"))));
      }
    }
    this.#taught[subject] = true;
    return deltas;
  }
}

type LinkChange = Extract<NetworkDelta, { kind: "link" }>["change"];

function linkDelta(interfaceName: string, change: LinkChange): NetworkDelta {
  return { kind: "link", interfaceName, change };
}

function addressDelta({ name }: Link, change: "added" | "removed", address: string): NetworkDelta {
  return { kind: "address", interfaceName: name, change, address };
}

function linkChanges(known: Link, { name, up, running }: Link): readonly NetworkDelta[] {
  const deltas = known.name === name ? [] : [linkDelta(known.name, "removed"), linkDelta(name, "added")];
  if (known.up !== up) deltas.push(linkDelta(name, up ? "up" : "down"));
  else if (known.running !== running)
    deltas.push(linkDelta(name, running ? "carrier_gained" : "carrier_lost"));
  return deltas;
}

function* messages(datagram: Uint8Array): Generator<{ type: number; sequence: number; payload: DataView }> {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  let offset = 0;
  while (offset + HEADER_BYTES <= view.byteLength) {
    const length = view.getUint32(offset, true);
    if (length < HEADER_BYTES || offset + length > view.byteLength) return;
    const payload = new DataView(
      datagram.buffer,
      datagram.byteOffset + offset + HEADER_BYTES,
      length - HEADER_BYTES,
    );
    yield { type: view.getUint16(offset + 4, true), sequence: view.getUint32(offset + 8, true), payload };
    offset += (length + 3) & ~3;
  }
}

/** The value of the first attribute of that type; the wanted ones come early in messages of 1,500 bytes. */
function attribute(message: DataView, from: number, wanted: number): Uint8Array | undefined {
  let offset = from;
  while (offset + 4 <= message.byteLength) {
    const length = message.getUint16(offset, true);
    if (length < 4 || offset + length > message.byteLength) return undefined;
    // The top two bits are flags (nested, byte order).
    const type = message.getUint16(offset + 2, true) & 0x3fff;
    if (type === wanted) return new Uint8Array(message.buffer, message.byteOffset + offset + 4, length - 4);
    offset += (length + 3) & ~3;
  }
  return undefined;
}

function addressBytes(family: number): 0 | 4 | 16 {
  if (family === AF_INET) return 4;
  return family === AF_INET6 ? 16 : 0;
}

function uint32(bytes: Uint8Array): number {
  if (bytes.length < 4) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end)).toString("utf8");
}
