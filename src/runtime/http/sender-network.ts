// What counts as one sender where requests are counted by address.
import { isIP } from "node:net";

/** An IPv4 address in the form of IPv6: mapped, or by NAT64. */
const OF_IPV4 = /^(?:0:0:0:0:0:ffff|64:ff9b:0:0:0:0):/;

/**
 * An IPv4 address, whatever its form; of an IPv6 address its /64, because every home has one, and takes any address in it. Any
 * other text stays.
 */
export function senderNetwork(address: string): string {
  const [plain = ""] = address.split("%");
  if (isIP(plain) !== 6) return address;
  const [before = "", after] = new URL(`http://[${plain}]/`).hostname.slice(1, -1).split("::");
  const [first, last] = [before, after ?? ""].map((part) => part.split(":").filter((group) => group !== ""));
  const middle = after === undefined ? 0 : 8 - (first?.length ?? 0) - (last?.length ?? 0);
  const groups = [...(first ?? []), ...Array<string>(middle).fill("0"), ...(last ?? [])];
  if (!OF_IPV4.test(groups.join(":"))) return `${groups.slice(0, 4).join(":")}::/64`;
  const bytes = groups.slice(6).flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
  return bytes.join(".");
}
