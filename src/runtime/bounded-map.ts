// Keeps a map from growing without end. A Map keeps the order of insertion, so its first entries are the oldest.

/** Removes the entries that came first, until there are no more than `most`. */
export function dropOldest<Key>(map: Map<Key, unknown>, most: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= most) return;
    map.delete(oldest);
  }
}
