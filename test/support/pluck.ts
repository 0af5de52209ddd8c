// What a list's entries say of themselves, for one comparison of all of them.

/** The values of one member of each; of several members, a tuple of each. */
export function pluck<T, K extends keyof T>(list: Iterable<T>, key: K): T[K][];
export function pluck<T, K extends readonly (keyof T)[]>(
  list: Iterable<T>,
  ...keys: K
): { [I in keyof K]: T[K[I]] }[];
export function pluck<T>(list: Iterable<T>, ...keys: readonly (keyof T)[]): unknown[] {
  const [only] = keys;
  return [...list].map((each) =>
    only !== undefined && keys.length === 1 ? each[only] : keys.map((key) => each[key]),
  );
}
