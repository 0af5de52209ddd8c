// Finds network changes by comparing the interfaces again and again: the slow fallback.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { type InterfaceSnapshot, readInterfaces } from "../interfaces.ts";
import type { NetworkDelta } from "./events/network-delta.ts";

interface InterfacePollOptions {
  clock: Clock;
  intervalMs: number;
  onChange: (deltas: readonly NetworkDelta[]) => void;
  /** The interfaces now; the system's by default. */
  read?: (nowMs: number) => InterfaceSnapshot;
}

/** Runs from the start. `onChange` is called from a timer, or from `pause` and `resume`, never with nothing. */
export function startInterfacePoll(options: InterfacePollOptions) {
  const { clock, intervalMs, onChange, read = readInterfaces } = options;
  let last = read(clock.monotonicMs());
  let timer: Timer | null = null;
  let disposed = false;

  const compare = (): void => {
    const now = read(clock.monotonicMs());
    const deltas = compareInterfaces(last, now);
    last = now;
    if (deltas.length > 0) onChange(deltas);
  };
  const schedule = (): void => {
    timer = clock.setTimer(intervalMs, () => {
      schedule();
      compare();
    });
  };
  const rest = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };

  schedule();
  return {
    /** Compares once more, then rests. */
    pause(): void {
      if (timer === null) return;
      rest();
      compare();
    },
    /** Compares with what was seen last, at once, and goes on. */
    resume(): void {
      if (timer !== null || disposed) return;
      schedule();
      // What changed while events should have told was told, or was lost with the source: better twice than never.
      compare();
    },
    [Symbol.dispose]() {
      disposed = true;
      rest();
    },
  };
}

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
