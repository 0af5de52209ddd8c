// How long lists hold, as servers of 2026-07-28 say it, and what that makes of the lists of several servers. Pure.
import type { JsonObject } from "../json-rpc.ts";
import type { CatalogSource, Freshness, Listings } from "./catalog.ts";

/** What holds where nothing is said, and for lists of servers of older versions. */
export const NOT_FRESH: Freshness = { ttlMs: 0, cacheScope: "private" };

/** What one page of a list says. */
export function freshnessOf({ ttlMs, cacheScope }: JsonObject): Freshness {
  const isTime = typeof ttlMs === "number" && Number.isSafeInteger(ttlMs) && ttlMs >= 0;
  return { ttlMs: isTime ? ttlMs : 0, cacheScope: cacheScope === "public" ? "public" : "private" };
}

/** Of what is made of both: the shorter time, and private if either is. */
export function leastFresh(one: Freshness | null, other: Freshness | null): Freshness | null {
  if (one === null || other === null) return one ?? other;
  const isPublic = one.cacheScope === "public" && other.cacheScope === "public";
  return { ttlMs: Math.min(one.ttlMs, other.ttlMs), cacheScope: isPublic ? "public" : "private" };
}

/** Of one list of all sources together. */
export function freshnessOfAll(sources: readonly CatalogSource[], list: keyof Listings): Freshness {
  const all = sources.map(({ freshness = {} }) => {
    const said = freshness[list];
    return said === undefined ? NOT_FRESH : said;
  });
  return all.reduce(leastFresh, null) ?? NOT_FRESH;
}
