// What only a browser reads of an answer: the page's files, and headers that forbid to cache, sniff or embed an answer.
import type { PageFile } from "../page-files.ts";
import { answerUnlessKnown, type Exchange } from "../server/answers.ts";

const CONTENT_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Headers of every answer. */
export const GUARDING_HEADERS = new Map([
  ["Content-Security-Policy", CONTENT_POLICY],
  ["X-Content-Type-Options", "nosniff"],
  ["X-Frame-Options", "DENY"],
  ["Referrer-Policy", "no-referrer"],
  ["Cross-Origin-Resource-Policy", "same-origin"],
  ["Cross-Origin-Opener-Policy", "same-origin"],
]);
const A_YEAR = "public, max-age=31536000, immutable";

export function answerFile(exchange: Exchange, { type, bytes, etag, isImmutable }: PageFile): void {
  if (exchange.response.destroyed) return;
  const headers = { ETag: etag, "Cache-Control": isImmutable ? A_YEAR : "no-cache" };
  answerUnlessKnown(exchange, headers, type, bytes);
}
