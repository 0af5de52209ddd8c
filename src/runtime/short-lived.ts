// A Map and a Set for short-lived entries. Both replace their inner Map from time to time: V8 links each table of a
// Map to the next one, so a table in the old heap keeps all later tables alive. This was a third of the memory that
// calls allocated.

const CHAIN = 64;

export class ShortLivedMap<K, V> implements Iterable<[K, V]> {
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

export class ShortLivedSet<T> implements Iterable<T> {
  readonly #members = new ShortLivedMap<T, true>();

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

  [Symbol.iterator](): IterableIterator<T> {
    return this.#members.keys();
  }
}
