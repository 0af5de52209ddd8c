// Answers over HTTP: JSON, errors and files of the page, with headers that forbid browsers to cache, sniff or embed them.
import { createHash } from "node:crypto";
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { MountaineerError } from "../../runtime/errors.ts";
import { answerEarly, awaitsMuch } from "../../runtime/http/answer-early.ts";
import { writeJson } from "../../runtime/json/large-json.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { errorBody } from "../operations/http-errors.ts";
import type { PageFile } from "../page-files.ts";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

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
const GUARDING: OutgoingHttpHeaders = {
  "Content-Security-Policy": CONTENT_POLICY,
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
};
const UNKEPT = { "Cache-Control": "no-store" };
const A_YEAR = "public, max-age=31536000, immutable";

export function setGuardingHeaders(response: ServerResponse): void {
  for (const [name, value] of Object.entries(GUARDING))
    if (value !== undefined) response.setHeader(name, value);
}

/** Sends JSON, or a string as plain text. A GET gets a 304 if the client already has the answer with that ETag. */
export function answerValue({ request, response }: Exchange, value: unknown): void {
  if (response.headersSent) return;
  const isText = typeof value === "string";
  const text = isText ? value : writeJson(value);
  const type = isText ? "text/plain; charset=utf-8" : "application/json";
  if (request.method !== "GET") {
    response.writeHead(200, { ...UNKEPT, "Content-Type": type, "Content-Length": Buffer.byteLength(text) });
    response.end(text);
    return;
  }
  const etag = etagOf(text);
  // `no-cache`: the client may store the answer, and asks each time whether it is still current.
  const headers = { ETag: etag, "Cache-Control": "no-cache, private", Vary: "Authorization" };
  answerUnlessKnown({ request, response }, headers, type, text);
}

function answerUnlessKnown(
  { request, response }: Exchange,
  headers: { readonly ETag: string; readonly "Cache-Control": string },
  type: string,
  content: string | Uint8Array,
): void {
  if (isKnown(request, headers.ETag)) {
    response.writeHead(304, headers);
    response.end();
    return;
  }
  const length = Buffer.byteLength(content);
  response.writeHead(200, { ...headers, "Content-Type": type, "Content-Length": length });
  response.end(request.method === "HEAD" ? undefined : content);
}

export function answerNothing({ response }: Exchange): void {
  if (response.destroyed) return;
  response.writeHead(204, UNKEPT);
  response.end();
}

export function answerFile(exchange: Exchange, { type, bytes, etag, isImmutable }: PageFile): void {
  if (exchange.response.destroyed) return;
  const headers = { ETag: etag, "Cache-Control": isImmutable ? A_YEAR : "no-cache" };
  answerUnlessKnown(exchange, headers, type, bytes);
}

/** Answers with an error. The rest of the request is read and dropped, or the connection is closed. */
export function refuse(
  clock: Clock,
  { request, response }: Exchange,
  status: number,
  error: MountaineerError,
  headers: OutgoingHttpHeaders = {},
): void {
  if (response.destroyed) return;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const text = JSON.stringify(errorBody(error));
  const typed = { ...UNKEPT, ...headers, "Content-Type": "application/json" };
  if (awaitsMuch(request)) {
    answerEarly(clock, request, response, { status, headers: typed, text });
    return;
  }
  response.writeHead(status, { ...typed, "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}

export function etagOf(content: string | Uint8Array): string {
  return `"${createHash("sha256").update(content).digest("base64url").slice(0, 27)}"`;
}

function isKnown({ headers }: IncomingMessage, etag: string): boolean {
  const known = headers["if-none-match"];
  if (known === undefined) return false;
  return known.split(",").some((one) => one.trim().replace(/^W\//, "") === etag || one.trim() === "*");
}
