// The self-test's checks of relayed mounts, which stay mounted while their route changes. Picks a configured share
// for each driver; the result for `netfs` is stored.

import type { EngineParts } from "../daemon/compose/engine-parts.ts";
import { connectRelay } from "../relay/client/relay-client.ts";
import type { RouteEndpoint } from "../relay/relay.ts";
import { noopLogger } from "../runtime/log/log.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { writeRelayTestResult } from "../shares/drivers/netfs/relay-test-result.ts";
import { ROUTE_NAMES, type ShareSpec } from "../shares/share-spec.ts";
import { moveUnderOpenFile, type RelayTestOutcome } from "./relay-test.ts";

interface RelayAdapterOptions {
  readonly home: string;
  readonly parts: Pick<EngineParts, "drivers" | "hostProber">;
  /** The configured shares with their passwords; empty if the configuration cannot be read. */
  readonly shares: () => Promise<readonly ShareSpec[]>;
}

export interface Adapter {
  readonly name: string;
  /** The check's deadline, ms; the default is enough for checks of only this machine. */
  readonly deadlineMs?: number;
  /** Resolves with the result in one line; `without`: why the check does not apply here. Rejects if the check fails. */
  run(folder: string, signal: AbortSignal): Promise<string | { readonly without: string }>;
}

const DRIVERS = ["rclone", "netfs"] as const;
/**
 * Deadline of the test, ms: two mounts, a file of 24 MiB both ways, a move and two unmounts, over a slow
 * network.
 */
const DEADLINE_MS = 120_000;
const PROBE_MS = 3_000;

export function relayAdapters(options: RelayAdapterOptions): readonly Adapter[] {
  return DRIVERS.map((driver) => ({
    name: `carried mount (${driver})`,
    deadlineMs: DEADLINE_MS + PROBE_MS,
    run: (folder, signal) => tryDriver(options, driver, folder, signal),
  }));
}

async function tryDriver(
  { home, parts, shares }: RelayAdapterOptions,
  name: (typeof DRIVERS)[number],
  folder: string,
  outer: AbortSignal,
): Promise<string | { readonly without: string }> {
  const signal = AbortSignal.any([outer, AbortSignal.timeout(DEADLINE_MS)]);
  const driver = parts.drivers[name];
  const missing = await driver.missingRequirement();
  if (missing !== null) return { without: `${missing.text}; ${missing.hint}` };
  const share = (await shares()).find((one) => one.driver === name && one.missingVariable === null);
  if (share === undefined)
    return { without: `no share of driver ${name} is configured; nothing was mounted` };
  const endpoints = await endpointsOf(parts, share);
  if (endpoints === null) return { without: `no host of share ${share.name} answers; nothing was mounted` };
  await using relay = connectRelay({ home: folder, clock: systemClock, logger: noopLogger });
  const outcome = await moveUnderOpenFile({
    clock: systemClock,
    relay,
    driver,
    share,
    endpoints,
    folder,
    signal,
  });
  if (name === "netfs") return keepVerdict(home, outcome);
  if (!outcome.carried) throw new Error(outcome.text);
  return outcome.text;
}

/**
 * Stores whether mounts of `netfs` can be relayed on this Mac. The test passes even if they cannot:
 * Mountaineer then mounts the share once per route.
 */
async function keepVerdict(
  home: string,
  outcome: RelayTestOutcome,
): Promise<string | { readonly without: string }> {
  await writeRelayTestResult(home, { ...outcome, atMs: systemClock.wallMs() });
  if (outcome.carried) return `${outcome.text}; netfs mounts can be relayed here`;
  return { without: `netfs mounts cannot be relayed here: ${outcome.text}` };
}

/**
 * The endpoints of both routes; null: neither route answers. If only one route answers, its endpoint stands
 * for both.
 */
async function endpointsOf(
  { hostProber }: Pick<EngineParts, "hostProber">,
  { routes }: ShareSpec,
): Promise<Record<(typeof ROUTE_NAMES)[number], RouteEndpoint> | null> {
  const found = await Promise.all(
    ROUTE_NAMES.map(async (route): Promise<RouteEndpoint | null> => {
      const { host, port, interfaceName } = routes[route];
      if (host === null) return null;
      const limits = { notBeforeMs: systemClock.monotonicMs(), timeoutMs: PROBE_MS };
      const probe = await hostProber.probe({ host, port, interfaceName }, limits);
      if (probe.verdict !== "answers" || probe.address === null) return null;
      return { address: probe.address, port, localAddress: probe.localAddress };
    }),
  );
  const [tb = null, fallback = null] = found;
  const some = tb ?? fallback;
  return some === null ? null : { tb: tb ?? some, fallback: fallback ?? some };
}
