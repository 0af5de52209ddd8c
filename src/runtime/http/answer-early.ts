// Responds to a request whose body is still arriving. Reads and discards the body for a while, so that the client can read
// the response; then closes the connection.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Clock } from "../time/clock.ts";

/** A refused body up to this size is read to its end, and the connection is kept. */
const UNREAD_LIMIT_BYTES = 64 * 1024;
/** After this many discarded bytes the connection is closed. */
const DISCARD_LIMIT_BYTES = 128 * 1024 * 1024;
const DISCARD_DEADLINE_MS = 10_000;

/**
 * True if the request's unread body is large or of unknown size, so that the response must go through
 * `answerEarly`.
 */
export function awaitsMuch(request: IncomingMessage): boolean {
  if (request.complete) return false;
  const length = request.headers["content-length"];
  if (length !== undefined) return Number(length) > UNREAD_LIMIT_BYTES;
  return request.headers["transfer-encoding"] !== undefined;
}

interface EarlyAnswer {
  readonly status: number;
  /** Must not include Content-Length. */
  readonly headers: OutgoingHttpHeaders;
  readonly text: string;
}

export function answerEarly(
  clock: Clock,
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, text }: EarlyAnswer,
): void {
  response.writeHead(status, {
    ...headers,
    Connection: "close",
    "Content-Length": Buffer.byteLength(text),
  });
  // Uses `write`, because `end` would close the connection before the client has read the response.
  response.write(text);
  let discarded = 0;
  const finish = (): void => {
    timer[Symbol.dispose]();
    request.removeAllListeners("data");
    response.end();
  };
  const timer = clock.setTimer(DISCARD_DEADLINE_MS, finish);
  request.on("data", (chunk: Buffer) => {
    discarded += chunk.length;
    if (discarded > DISCARD_LIMIT_BYTES) finish();
  });
  request.once("end", finish);
  request.once("close", finish);
  request.resume();
}
