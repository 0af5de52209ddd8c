// Marks in requests to other machines, by which the servers there tell our clients apart: two calls with the
// same mark come from the same client. Only this process knows which client has which mark.
import { createHmac, randomBytes } from "node:crypto";
import { memoized } from "../runtime/memo.ts";
import { isJsonObject, type JsonObject } from "./json-rpc.ts";

const KEY = "mountaineer/caller";
const DIGITS = 22;

export type CallerMarks = (client: { readonly sessionId: string }) => string;

export function createCallerMarks(): CallerMarks {
  const key = randomBytes(32);
  return memoized(({ sessionId }: Parameters<CallerMarks>[0]) =>
    createHmac("sha256", key).update(sessionId).digest("base64url").slice(0, DIGITS),
  );
}

/** Puts the caller's mark into the params, in place of any mark there; null: removes any mark. */
export function withCaller(params: JsonObject | undefined, mark: string | null): JsonObject | undefined {
  const plain = takeCaller(params).params;
  if (mark === null) return plain;
  const meta = plain?.["_meta"];
  return { ...plain, _meta: { ...(isJsonObject(meta) ? meta : {}), [KEY]: mark } };
}

/**
 * Separates a mark from the params; `caller` is null if the mark is missing or malformed. Params without a
 * mark are returned as the same object.
 */
export function takeCaller<Params extends JsonObject | undefined>(params: Params) {
  const meta = params?.["_meta"];
  if (!isJsonObject(meta) || !Object.hasOwn(meta, KEY)) return { caller: null, params };
  const { [KEY]: callerMark, ...rest } = meta;
  const isMark = typeof callerMark === "string" && callerMark.length === DIGITS;
  return { caller: isMark ? callerMark : null, params: { ...params, _meta: rest } };
}
