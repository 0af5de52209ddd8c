// Changed copies of servers' objects.
import type { JsonObject } from "../json-rpc.ts";

const copies = new WeakMap<JsonObject, { readonly key: string; readonly copy: JsonObject }>();
const origins = new WeakMap<JsonObject, { readonly key: string; readonly original: JsonObject }>();

/** Of which object this is a copy, and the copy's key. */
export function originOf(copy: JsonObject) {
  return origins.get(copy);
}

/**
 * Returns the last copy of `original` if it has the same `key`, else makes one. Reused copies make it cheap to
 * compare the lists of two catalogs.
 */
export function copyOf(original: JsonObject, key: string, make: () => JsonObject): JsonObject {
  const known = copies.get(original);
  if (known?.key === key) return known.copy;
  const copy = make();
  copies.set(original, { key, copy });
  if (copy !== original) origins.set(copy, { key, original });
  return copy;
}
