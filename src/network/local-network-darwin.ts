// Owns telling macOS's Local Network privacy from an outage. Without the permission a LaunchAgent's own connection to
// a host on its link fails with EHOSTUNREACH, exactly as if the host were off; Apple's `nc` is not held back.
import { type CommandResult, runCommand } from "../runtime/child-process.ts";
import type { Clock } from "../runtime/clock.ts";
import type { AddressedHostProber } from "./host-prober.ts";
import type { ProbeResult } from "./probe-result.ts";

/**
 * - `denied`: another program connects where we may not.
 * - `unreachable`: nobody does; the host is off.
 * - `unknown`: the other program gave no answer.
 */
export type LocalNetworkVerdict = "denied" | "unreachable" | "unknown";

export const LOCAL_NETWORK_HINT =
  "System Settings → Privacy & Security → Local Network: allow mountaineer (or node), then restart it.";

const NC = "/usr/bin/nc";
const CONNECT_SECONDS = 2;
const DEADLINE_MS = 3_000;
/** The permission changes by a person's hand, a host by itself. */
const KEPT_MS: Readonly<Record<LocalNetworkVerdict, number>> = {
  denied: 60_000,
  unreachable: 10_000,
  unknown: 60_000,
};

/** Only what failed for want of a route, on a network that is ours: through a router nothing is held back. */
export function mayBeDenied(result: Pick<ProbeResult, "reason" | "address" | "interfaceName">): boolean {
  return result.reason === "no_route" && result.address !== null && result.interfaceName !== null;
}

/** What `nc -z` found where our own connection had no route. */
export function verdictOfNc(result: Pick<CommandResult, "exitCode" | "timedOut">): LocalNetworkVerdict {
  if (result.timedOut || result.exitCode === null) return "unknown";
  return result.exitCode === 0 ? "denied" : "unreachable";
}

/** The same result, as what it is: the host may well be there, so it is not `gone`. */
export function asDenied(result: ProbeResult): ProbeResult {
  return {
    ...result,
    verdict: "silent",
    reason: "denied",
    text: `${result.address}: other programs reach it, this one may not (Local Network permission). ${LOCAL_NETWORK_HINT}`,
  };
}

export interface LocalNetworkOptions {
  readonly clock: Clock;
  /** For tests. */
  readonly nc?: string;
}

/**
 * Asks `nc` whenever a host on our link has no route, beside the probe and not before its answer: a failover does not
 * wait for it. What it finds counts from the next probe on, which is the confirming one.
 */
export function withLocalNetworkCheck(
  prober: AddressedHostProber,
  { clock, nc = NC }: LocalNetworkOptions,
): AddressedHostProber {
  const known = new Map<string, { readonly verdict: LocalNetworkVerdict; readonly atMs: number }>();
  const asking = new Set<string>();
  const ending = new AbortController();
  let generation = 0;

  const ask = async (key: string, address: string, port: number): Promise<void> => {
    const asked = generation;
    asking.add(key);
    let verdict: LocalNetworkVerdict = "unknown";
    try {
      const args = ["-z", "-G", String(CONNECT_SECONDS), address, String(port)];
      const options = { clock, deadlineMs: DEADLINE_MS, killGraceMs: 0, signal: ending.signal };
      verdict = verdictOfNc(await runCommand(nc, args, options));
    } catch {
      // No nc, or the end of all: nothing is known.
    }
    asking.delete(key);
    if (asked === generation) known.set(key, { verdict, atMs: clock.monotonicMs() });
  };

  return {
    async probe(target, request) {
      const result = await prober.probe(target, request);
      const { address } = result;
      const key = `${address}|${target.port}`;
      if (result.verdict === "answers") known.delete(key);
      if (address === null || !mayBeDenied(result)) return result;
      const last = known.get(key);
      const isFresh = last !== undefined && clock.monotonicMs() - last.atMs < KEPT_MS[last.verdict];
      if (!isFresh && !asking.has(key) && !ending.signal.aborted) void ask(key, address, target.port);
      return last?.verdict === "denied" ? asDenied(result) : result;
    },
    networkChanged() {
      generation++;
      known.clear();
      prober.networkChanged();
    },
    addressesOf: (host) => prober.addressesOf(host),
    [Symbol.dispose]() {
      ending.abort();
      prober[Symbol.dispose]();
    },
  };
}
