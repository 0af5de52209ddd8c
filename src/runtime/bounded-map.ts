// Bounds Maps and Sets. Both keep the order of insertion, so their first entries are the oldest.

/** Removes the oldest entries, until at most `most` remain. */
export function dropOldest<Key>(bounded: Map<Key, unknown> | Set<Key>, most: number): void {
  for (const oldest of bounded.keys()) {
    if (bounded.size <= most) return;
    bounded.delete(oldest);
  }
}
