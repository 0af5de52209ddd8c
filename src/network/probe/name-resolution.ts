// The addresses of host names: resolved in another process, cached, and resolved again when they may have changed.
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, resultWithin, settlesWithin } from "../../runtime/time/clock.ts";
import { canonicalIp } from "../ip-address.ts";

/**
 * How long known addresses stay fresh, ms. They change rarely, and after a network change every name is
 * resolved again at once.
 */
const FRESH_MS = 60_000;
/**
 * Pause before a name without an address is resolved again, ms: it may soon have one, when DNS or mDNS is
 * back.
 */
const RETRY_MS = 5_000;
/** A resolution that takes longer, ms, is given up, so that a hanging resolver is asked again. */
const GIVE_UP_MS = 10_000;

export interface NameResolutionOptions {
  clock: Clock;
  /**
   * Returns a host's addresses; [] if there are none. May reject or never settle. Must not be `dns.lookup` in
   * this process, which shares a small thread pool.
   */
  resolve: (host: string) => Promise<readonly string[]>;
  logger: Logger;
}

interface NameEntry {
  addresses: readonly string[];
  /** From this time on, monotonic ms, the name is resolved again. */
  resolveAgainAtMs: number;
  resolving: Promise<void> | null;
}

const NONE: readonly string[] = [];

export function createNameResolution(options: NameResolutionOptions) {
  const { clock, resolve, logger } = options;
  const names = new Map<string, NameEntry>();
  let changes = 0;

  const literal = (host: string): readonly string[] | null => {
    const canonical = canonicalIp(host);
    return canonical === null ? null : [canonical];
  };

  const refresh = async (host: string, entry: NameEntry): Promise<void> => {
    let found: readonly string[] = NONE;
    const asOf = changes;
    try {
      found = canonicalSet((await resultWithin(clock, GIVE_UP_MS, resolve(host))) ?? NONE);
      if (found.length === 0) logger.debug("host name has no address", { host });
    } catch (error) {
      logger.debug("host name not resolved", { host, error: errorText(error) });
    }
    entry.resolving = null;
    const failed = found.length === 0;
    // After a change of the network, the answer may come from the previous network.
    if (asOf === changes) entry.resolveAgainAtMs = clock.monotonicMs() + (failed ? RETRY_MS : FRESH_MS);
    if (failed || sameAddresses(found, entry.addresses)) return;
    logger.debug("host name resolved", { host, addresses: found, before: entry.addresses });
    entry.addresses = found;
  };

  return {
    /**
     * Canonical addresses of `host`: at once if any are known (old ones are refreshed in the background),
     * else after at most `waitMs`. [] if there are none. For a literal address, the address itself.
     */
    addresses(host: string, waitMs: number): readonly string[] | Promise<readonly string[]> {
      const own = literal(host);
      if (own !== null) return own;
      let entry = names.get(host);
      if (entry === undefined) {
        entry = { addresses: NONE, resolveAgainAtMs: Number.NEGATIVE_INFINITY, resolving: null };
        names.set(host, entry);
      }
      if (entry.resolving === null && clock.monotonicMs() >= entry.resolveAgainAtMs)
        entry.resolving = refresh(host, entry);
      if (entry.addresses.length > 0 || entry.resolving === null) return entry.addresses;
      const known = entry;
      return settlesWithin(clock, waitMs, entry.resolving).then(() => known.addresses);
    },
    known(host: string): readonly string[] {
      return literal(host) ?? names.get(host)?.addresses ?? NONE;
    },
    /** Resolves every name again at its next use; known addresses stay in use until then. */
    networkChanged(): void {
      changes += 1;
      for (const entry of names.values()) entry.resolveAgainAtMs = Number.NEGATIVE_INFINITY;
    },
  };
}

/** Returns the addresses without duplicates, in the resolver's order of preference. */
function canonicalSet(addresses: readonly string[]): readonly string[] {
  const canonical = addresses.map(canonicalIp).filter((address) => address !== null);
  return [...new Set(canonical)];
}

/** True if both lists have the same addresses in any order: round-robin answers differ only in order. */
function sameAddresses(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((address) => right.includes(address));
}
