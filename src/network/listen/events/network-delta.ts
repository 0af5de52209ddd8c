// One change in the network: its kinds, its text for people, and whether it may concern a host.
import type { InterfaceSnapshot } from "../../interfaces.ts";

export type NetworkDelta =
  | {
      readonly kind: "link";
      readonly interfaceName: string;
      /** `up`: usable. */
      readonly change: "up" | "down";
    }
  | {
      readonly kind: "address";
      readonly interfaceName: string;
      readonly change: "added" | "removed";
      readonly address: string;
    }
  /** A change of unknown kind: a buffer overflowed, configd restarted. */
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
 * Whether `delta` may change how a host is reached. `interfaceName`: the interface to the host, by configuration or
 * at the last probe; null: routed or unknown, so each change counts.
 */
export function deltaMayTouch(delta: NetworkDelta, interfaceName: string | null): boolean {
  return delta.kind === "unknown" || interfaceName === null || delta.interfaceName === interfaceName;
}

/** The changes from `before` to `after`, losses first. */
export function compareInterfaces(
  before: InterfaceSnapshot,
  after: InterfaceSnapshot,
): readonly NetworkDelta[] {
  const deltas: NetworkDelta[] = [];
  for (const interfaceName of before.names) {
    if (!after.names.has(interfaceName)) deltas.push({ kind: "link", interfaceName, change: "down" });
  }
  const deltasOf = (
    snapshot: InterfaceSnapshot,
    otherNames: ReadonlySet<string>,
  ): Map<string, NetworkDelta> => {
    const addresses = new Map<string, NetworkDelta>();
    for (const { interfaceName, text, prefixLength } of snapshot.addresses) {
      // For an interface that appeared or disappeared, the change of its link is enough.
      if (!otherNames.has(interfaceName)) continue;
      const address = text.split("%")[0] ?? text;
      const change = snapshot === before ? "removed" : "added";
      addresses.set(`${interfaceName}|${text}/${prefixLength}`, {
        kind: "address",
        interfaceName,
        change,
        address,
      });
    }
    return addresses;
  };
  const had = deltasOf(before, after.names);
  const has = deltasOf(after, before.names);
  for (const [key, delta] of had) if (!has.has(key)) deltas.push(delta);
  for (const interfaceName of after.names) {
    if (!before.names.has(interfaceName)) deltas.push({ kind: "link", interfaceName, change: "up" });
  }
  for (const [key, delta] of has) if (!had.has(key)) deltas.push(delta);
  return deltas;
}
