// The addresses of host names: resolved in another process, cached, resolved again when they may have changed.

import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, resultWithin, settledWithin } from "../../runtime/time/clock.ts";
import { canonicalIp } from "../ip-address.ts";

/** Addresses change rarely; a changed network asks again at once. */
const FRESH_MS = 60_000;
/** A name without an address may have one soon, when DNS or mDNS is back. */
const RETRY_MS = 5_000;
/** An answer later than this is given up, so that a resolver that hangs is asked again. */
const GIVE_UP_MS = 10_000;

export interface NameResolutionOptions {
  clock: Clock;
  /** May reject or never answer; [] is "has none". Never `dns.lookup` in this process: it shares a small pool. */
  resolve: (host: string) => Promise<readonly string[]>;
  logger: Logger;
}

interface NameEntry {
  addresses: readonly string[];
  /** Monotonic ms from which on the name is asked again. */
  askAgainAtMs: number;
  asking: Promise<void> | null;
  /** The network changed since `asking` began: its answer may be of the old one. */
  askingIsStale: boolean;
}

const NONE: readonly string[] = [];

export function createNameResolution(options: NameResolutionOptions) {
  const { clock, resolve, logger } = options;
  const literals = new Map<string, readonly string[] | null>();
  const names = new Map<string, NameEntry>();

  const literal = (host: string): readonly string[] | null => {
    let known = literals.get(host);
    if (known === undefined) {
      const canonical = canonicalIp(host);
      known = canonical === null ? null : [canonical];
      literals.set(host, known);
    }
    return known;
  };

  const ask = async (host: string, entry: NameEntry): Promise<void> => {
    let found: readonly string[] = NONE;
    try {
      found = canonicalSet((await resultWithin(clock, GIVE_UP_MS, resolve(host))) ?? NONE);
      if (found.length === 0) logger.debug("host name has no address", { host });
    } catch (error) {
      logger.debug("host name not resolved", { host, error: errorText(error) });
    }
    entry.asking = null;
    const failed = found.length === 0;
    entry.askAgainAtMs = entry.askingIsStale
      ? Number.NEGATIVE_INFINITY
      : clock.monotonicMs() + (failed ? RETRY_MS : FRESH_MS);
    entry.askingIsStale = false;
    if (failed || sameAddresses(found, entry.addresses)) return;
    logger.debug("host name resolved", { host, addresses: found, before: entry.addresses });
    entry.addresses = found;
  };

  return {
    /**
     * Canonical addresses of `host`, at once where any are known (they are refreshed behind the scenes when old),
     * else after at most `waitMs`; [] when there are none. A literal address is its own.
     */
    addresses(host: string, waitMs: number): readonly string[] | Promise<readonly string[]> {
      const own = literal(host);
      if (own !== null) return own;
      let entry = names.get(host);
      if (entry === undefined) {
        entry = {
          addresses: NONE,
          askAgainAtMs: Number.NEGATIVE_INFINITY,
          asking: null,
          askingIsStale: false,
        };
        names.set(host, entry);
      }
      if (entry.asking === null && clock.monotonicMs() >= entry.askAgainAtMs) entry.asking = ask(host, entry);
      if (entry.addresses.length > 0 || entry.asking === null) return entry.addresses;
      return waitAtMost(clock, entry.asking, waitMs, entry);
    },
    /** What is known now, without asking anyone. */
    known(host: string): readonly string[] {
      return literal(host) ?? names.get(host)?.addresses ?? NONE;
    },
    /** Known addresses stay in use until new ones are there. */
    networkChanged(): void {
      for (const entry of names.values()) {
        entry.askAgainAtMs = Number.NEGATIVE_INFINITY;
        entry.askingIsStale = entry.asking !== null;
      }
    },
  };
}

async function waitAtMost(
  clock: Clock,
  asking: Promise<void>,
  waitMs: number,
  entry: NameEntry,
): Promise<readonly string[]> {
  await settledWithin(clock, waitMs, asking);
  return entry.addresses;
}

/** In the resolver's order, which is its preference, without doubles. */
function canonicalSet(addresses: readonly string[]): readonly string[] {
  const canonical = addresses.map(canonicalIp).filter((address) => address !== null);
  return [...new Set(canonical)];
}

/** Round-robin answers differ in order alone: that is no change. */
function sameAddresses(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((address) => right.includes(address));
}
