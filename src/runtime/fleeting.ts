// A Map and a Set for what comes and goes with every call.
//
// V8 gives a Map a new table each time its deleted entries have filled the old one, and the old one points to the new
// one. A table that has come into the old heap, as every one does that is there at a full collection, thus keeps all its
// successors until the next full collection, and with them whatever was in them: a third of what calls allocate was
// copied and kept so. Here the Map is another one now and then, which ends such a chain.

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

  /** Those of now, as they came: a table that is cleared would end a loop over it in the middle. */
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
