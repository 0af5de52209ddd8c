// One change in the network: its kinds, its text for people, and whether it may concern a host.

export type NetworkDelta =
  | {
      readonly kind: "link";
      readonly interfaceName: string;
      /** Whether it can be used. */
      readonly change: "up" | "down";
    }
  | {
      readonly kind: "address";
      readonly interfaceName: string;
      readonly change: "added" | "removed";
      readonly address: string;
    }
  /** Something changed, and it is not known what (a buffer overflowed, configd restarted). */
  | { readonly kind: "unknown"; readonly detail: string };

/** One line for people and logs: `tb0 went down`. */
export function describeDelta(delta: NetworkDelta): string {
  switch (delta.kind) {
    case "link":
      return `${delta.interfaceName} went ${delta.change}`;
    case "address":
      return `${delta.interfaceName} ${delta.change === "added" ? "got" : "lost"} address ${delta.address}`;
    case "unknown":
      return `something changed (${delta.detail})`;
  }
}

/**
 * Whether `delta` may change how a host is reached: `interfaceName` is what it is configured to, or was last reached by;
 * null when it is routed or unknown. Unsure is true: it orders who is looked at first.
 */
export function deltaMayTouch(delta: NetworkDelta, interfaceName: string | null): boolean {
  return delta.kind === "unknown" || interfaceName === null || delta.interfaceName === interfaceName;
}
