// What differs between two looks at the interfaces. Pure.
import type { InterfaceSnapshot } from "../../interfaces.ts";
import type { NetworkDelta } from "./network-delta.ts";

/** What turns `before` into `after`: losses first, so that the worst news leads. */
export function compareInterfaces(
  before: InterfaceSnapshot,
  after: InterfaceSnapshot,
): readonly NetworkDelta[] {
  const deltas: NetworkDelta[] = [];
  for (const interfaceName of before.names) {
    if (!after.names.has(interfaceName)) deltas.push({ kind: "link", interfaceName, change: "down" });
  }
  const held = (snapshot: InterfaceSnapshot, otherNames: ReadonlySet<string>): Map<string, NetworkDelta> => {
    const addresses = new Map<string, NetworkDelta>();
    for (const { interfaceName, text, prefixLength } of snapshot.addresses) {
      // An interface that came or went took its addresses along: one delta says it.
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
  const had = held(before, after.names);
  const has = held(after, before.names);
  for (const [key, delta] of had) if (!has.has(key)) deltas.push(delta);
  for (const interfaceName of after.names) {
    if (!before.names.has(interfaceName)) deltas.push({ kind: "link", interfaceName, change: "up" });
  }
  for (const [key, delta] of has) if (!had.has(key)) deltas.push(delta);
  return deltas;
}
