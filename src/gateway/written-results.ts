// Messages of servers, and the bytes of their large results: a result that is still the same object at the end of its way
// goes out as it came, without being written anew. Whoever changes one makes another object, which has no bytes.
import { isUtf8 } from "node:buffer";
import { parseExactly } from "../runtime/text/exact-json.ts";
import { withoutByteOrderMark } from "../runtime/text/plain-text.ts";
import { isJsonObject, type JsonObject, type RpcMessage } from "./json-rpc.ts";

/** To write a smaller one anew costs too little to matter. */
const LARGE_BYTES = 256 * 1024;
/** More than the envelope has before or after its result. */
const AROUND_BYTES = 128;

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** How nearly all servers write an envelope: what is before the result, and after it. Ids are the gateway's own. */
const ENVELOPES = [
  [/^\{"jsonrpc": ?"2\.0", ?"id": ?([1-9]\d{0,14}), ?"result": ?(?=\{)/, /\}[ \t\r\n]*$/],
  [/^\{"result": ?(?=\{)/, /, ?"jsonrpc": ?"2\.0", ?"id": ?([1-9]\d{0,14})\}[ \t\r\n]*$/],
] as const;

const bytesOf = new WeakMap<JsonObject, Buffer>();

/** As `parseExactly`, of UTF-8 that may begin with a byte order mark. The buffer is kept, and must not change. */
export function parseMessage(bytes: Buffer): unknown {
  const large = bytes.length < LARGE_BYTES ? null : parseLargeResponse(bytes);
  return large ?? parseExactly(withoutByteOrderMark(bytes.toString("utf8")));
}

/** The result's bytes, fit for any framing: they hold no line end. Null: it has to be written. */
export function writtenResult(result: JsonObject): Buffer | null {
  return bytesOf.get(result) ?? null;
}

/** Null: it is something else, or no JSON. */
function parseLargeResponse(bytes: Buffer): RpcMessage | null {
  const begin = bytes.toString("latin1", 0, AROUND_BYTES);
  const end = bytes.toString("latin1", bytes.length - AROUND_BYTES);
  for (const [head, tail] of ENVELOPES) {
    const [before, after] = [head.exec(begin), tail.exec(end)];
    if (before === null || after === null) continue;
    const written = bytes.subarray(before[0].length, bytes.length - after[0].length);
    let result: unknown;
    try {
      // By itself: so it is one value, and the envelope has no other members than those that were matched.
      result = parseExactly(written.toString("utf8"));
    } catch {
      return null;
    }
    if (!isJsonObject(result)) return null;
    // A line end between two values would end a line or an event of a client.
    if (isUtf8(written) && !written.includes(LINE_FEED) && !written.includes(CARRIAGE_RETURN))
      bytesOf.set(result, written);
    return { jsonrpc: "2.0", id: Number(before[1] ?? after[1]), result };
  }
  return null;
}
