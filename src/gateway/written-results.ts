// Reads servers' messages and remembers the bytes of large results. A result that is passed on as the same object is
// sent as these bytes instead of being written anew. A changed result is another object, which has no bytes.
import { MountaineerError } from "../runtime/errors.ts";
import { isLarge, MOST_VALUES, parseLarge } from "../runtime/json/large-json.ts";
import { parseExactly } from "../runtime/text/exact-json.ts";
import { withoutByteOrderMark } from "../runtime/text/plain-text.ts";
import { errorReply, isJsonObject, type JsonObject, LIMIT_REACHED, type RpcError } from "./json-rpc.ts";

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
  /** It is not JSON, or has too many values. */
  refuse(reason: unknown): void;
}

/**
 * Gives a server's message to its receiver. A large one is parsed in steps, and the returned promise settles when it was
 * taken. Takes over `bytes`.
 */
export function readMessage(bytes: Buffer | string, { take, refuse }: MessageReceiver): Promise<void> | null {
  if (isLarge(bytes)) return readLarge(Buffer.from(bytes), { take, refuse });
  let message: unknown;
  try {
    message = parseExactly(withoutByteOrderMark(bytes.toString()));
  } catch (error) {
    refuse(error);
    return null;
  }
  return take(message);
}

async function readLarge(bytes: Buffer, { take, refuse }: MessageReceiver): Promise<void> {
  let message: unknown;
  try {
    message = await parseMessage(bytes);
  } catch (error) {
    refuse(error);
    return;
  }
  try {
    await take(message);
  } catch (error) {
    const reply = tooManyValues(error);
    if (reply === null) throw error;
    if (!isJsonObject(message) || "method" in message) refuse(error);
    else await take({ jsonrpc: "2.0", id: message["id"], ...reply });
  }
}

/** Parses a server's large message. Takes over `bytes`. */
export async function parseMessage(bytes: Buffer): Promise<unknown> {
  const { value, bytesOf: memberBytes } = await parseLarge(bytes);
  const result = isJsonObject(value) ? value["result"] : null;
  const written = isJsonObject(result) ? memberBytes("result") : null;
  if (isJsonObject(result) && written !== null) bytesOf.set(result, written);
  return value;
}
