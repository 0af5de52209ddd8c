// Parses servers' messages and remembers the bytes of large results. A result that is passed on as the same
// object is sent as these bytes instead of being written anew. A changed result is another object, which has
// no bytes.
import { isUtf8 } from "node:buffer";
import { parseExactly } from "../runtime/text/exact-json.ts";
import { withoutByteOrderMark } from "../runtime/text/plain-text.ts";
import { isJsonObject, type JsonObject, type RpcMessage } from "./json-rpc.ts";

/** Smaller results are written anew, which costs little. */
const LARGE_BYTES = 256 * 1024;
/**
 * Number of bytes that are searched for the envelope at each end of a message. No real envelope has a longer
 * beginning or end.
 */
const AROUND_BYTES = 128;

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/**
 * The message's text before and after the result, in the two forms that nearly all servers write. The ids
 * were chosen by the gateway.
 */
const ENVELOPES = [
  [/^\{"jsonrpc": ?"2\.0", ?"id": ?([1-9]\d{0,14}), ?"result": ?(?=\{)/, /\}[ \t\r\n]*$/],
  [/^\{"result": ?(?=\{)/, /, ?"jsonrpc": ?"2\.0", ?"id": ?([1-9]\d{0,14})\}[ \t\r\n]*$/],
] as const;

const bytesOf = new WeakMap<JsonObject, Buffer>();

/**
 * Like `parseExactly`, but takes UTF-8 bytes, which may begin with a byte order mark. Keeps `bytes`, which must not
 * change afterwards.
 */
export function parseMessage(bytes: Buffer): unknown {
  const large = bytes.length < LARGE_BYTES ? null : parseLargeResponse(bytes);
  return large ?? parseExactly(withoutByteOrderMark(bytes.toString("utf8")));
}

/**
 * Returns the result's bytes as received, if they contain no line ends; null if none are kept: the caller then has to
 * write the result.
 */
export function writtenResult(result: JsonObject): Buffer | null {
  return bytesOf.get(result) ?? null;
}

/**
 * Parses a large response and remembers its result's bytes; null for any other message and for invalid JSON.
 */
function parseLargeResponse(bytes: Buffer): RpcMessage | null {
  const begin = bytes.toString("latin1", 0, AROUND_BYTES);
  const end = bytes.toString("latin1", bytes.length - AROUND_BYTES);
  for (const [head, tail] of ENVELOPES) {
    const [before, after] = [head.exec(begin), tail.exec(end)];
    if (before === null || after === null) continue;
    const written = bytes.subarray(before[0].length, bytes.length - after[0].length);
    let result: unknown;
    try {
      // The result is parsed by itself. If that succeeds, the result is a single value, so the envelope has no
      // further members.
      result = parseExactly(written.toString("utf8"));
    } catch {
      return null;
    }
    if (!isJsonObject(result)) return null;
    // A line end within the result would break line and event framing.
    if (isUtf8(written) && !written.includes(LINE_FEED) && !written.includes(CARRIAGE_RETURN))
      bytesOf.set(result, written);
    return { jsonrpc: "2.0", id: Number(before[1] ?? after[1]), result };
  }
  return null;
}
