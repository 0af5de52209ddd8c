// Signed texts: values that the gateway gives to clients and gets back later, instead of keeping them.
// Clients can read but not change them.

import { createHmac, timingSafeEqual } from "node:crypto";
import { parseJson } from "../runtime/text/parse-json.ts";

/**
 * `bound`: texts without which the value cannot be opened, such as its owner and purpose. Each kind of value
 * is bound to a different number of texts, so that one kind is never accepted as another.
 */
export function signText(key: Buffer, value: unknown, bound: readonly string[]): string {
  const text = Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${text}.${signatureOf(key, text, bound)}`;
}

/** Returns the value given to `signText`; undefined if `token` was made with another key or bound to other texts. */
export function openSigned(key: Buffer, token: string, bound: readonly string[]): unknown {
  const dot = token.indexOf(".");
  if (dot < 0) return undefined;
  const text = token.slice(0, dot);
  if (!isEqual(token.slice(dot + 1), signatureOf(key, text, bound))) return undefined;
  return parseJson(Buffer.from(text, "base64url").toString("utf8"));
}

function signatureOf(key: Buffer, text: string, bound: readonly string[]): string {
  return createHmac("sha256", key)
    .update(JSON.stringify([text, ...bound]))
    .digest("base64url");
}

/** Compares the texts, not the decoded bytes: different base64 texts can decode to the same bytes. */
function isEqual(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
