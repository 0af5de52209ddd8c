// The self-test's adapters for carried mounts: which share of the configuration each driver is tried on, and what is kept
// of the verdict.

import type { RouteEndpoint } from "../carrier/carrier.ts";
import { connectCarrier } from "../carrier/client/carrier-client.ts";
import type { EngineParts } from "../daemon/compose/engine-parts.ts";
import { silentLogger } from "../runtime/log/log.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { writeCarryProof } from "../shares/drivers/netfs/carry-proof.ts";
import { ROUTE_NAMES, type ShareSpec } from "../shares/share-spec.ts";
import { type CarryOutcome, moveUnderOpenFile } from "./carry-test.ts";

interface CarryAdapterOptions {
  readonly home: string;
  readonly parts: Pick<EngineParts, "drivers" | "hostProber">;
  /** The shares of the configuration, with their passwords; none when it cannot be read. */
  readonly shares: () => Promise<readonly ShareSpec[]>;
}

/** A text tells how it went; a throw, that it failed; `without`, why this machine has none, and needs none. */
export interface Adapter {
  readonly name: string;
  /** Default: that of what only asks this machine. */
  readonly deadlineMs?: number;
  run(folder: string, signal: AbortSignal): Promise<string | { readonly without: string }>;
}

const DRIVERS = ["rclone", "netfs"] as const;
/** Two mounts, a file of 24 MiB both ways, a move and two unmounts, over a slow network. */
const DEADLINE_MS = 120_000;
const PROBE_MS = 3_000;

export function carryAdapters(options: CarryAdapterOptions): readonly Adapter[] {
  return DRIVERS.map((driver) => ({
    name: `carried mount (${driver})`,
    deadlineMs: DEADLINE_MS + PROBE_MS,
    run: (folder, signal) => tryDriver(options, driver, folder, signal),
  }));
}

async function tryDriver(
  { home, parts, shares }: CarryAdapterOptions,
  name: (typeof DRIVERS)[number],
  folder: string,
  outer: AbortSignal,
): Promise<string | { readonly without: string }> {
  const signal = AbortSignal.any([outer, AbortSignal.timeout(DEADLINE_MS)]);
  const driver = parts.drivers[name];
  const lacking = await driver.unavailable();
  if (lacking !== null) return { without: `${lacking.text}; ${lacking.hint}` };
  const share = (await shares()).find((one) => one.driver === name && one.missingVariable === null);
  if (share === undefined)
    return { without: `no share of driver ${name} is configured; nothing was mounted` };
  const endpoints = await endpointsOf(parts, share);
  if (endpoints === null) return { without: `no host of share ${share.name} answers; nothing was mounted` };
  await using carrier = connectCarrier({ home: folder, clock: systemClock, logger: silentLogger });
  const outcome = await moveUnderOpenFile({
    clock: systemClock,
    carrier,
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

/** A Mac that cannot carry shares still passes: it mounts them once per route. */
async function keepVerdict(
  home: string,
  outcome: CarryOutcome,
): Promise<string | { readonly without: string }> {
  await writeCarryProof(home, { ...outcome, atMs: systemClock.wallMs() });
  if (outcome.carried) return `${outcome.text}; netfs may be carried here`;
  return { without: `netfs may not be carried here: ${outcome.text}` };
}

/** Of both routes, or twice that of the one that answers; null: neither does. */
async function endpointsOf(
  { hostProber }: Pick<EngineParts, "hostProber">,
  { routes }: ShareSpec,
): Promise<Record<(typeof ROUTE_NAMES)[number], RouteEndpoint> | null> {
  const found = await Promise.all(
    ROUTE_NAMES.map(async (route): Promise<RouteEndpoint | null> => {
      const { host, port, interfaceName } = routes[route];
      if (host === null) return null;
      const asked = { notBeforeMs: systemClock.monotonicMs(), timeoutMs: PROBE_MS };
      const probe = await hostProber.probe({ host, port, interfaceName }, asked);
      if (probe.verdict !== "answers" || probe.address === null) return null;
      return { address: probe.address, port, localAddress: probe.localAddress };
    }),
  );
  const [tb = null, fallback = null] = found;
  const some = tb ?? fallback;
  return some === null ? null : { tb: tb ?? some, fallback: fallback ?? some };
}
