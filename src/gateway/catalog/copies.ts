// Changed copies of servers' objects.
import type { JsonObject } from "../json-rpc.ts";

const copies = new WeakMap<JsonObject, { readonly key: string; readonly copy: JsonObject }>();

/** Reuses the last copy with the same `key`, which makes comparing the lists of two catalogs cheap. */
export function copyOf(original: JsonObject, key: string, make: () => JsonObject): JsonObject {
  const known = copies.get(original);
  if (known?.key === key) return known.copy;
  const copy = make();
  copies.set(original, { key, copy });
  return copy;
}
