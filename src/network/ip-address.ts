// IP addresses as bytes: reading, writing and comparing them without asking the system.

export interface IpAddress {
  readonly family: 4 | 6;
  /** 4 or 16 bytes in network order. */
  readonly bytes: Uint8Array;
  /** The zone of a link-local IPv6 address (`tb0` of `fe80::1%tb0`), else null. */
  readonly scope: string | null;
}

/** Reads an address; null for anything that is not exactly one (a name, a bracketed address, octal parts). */
export function parseIp(text: string): IpAddress | null {
  if (!text.includes(":")) {
    const bytes = parseIpv4(text);
    return bytes === null ? null : { family: 4, bytes, scope: null };
  }
  const percent = text.indexOf("%");
  const scope = percent === -1 ? null : text.slice(percent + 1);
  if (scope === "") return null;
  const bytes = parseIpv6(percent === -1 ? text : text.slice(0, percent));
  return bytes === null ? null : { family: 6, bytes, scope };
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part)) return null;
    const value = Number(part);
    if (value > 255) return null;
    bytes[index] = value;
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  if (head === null) return null;
  if (halves.length === 1) return head.length === 16 ? Uint8Array.from(head) : null;
  const tail = parseGroups(halves[1] ?? "", true);
  // "::" stands for at least one group.
  if (tail === null || head.length + tail.length > 14) return null;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | null {
  if (text === "") return [];
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (group.includes(".")) {
      const embedded = mayEndInIpv4 && index === groups.length - 1 ? parseIpv4(group) : null;
      if (embedded === null) return null;
      bytes.push(...embedded);
      continue;
    }
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return null;
    const value = Number.parseInt(group, 16);
    bytes.push(value >> 8, value & 0xff);
  }
  return bytes;
}

/** Writes 4 or 16 bytes in the canonical form (RFC 5952: lower case, the longest run of zeros folded). */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: number[] = [];
  for (let index = 0; index < 16; index += 2) {
    groups.push(((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0));
  }
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length += 1;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
    if (length > 0) start += length;
  }
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  if (bestStart === -1) return text(0, 8);
  return `${text(0, bestStart)}::${text(bestStart + bestLength, 8)}`;
}

/** The canonical text of an address, equal for equal addresses; null if `text` is not an address. */
export function canonicalIp(text: string): string | null {
  const address = parseIp(text);
  if (address === null) return null;
  const written = formatIp(address.bytes);
  return address.scope === null ? written : `${written}%${address.scope}`;
}

/** Whether the first `prefixLength` bits of both are equal; false across families. Scopes do not count. */
export function inPrefix(address: Uint8Array, network: Uint8Array, prefixLength: number): boolean {
  if (address.length !== network.length) return false;
  const wholeBytes = prefixLength >> 3;
  for (let index = 0; index < wholeBytes; index += 1) {
    if (address[index] !== network[index]) return false;
  }
  const restBits = prefixLength & 7;
  if (restBits === 0) return true;
  const mask = (0xff << (8 - restBits)) & 0xff;
  return ((address[wholeBytes] ?? 0) & mask) === ((network[wholeBytes] ?? 0) & mask);
}

/** fe80::/10: such an address needs an interface (zone) to be usable. */
export function isLinkLocalIpv6({ family, bytes }: Pick<IpAddress, "family" | "bytes">): boolean {
  return family === 6 && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
}
