// What a machine is called in a fleet, and where the others reach it, unless somebody says so.
import { BlockList, isIP, isIPv6 } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { isMachineName, MACHINE_NAME_EXPECTED, parseFleetServer } from "../../config/values/fleet-values.ts";
import { MountaineerError } from "../../runtime/errors.ts";

const LONGEST_NAME = 32;
const PORT = 4222;
const NAME_RULE = `a machine's name has ${MACHINE_NAME_EXPECTED}`;

/** Throws `usage` for a name that no machine can have. */
export function machineName(given: string | null, host: string = hostname()): string {
  if (given !== null) {
    if (isMachineName(given) && !given.startsWith("-")) return given;
    throw new MountaineerError("usage", NAME_RULE);
  }
  const [first = ""] = host.split(".");
  const name = first
    .replace(/[^A-Za-z0-9-]+/g, "-")
    .slice(0, LONGEST_NAME)
    .replace(/^-+|-+$/g, "")
    .toLowerCase();
  if (name !== "") return name;
  throw new MountaineerError("usage", "this machine's host name gives it no name in the fleet", {
    hint: `--name NAME does; ${NAME_RULE}`,
  });
}

type Interfaces = ReturnType<typeof networkInterfaces>;

/** HOST:PORT; of several addresses the first that others can reach. Throws `usage` for what is none. */
export function listenAddress(given: string | null, interfaces: Interfaces = networkInterfaces()): string {
  if (given !== null) {
    // The rule by which the configuration is read, or a fleet would begin that nobody can use.
    const address = addressOf(given);
    // No certificate and no code can hold a name with an underscore.
    if (address !== null && !address.includes("_") && !isEveryAddress(address)) return address;
    throw new MountaineerError("usage", "--listen takes HOST:PORT: where the other machines reach this one", {
      hint: "a name or an address of this machine, as the others know it: nas.local:4222",
    });
  }
  const addresses = Object.values(interfaces).flatMap((list) => list ?? []);
  const reachable = addresses.find(
    ({ family, internal, address }) => family === "IPv4" && !internal && !address.startsWith("169.254."),
  );
  return `${reachable?.address ?? "127.0.0.1"}:${PORT}`;
}

function addressOf(given: string): string | null {
  const reading = parseFleetServer(`tls://${isIPv6(given) ? `[${given}]` : given}`);
  // A final dot is only for DNS: certificates do not have it.
  return reading.ok ? reading.value.slice("tls://".length).replace(/\.(?=:\d+$)/, "") : null;
}

function isEveryAddress(address: string): boolean {
  const host = address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  const every = new BlockList();
  every.addAddress("0.0.0.0");
  every.addAddress("::", "ipv6");
  return isIP(host) !== 0 && every.check(host, isIPv6(host) ? "ipv6" : "ipv4");
}
