// Which client of another machine a request is of: two of its calls may be one client's, whom a server may ask about
// either. The mark says nothing else, and only this machine's own process could say whose it is.
import { createHmac, randomBytes } from "node:crypto";
import { isJsonObject, type JsonObject } from "./json-rpc.ts";

const KEY = "mountaineer/caller";
const DIGITS = 22;

/** Tells the clients of one gateway apart. */
export type CallerMarks = (client: { readonly sessionId: string }) => string;

export function createCallerMarks(): CallerMarks {
  const key = randomBytes(32);
  const known = new WeakMap<object, string>();
  return (client) => {
    const mark =
      known.get(client) ??
      createHmac("sha256", key).update(client.sessionId).digest("base64url").slice(0, DIGITS);
    known.set(client, mark);
    return mark;
  };
}

/** Null: no client is named, whatever it says itself. */
export function withCaller(params: JsonObject | undefined, mark: string | null): JsonObject | undefined {
  const plain = takeCaller(params).params;
  if (mark === null) return plain;
  const meta = plain?.["_meta"];
  return { ...plain, _meta: { ...(isJsonObject(meta) ? meta : {}), [KEY]: mark } };
}

/** The mark, where there is one of the right form; and the params without it, the same object where it is not there. */
export function takeCaller<Params extends JsonObject | undefined>(
  params: Params,
): { readonly caller: string | null; readonly params: Params } {
  const meta = params?.["_meta"];
  if (!isJsonObject(meta) || !Object.hasOwn(meta, KEY)) return { caller: null, params };
  const { [KEY]: said, ...kept } = meta;
  const isMark = typeof said === "string" && said.length === DIGITS;
  return { caller: isMark ? said : null, params: { ...params, _meta: kept } };
}
