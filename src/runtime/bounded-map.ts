// Bounds Maps and Sets. Both keep the order of insertion, so their first entries are the oldest.

/** Removes the oldest entries, until at most `most` remain. */
export function dropOldest<Key>(bounded: Map<Key, unknown> | Set<Key>, most: number): void {
  for (const oldest of bounded.keys()) {
    if (bounded.size <= most) return;
    bounded.delete(oldest);
  }
}

/**
 * Removes the oldest entries of more than `most`: each of the owner that then has most, so that no owner displaces another
 * one's. Finding them takes as long as there are entries, so an eighth goes at a time.
 */
export function dropOldestOfMost<Key, Value>(
  bounded: Map<Key, Value>,
  most: number,
  ownerOf: (value: Value) => string,
): void {
  if (bounded.size <= most) return;
  const owned = [...Map.groupBy(bounded, ([, value]) => ownerOf(value)).values()];
  while (bounded.size > (most * 7) / 8) {
    const oldest = owned.reduce((a, b) => (b.length > a.length ? b : a), []).shift();
    if (oldest === undefined) return;
    bounded.delete(oldest[0]);
  }
}

/** The entries, in their order, of the owner whose entries weigh most together. */
export function ofLargest<Entry>(
  entries: Iterable<Entry>,
  ownerOf: (entry: Entry) => string,
  weightOf: (entry: Entry) => number = () => 1,
): readonly Entry[] {
  let largest: readonly Entry[] = [];
  let most = -1;
  for (const own of Map.groupBy(entries, ownerOf).values()) {
    const weight = own.reduce((sum, entry) => sum + weightOf(entry), 0);
    if (weight > most) [largest, most] = [own, weight];
  }
  return largest;
}
