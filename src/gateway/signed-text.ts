// What clients carry for the gateway: a value as text with a signature, good for those it is bound to alone. Clients may
// read it; what they change is refused.
import { createHmac, timingSafeEqual } from "node:crypto";

/** `bound`: to whom and what it belongs; each kind of value has another number of them, so that none passes for another. */
export function signText(key: Buffer, value: unknown, bound: readonly string[]): string {
  const text = Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${text}.${signatureOf(key, text, bound)}`;
}

/** The value, as `signText` was given it. Undefined: it was not made with that key, or not for these. */
export function openSigned(key: Buffer, token: string, bound: readonly string[]): unknown {
  const dot = token.indexOf(".");
  if (dot < 0) return undefined;
  const text = token.slice(0, dot);
  if (!isEqual(token.slice(dot + 1), signatureOf(key, text, bound))) return undefined;
  return JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
}

function signatureOf(key: Buffer, text: string, bound: readonly string[]): string {
  return createHmac("sha256", key)
    .update(JSON.stringify([text, ...bound]))
    .digest("base64url");
}

/** Compares the texts, not the bytes they decode to: base64 has several texts for some bytes. */
function isEqual(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
