// Memoization by object.

/** Caches the result of `compute` for each object, as long as the object lives. */
export function memoized<Key extends object, Result extends string | number | object | null>(
  compute: (key: Key) => Result,
): (key: Key) => Result {
  const results = new WeakMap<Key, Result>();
  return (key) => {
    const known = results.get(key);
    if (known !== undefined) return known;
    const result = compute(key);
    results.set(key, result);
    return result;
  };
}
