// One change in the network: its kinds, its text for people, and whether it may concern a host.

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
  /** The default route, and the interface that it leads by. */
  | {
      readonly kind: "route";
      readonly interfaceName: string | null;
      readonly change: "added" | "removed";
    }
  /** Something changed, and it is not known what (a buffer overflowed, configd restarted). */
  | { readonly kind: "unknown"; readonly detail: string };

/** One line for people and logs: `tb0 went down`. */
export function describeDelta(delta: NetworkDelta): string {
  switch (delta.kind) {
    case "link":
      return `${delta.interfaceName} ${LINK_WORDS[delta.change]}`;
    case "address":
      return `${delta.interfaceName} ${delta.change === "added" ? "got" : "lost"} address ${delta.address}`;
    case "route": {
      const by = delta.interfaceName === null ? "" : ` by ${delta.interfaceName}`;
      return `default route${by} ${delta.change}`;
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

/**
 * Whether `delta` may change how a host is reached: `interfaceName` is what it is configured to, or was last reached by;
 * null when it is routed or unknown. Unsure is true: it orders who is looked at first.
 */
export function deltaMayTouch(delta: NetworkDelta, interfaceName: string | null): boolean {
  return delta.kind === "unknown" || interfaceName === null || delta.interfaceName === interfaceName;
}
