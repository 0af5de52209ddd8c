// A Map and a Set for short-lived entries. V8 allocates a new table for a Map whenever deleted entries have filled its table,
// and the old table points to the new one. A table in the old heap thereby retains all later tables and their entries until
// the next full collection: that was a third of all memory allocated by calls. These classes replace the Map itself from
// time to time, which ends the chain.

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

  /** Iterates over a copy: replacing the Map would end an iteration early. */
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

  /** Iterates over a copy: replacing the table would end an iteration early. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#members.keys();
  }
}
