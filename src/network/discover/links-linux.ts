// Links and neighbours of Linux, read from /sys and /proc.
import { readdir, readFile, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { type LinkKind, linkKind, type Neighbour, type NetworkLinks, UNKNOWN_LINK } from "../link-kind.ts";

/** Types of interfaces without a link layer (tun, WireGuard), of PPP, and of IP in IP. */
const TUNNELS: ReadonlySet<string> = new Set(["65534", "512", "768", "769", "776", "778"]);

export function readLinksLinux(sys = "/sys/class/net", proc = "/proc/net"): NetworkLinks {
  const read = (path: string): Promise<string | null> => readFile(path, "utf8").catch(() => null);
  const entries = (path: string): Promise<readonly string[] | null> => readdir(path).catch(() => null);
  const isThunderbolt = async (name: string): Promise<boolean> => {
    const driver = await readlink(join(sys, name, "device", "driver")).catch(() => "");
    return /^thunderbolt[-_]net$/.test(basename(driver));
  };
  const of = async (name: string): Promise<LinkKind> => {
    // The file `speed` has -1, or cannot be read, if the link is down or has no speed.
    const speed = Number((await read(join(sys, name, "speed"))) ?? "");
    if ((await entries(join(sys, name, "wireless"))) !== null) return linkKind("wifi", "Wi-Fi", null);
    if (TUNNELS.has(((await read(join(sys, name, "type"))) ?? "").trim()))
      return linkKind("tunnel", "tunnel", null);
    const ports = await entries(join(sys, name, "brif"));
    if ((await Promise.all([name, ...(ports ?? [])].map(isThunderbolt))).includes(true))
      return linkKind("thunderbolt", ports === null ? "Thunderbolt" : "Thunderbolt bridge", speed);
    // The speed of an interface without a device (a bridge of containers, a tunnel) means nothing.
    if ((await entries(join(sys, name, "device"))) === null) return UNKNOWN_LINK;
    return linkKind("wired", "Ethernet", speed);
  };
  return {
    of,
    neighbours: async () => parseProcArp((await read(join(proc, "arp"))) ?? ""),
    gateways: async () => parseProcRoute((await read(join(proc, "route"))) ?? ""),
  };
}

const BY_A_GATEWAY = 0x2;

/** Addresses and masks are hexadecimal, in the byte order of nearly every machine: little endian. */
export function parseProcRoute(text: string): Awaited<ReturnType<NetworkLinks["gateways"]>> {
  return text.split("\n").flatMap((line) => {
    const [interfaceName = "", to, gateway = "", flags = "", , , , mask] = line.trim().split(/\s+/);
    const isDefault = to === "00000000" && mask === "00000000";
    if (!isDefault || (Number.parseInt(flags, 16) & BY_A_GATEWAY) === 0) return [];
    return [{ address: [...Buffer.from(gateway, "hex")].toReversed().join("."), interfaceName }];
  });
}

const COMPLETE = 0x2;

export function parseProcArp(text: string): readonly Neighbour[] {
  return text.split("\n").flatMap((line) => {
    const [address = "", , flags = "", mac = "", , interfaceName = ""] = line.trim().split(/\s+/);
    if (interfaceName === "" || (Number(flags) & COMPLETE) === 0) return [];
    return [{ address, interfaceName, mac }];
  });
}
