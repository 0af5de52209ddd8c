// Owns reading JSON from bytes that anyone may have sent.
import { isUtf8 } from "node:buffer";
import { parseExactly } from "../../../runtime/text/exact-json.ts";

type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: string };

export function parseMessage(bytes: Buffer): Parsed {
  if (!isUtf8(bytes)) return { ok: false, reason: "the message is not UTF-8" };
  try {
    return { ok: true, value: parseExactly(bytes.toString("utf8")) };
  } catch {
    // The parser's own words would repeat what was sent.
    return { ok: false, reason: "the message is not JSON" };
  }
}
