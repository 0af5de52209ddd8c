// Tells macOS's Local Network privacy from an outage. Without that permission, a launch agent's connection to a host on
// its link fails with EHOSTUNREACH, exactly as if the host were off, while Apple's `nc`, NetAuth and the kernel get
// through. So when our own probe finds no route, `nc` probes in its place, and its answer counts.

import type { Clock } from "../../runtime/time/clock.ts";
import { LOCAL_NETWORK } from "../local-network-privacy.ts";
import type { AddressedHostProber } from "./host-prober.ts";
import type { ProbeRequest, ProbeResult } from "./probe-result.ts";
import { createSemaphore, createSingleFlight } from "./single-flight.ts";
import { type NcFinding, negotiateThroughNc } from "./smb-through-nc.ts";

const NC = "/usr/bin/nc";
/** Time-out of `nc` while no probe waits for its answer. */
const BACKGROUND_TIMEOUT_MS = 3_000;
/**
 * Pause before `nc` is run again for a host that it did not reach, ms. Does not apply while this process is
 * known to be blocked.
 */
const REPEAT_MS = 10_000;
const AT_ONCE = 8;

/**
 * True if macOS may have blocked the probe: there was no route to a host on a network of this machine. macOS
 * blocks nothing behind a router.
 */
export function mayBeDenied(result: Pick<ProbeResult, "reason" | "address" | "interfaceName">): boolean {
  return result.reason === "no_route" && result.address !== null && result.interfaceName !== null;
}

/** Corrects our own probe's result by what `nc` has found. Call it only while this process is known to be blocked. */
export function confirmedByNc(own: ProbeResult, finding: NcFinding): ProbeResult {
  const why = `other programs reach it, this one may not (Local Network permission); ${LOCAL_NETWORK.hint}`;
  switch (finding.kind) {
    case "negotiated":
      return {
        ...own,
        blocked: true,
        verdict: "answers",
        reason: "negotiated",
        tcpAnswered: true,
        serverGuid: finding.serverGuid,
        text: `${own.address}: answered; ${why}`,
      };
    case "connected":
      return {
        ...own,
        blocked: true,
        verdict: "silent",
        reason: "not_smb",
        tcpAnswered: true,
        detail: finding.detail,
        text: `${own.address}: ${finding.detail}; ${why}`,
      };
    // `nc` cannot reach the host either, so our own probe is right.
    case "unreachable":
      return own;
    // The verdict is not `gone`, because nothing is proved.
    case "unknown":
      return {
        ...own,
        blocked: true,
        verdict: "silent",
        reason: "denied",
        detail: `${finding.detail} through nc`,
        text: `${own.address}: ${finding.detail} through nc; this program may not ask itself (Local Network permission); ${LOCAL_NETWORK.hint}`,
      };
  }
}

export interface LocalNetworkOptions {
  readonly clock: Clock;
  /** For tests. */
  readonly nc?: string;
}

/**
 * At first `nc` runs in the background, so that a failover is not delayed. Once `nc` gets through where our
 * probe did not, this process is known to be blocked, and each probe without a route waits for `nc` within
 * its own time-out. The block counts as ended when a probe of ours reaches a host on our link.
 */
export function withLocalNetworkCheck(
  prober: AddressedHostProber,
  { clock, nc = NC }: LocalNetworkOptions,
): AddressedHostProber {
  let isBlocked = false;
  /** When `nc` last ran in the background for a host, monotonic ms. */
  const probedAtMs = new Map<string, number>();
  const flights = createSingleFlight<NcFinding>(clock);
  const semaphore = createSemaphore(AT_ONCE);
  const ending = new AbortController();

  const negotiate = (
    address: string,
    port: number,
    { notBeforeMs, timeoutMs }: ProbeRequest,
  ): Promise<NcFinding> =>
    flights.run(`${address}|${port}`, notBeforeMs, (goesOut) =>
      semaphore.use(async () => {
        goesOut();
        const { signal } = ending;
        const finding = await negotiateThroughNc({ clock, nc, address, port, timeoutMs, signal });
        if (finding.kind === "negotiated" || finding.kind === "connected") isBlocked = true;
        return finding;
      }),
    );
  const negotiateInBackground = (address: string, port: number): void => {
    const key = `${address}|${port}`;
    const nowMs = clock.monotonicMs();
    const lastMs = probedAtMs.get(key);
    if (lastMs !== undefined && nowMs - lastMs < REPEAT_MS) return;
    probedAtMs.set(key, nowMs);
    void negotiate(address, port, { notBeforeMs: nowMs, timeoutMs: BACKGROUND_TIMEOUT_MS });
  };

  return {
    async probe(target, request) {
      const own = await prober.probe(target, request);
      const { address } = own;
      if (own.verdict === "answers" && own.interfaceName !== null) isBlocked = false;
      if (address === null || !mayBeDenied(own)) return own;
      if (!isBlocked) {
        negotiateInBackground(address, target.port);
        return own;
      }
      return confirmedByNc(own, await negotiate(address, target.port, request));
    },
    networkChanged() {
      // Only the user can change access to the local network, so a network change keeps `isBlocked`.
      probedAtMs.clear();
      prober.networkChanged();
    },
    addressesOf: (host) => prober.addressesOf(host),
    [Symbol.dispose]() {
      ending.abort();
      prober[Symbol.dispose]();
    },
  };
}
