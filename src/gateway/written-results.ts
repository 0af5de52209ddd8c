// Reads servers' messages and remembers the bytes of large results. A result that is passed on as the same object is
// sent as these bytes instead of being serialized again. A changed result is another object, which has no bytes.

import { MountaineerError } from "../runtime/errors.ts";
import { isLarge, type LargeJson, MOST_VALUES, readLarge } from "../runtime/json/large-json.ts";
import { TEXT_BOUNDS } from "../runtime/text/bounds.ts";
import { parseExactly } from "../runtime/text/exact-json.ts";
import { withoutByteOrderMark } from "../runtime/text/plain-text.ts";
import {
  errorReply,
  isJsonObject,
  isRpcId,
  type JsonObject,
  LIMIT_REACHED,
  type RpcError,
} from "./json-rpc.ts";

const BYTE_ORDER_MARK = Buffer.from("\u{feff}");

const bytesOf = new WeakMap<JsonObject, Buffer>();

/** The bytes of the result, on one line; null if none are kept: the caller then has to write the result. */
export function writtenResult(result: JsonObject): Buffer | null {
  return bytesOf.get(result) ?? null;
}

/** The reply to a message that has too many values for what has to be done with it; null: any other error. */
export function tooManyValues(error: unknown): { readonly error: RpcError } | null {
  if (!(error instanceof MountaineerError) || error.code !== "too_many_values") return null;
  return errorReply(LIMIT_REACHED, error.message, { limit: "values", allowed: MOST_VALUES });
}

interface MessageReceiver {
  /** A returned promise pauses the source until it settles. */
  take(message: unknown): Promise<void> | null;
  /** It is not JSON, or has too many values and is not a response. The source pauses like for `take`. */
  refuse(reason: unknown, bytes: Buffer | string): Promise<void> | null;
}

/**
 * Gives a server's message to its receiver. A large one is parsed in steps, and the returned promise settles when it was
 * taken. Takes over `bytes`.
 */
export function readMessage(bytes: Buffer | string, receiver: MessageReceiver): Promise<void> | null {
  if (isLarge(bytes)) return takeLarge(typeof bytes === "string" ? Buffer.from(bytes) : bytes, receiver);
  let message: unknown;
  try {
    message = parseExactly(withoutByteOrderMark(bytes.toString()));
  } catch (error) {
    return receiver.refuse(error, bytes);
  }
  return receiver.take(message);
}

async function takeLarge(bytes: Buffer, { take, refuse }: MessageReceiver): Promise<void> {
  let large: LargeJson;
  try {
    const isMarked = bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
    large = await readLarge(bytes.subarray(isMarked ? BYTE_ORDER_MARK.length : 0));
  } catch (error) {
    await refuse(error, bytes);
    return;
  }
  try {
    if (bytes.length > TEXT_BOUNDS.notice.most && large.bytesOf("result") === null)
      throw new MountaineerError("too_many_values", "it is longer than 4 MiB, and not a result");
    await take(parseMessage(large));
  } catch (error) {
    const reply = tooManyValues(error);
    if (reply === null) throw error;
    // The pending request gets the refusal instead of a response.
    const responses = large.heads.filter(({ id, method }) => isRpcId(id) && method === undefined);
    if (responses.length === 0) await refuse(error, bytes);
    for (const { id } of responses) await take({ jsonrpc: "2.0", id, ...reply });
  }
}

/** Remembers the result's bytes. */
function parseMessage(large: LargeJson): unknown {
  const value = large.parse();
  const result = isJsonObject(value) ? value["result"] : null;
  const written = isJsonObject(result) ? large.bytesOf("result") : null;
  if (isJsonObject(result) && written !== null) bytesOf.set(result, written);
  return value;
}
