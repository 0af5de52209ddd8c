// One change in the network: its kinds, its text for people, and whether it may concern a host.
import { inPrefix, parseIp } from "../../ip-address.ts";

export type NetworkDelta =
  | {
      readonly kind: "link";
      readonly interfaceName: string;
      /** `up`/`down`: set up or down (or, from a poller, usable or not); the carrier is the other end's doing. */
      readonly change: "up" | "down" | "carrier_gained" | "carrier_lost" | "added" | "removed";
    }
  | {
      readonly kind: "address";
      readonly interfaceName: string;
      readonly change: "added" | "removed";
      readonly address: string;
    }
  | {
      readonly kind: "route";
      readonly interfaceName: string | null;
      readonly change: "added" | "removed";
      /** `10.0.0.0/24`, or `default`. */
      readonly destination: string;
    }
  /** Something changed, and it is not known what (a buffer overflowed, configd restarted). */
  | { readonly kind: "unknown"; readonly detail: string };

/** One line for people and logs: `tb0 lost carrier`. */
export function describeDelta(delta: NetworkDelta): string {
  switch (delta.kind) {
    case "link":
      return `${delta.interfaceName} ${LINK_WORDS[delta.change]}`;
    case "address":
      return `${delta.interfaceName} ${delta.change === "added" ? "got" : "lost"} address ${delta.address}`;
    case "route": {
      const by = delta.interfaceName === null ? "" : ` by ${delta.interfaceName}`;
      const what = delta.destination === "default" ? "default route" : `route to ${delta.destination}`;
      return `${what}${by} ${delta.change}`;
    }
    case "unknown":
      return `something changed (${delta.detail})`;
  }
}

const LINK_WORDS = {
  up: "went up",
  down: "went down",
  carrier_gained: "gained carrier",
  carrier_lost: "lost carrier",
  added: "was added",
  removed: "was removed",
} as const;

interface TouchedHost {
  /** The addresses known of it; [] when none are. */
  readonly addresses: readonly string[];
  /** The interface it is configured to, or was last reached by; null when it is routed or unknown. */
  readonly interfaceName: string | null;
}

/** Whether `delta` may change how `host` is reached. Unsure is true: it orders who is looked at first. */
export function deltaMayTouch(delta: NetworkDelta, host: TouchedHost): boolean {
  if (delta.kind === "unknown" || host.interfaceName === null) return true;
  if (delta.interfaceName === host.interfaceName) return true;
  if (delta.kind !== "route" || delta.destination === "default") return false;
  const [networkText = "", prefixText = ""] = delta.destination.split("/");
  const network = parseIp(networkText);
  if (network === null) return true;
  return host.addresses.some((text) => {
    const address = parseIp(text);
    return address !== null && inPrefix(address.bytes, network.bytes, Number(prefixText));
  });
}
