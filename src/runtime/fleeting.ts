// A Map and a Set for entries that come and go with every call. V8 gives a Map a new table each time deleted entries
// have filled the old one, and the old table points to the new one. Once a table is in the old heap, it keeps all its
// successors, and what was in them, until the next full collection: a third of what calls allocated was copied and kept
// like that. Here the Map itself is replaced now and then, which ends such a chain.

const CHAIN = 64;

export class FleetingMap<K, V> implements Iterable<[K, V]> {
  #map = new Map<K, V>();
  #added = 0;

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  set(key: K, value: V): void {
    this.#added += 1;
    if (this.#added > CHAIN && this.#added > this.#map.size * 2) {
      const before = this.#map;
      this.#map = new Map(before);
      before.clear();
      this.#added = 0;
    }
    this.#map.set(key, value);
  }

  delete(key: K): boolean {
    return this.#map.delete(key);
  }

  clear(): void {
    this.#map.clear();
  }

  /** A copy of the current values: clearing the table would end a loop over it in the middle. */
  values(): IterableIterator<V> {
    return [...this.#map.values()].values();
  }

  keys(): IterableIterator<K> {
    return [...this.#map.keys()].values();
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return [...this.#map.entries()].values();
  }
}

export class FleetingSet<T> implements Iterable<T> {
  readonly #members = new FleetingMap<T, true>();

  get size(): number {
    return this.#members.size;
  }

  add(value: T): void {
    this.#members.set(value, true);
  }

  has(value: T): boolean {
    return this.#members.has(value);
  }

  delete(value: T): boolean {
    return this.#members.delete(value);
  }

  clear(): void {
    this.#members.clear();
  }

  /** As `FleetingMap.values`. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#members.keys();
  }
}
