// Answers of the management API: JSON, plain text, and errors, which are always JSON.
import { createHash } from "node:crypto";
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { answerEarly, awaitsMuch } from "../../runtime/http/answer-early.ts";
import { writeJson } from "../../runtime/json/large-json.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { errorBody, httpStatusOf } from "../operations/http-errors.ts";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Tools extends RuntimeTools {}

/** Thrown for a request that is not performed, with a status that its error does not imply. */
export class Refusal extends Error {
  readonly status: number;
  readonly error: MountaineerError;
  readonly headers: OutgoingHttpHeaders;

  constructor(status: number, error: MountaineerError, headers: OutgoingHttpHeaders = {}) {
    super(error.message);
    this.name = "Refusal";
    this.status = status;
    this.error = error;
    this.headers = headers;
  }
}

export function refusal(status: number, message: string, headers?: OutgoingHttpHeaders): Refusal {
  return new Refusal(status, new MountaineerError("protocol", message), headers);
}

export function tooLarge(limitBytes: number): Refusal {
  return refusal(413, `the body is larger than ${limitBytes} bytes`);
}

/** Throws a refusal if the request's method is not in `allowed`. */
export function requireMethod({ method = "" }: IncomingMessage, ...allowed: string[]): void {
  if (allowed.includes(method)) return;
  const methods = allowed.join(", ");
  throw refusal(405, `${method} is not served here; allowed: ${methods}`, { Allow: methods });
}

/** The path of a request, without its query. */
export function pathOf({ url = "" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}

/** Answers by `answer`, and with the error that it rejects with. Logs the request. Never rejects. */
export async function serveRequest(
  { clock, logger }: Tools,
  exchange: Exchange,
  answer: () => Promise<void>,
): Promise<void> {
  const { request, response } = exchange;
  const startedAtMs = clock.monotonicMs();
  try {
    await answer();
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof MountaineerError)) {
      const stack = error instanceof Error ? error.stack : undefined;
      logger.error("management request failed", { error: errorText(error), stack });
    }
    answerError(clock, exchange, error);
  }
  logger.debug("management request", {
    method: request.method,
    path: pathOf(request),
    status: response.headersSent ? response.statusCode : null,
    tookMs: Math.round(clock.monotonicMs() - startedAtMs),
  });
}

const UNKEPT = { "Cache-Control": "no-store" };

/** The rest of the request is read and dropped, or the connection is closed. */
function answerError(clock: Clock, { request, response }: Exchange, thrown: unknown): void {
  if (response.destroyed) return;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, error, headers } =
    thrown instanceof Refusal
      ? thrown
      : { status: httpStatusOf(thrown), error: thrown, headers: retryHeaders(thrown) };
  const text = JSON.stringify(errorBody(error));
  const typed = { ...UNKEPT, ...headers, "Content-Type": "application/json" };
  if (awaitsMuch(request)) {
    answerEarly(clock, request, response, { status, headers: typed, text });
    return;
  }
  response.writeHead(status, { ...typed, "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}

function retryHeaders(error: unknown): OutgoingHttpHeaders {
  const isBusy =
    error instanceof MountaineerError && error.code === "daemon_unreachable" && error.retry === "later";
  return isBusy ? { "Retry-After": "1" } : {};
}

/** Sends JSON, or a string as plain text. A GET gets a 304 if the client already has the answer with that ETag. */
export function answerValue({ request, response }: Exchange, value: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const isText = typeof value === "string";
  const text = isText ? value : writeJson(value);
  const type = isText ? "text/plain; charset=utf-8" : "application/json";
  if (request.method !== "GET") {
    response.writeHead(200, { ...UNKEPT, "Content-Type": type, "Content-Length": Buffer.byteLength(text) });
    response.end(text);
    return;
  }
  const etag = `"${createHash("sha256").update(text).digest("base64url").slice(0, 27)}"`;
  // `no-cache`: the client may store the answer, and asks each time whether it is still current.
  const headers = { ETag: etag, "Cache-Control": "no-cache, private", Vary: "Authorization" };
  answerUnlessKnown({ request, response }, headers, type, text);
}

export function answerNothing({ response }: Exchange): void {
  if (response.destroyed) return;
  response.writeHead(204, UNKEPT);
  response.end();
}

/** Sends the content, or a 304 if the client has it. */
export function answerUnlessKnown(
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

function isKnown({ headers }: IncomingMessage, etag: string): boolean {
  const known = headers["if-none-match"];
  if (known === undefined) return false;
  return known.split(",").some((one) => one.trim().replace(/^W\//, "") === etag || one.trim() === "*");
}
