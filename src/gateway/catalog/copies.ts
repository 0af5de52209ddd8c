// Changed copies of servers' objects.
import type { JsonObject } from "../json-rpc.ts";

const copies = new WeakMap<JsonObject, { readonly key: string; readonly copy: JsonObject }>();

/**
 * The last copy of `original` if it was made for the same `key`, else a new one. So a rebuilt catalog holds the same objects,
 * which makes comparing lists cheap.
 */
export function copyOf(original: JsonObject, key: string, make: () => JsonObject): JsonObject {
  const known = copies.get(original);
  if (known?.key === key) return known.copy;
  const copy = make();
  copies.set(original, { key, copy });
  return copy;
}
