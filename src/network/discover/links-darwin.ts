// Links and neighbours of macOS, read with its commands.
import { runCommand } from "../../runtime/process/child-process.ts";
import { type LinkKind, linkKind, type Neighbour, type NetworkLinks, UNKNOWN_LINK } from "../link-kind.ts";

const DEADLINE_MS = 2_000;

export function readLinksDarwin(signal: AbortSignal): NetworkLinks {
  const outputOf = async (program: string, args: readonly string[]): Promise<string> => {
    const options = { deadlineMs: DEADLINE_MS, signal };
    const result = await runCommand(program, args, options).catch(() => null);
    signal.throwIfAborted();
    return result?.exitCode === 0 ? result.stdout : "";
  };
  let ports: Promise<ReadonlyMap<string, LinkKind>> | null = null;
  return {
    async of(name) {
      if (/^(utun|ipsec|ppp|gif|stf)\d/.test(name)) return linkKind("tunnel", "tunnel", null);
      const read = () =>
        outputOf("/usr/sbin/networksetup", ["-listallhardwareports"]).then(parseHardwarePorts);
      ports ??= read();
      // A port that was plugged in since is not in the list.
      if (!(await ports).has(name)) ports = read();
      return (await ports).get(name) ?? UNKNOWN_LINK;
    },
    neighbours: async () => parseArp(await outputOf("/usr/sbin/arp", ["-an"])),
    gateways: async () => parseRoutes(await outputOf("/usr/sbin/netstat", ["-rn", "-f", "inet"])),
  };
}

/** `Hardware Port: Thunderbolt Bridge`, and on the next line `Device: bridge0`. */
export function parseHardwarePorts(text: string): ReadonlyMap<string, LinkKind> {
  const found = text.matchAll(/^Hardware Port: (.+)\nDevice: (\S+)$/gm);
  return new Map([...found].map(([, port = "", device = ""]) => [device, kindOf(port)]));
}

function kindOf(port: string): LinkKind {
  if (/^Wi-Fi$|^AirPort$/i.test(port)) return linkKind("wifi", "Wi-Fi", null);
  if (/^Thunderbolt Bridge$/i.test(port)) return linkKind("thunderbolt", "Thunderbolt bridge", null);
  return /ethernet|LAN/i.test(port) ? linkKind("wired", "Ethernet", null) : UNKNOWN_LINK;
}

/** `? (10.0.0.1) at 0:11:22:33:44:55 on en0 ifscope [ethernet]` */
export function parseArp(text: string): readonly Neighbour[] {
  const found = text.matchAll(/ \(([\d.]+)\) at ([\da-f:]+) on (\S+)/gi);
  return [...found].map(([, address = "", mac = "", interfaceName = ""]) => ({
    address,
    interfaceName,
    mac: mac
      .split(":")
      .map((byte) => byte.padStart(2, "0"))
      .join(":"),
  }));
}

/** `default 192.168.1.1 UGScg en0` */
export function parseRoutes(text: string): Awaited<ReturnType<NetworkLinks["gateways"]>> {
  const found = text.matchAll(/^default +([\d.]+) +(\S+) +(\S+)/gm);
  return [...found].flatMap(([, address = "", flags = "", interfaceName = ""]) =>
    flags.includes("G") ? [{ address, interfaceName }] : [],
  );
}
