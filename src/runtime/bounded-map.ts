// Bounds Maps and Sets. Both keep the order of insertion, so their first entries are the oldest.

/** Removes the oldest entries, until at most `most` remain. */
export function dropOldest<Key>(bounded: Map<Key, unknown> | Set<Key>, most: number): void {
  for (const oldest of bounded.keys()) {
    if (bounded.size <= most) return;
    bounded.delete(oldest);
  }
}

/**
 * Removes the oldest entries, until at most `most` remain: each of the owner that then has most, so that no owner displaces
 * another one's.
 */
export function dropOldestOfMost<Key, Value>(
  bounded: Map<Key, Value>,
  most: number,
  ownerOf: (value: Value) => string,
): void {
  while (bounded.size > most) {
    const owned = [...Map.groupBy(bounded, ([, value]) => ownerOf(value)).values()];
    const [oldest] = owned.reduce((a, b) => (b.length > a.length ? b : a), []);
    if (oldest === undefined) return;
    bounded.delete(oldest[0]);
  }
}
