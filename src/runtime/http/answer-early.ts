// Answers a request whose body may still be arriving. The body is read and thrown away for a while, so that its sender
// gets to read the answer; then the connection is closed.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Clock } from "../time/clock.ts";

/** An unwanted body up to this size is read to its end, and the connection stays open. */
const UNREAD_LIMIT_BYTES = 64 * 1024;
// Beyond this the sender does not seem to stop, and is cut off.
const DISCARD_LIMIT_BYTES = 128 * 1024 * 1024;
const DISCARD_DEADLINE_MS = 10_000;

/** Whether so much of the request is still to come that its answer has to be given by `answerEarly`. */
export function awaitsMuch(request: IncomingMessage): boolean {
  if (request.complete) return false;
  const length = request.headers["content-length"];
  if (length !== undefined) return Number(length) > UNREAD_LIMIT_BYTES;
  return request.headers["transfer-encoding"] !== undefined;
}

interface EarlyAnswer {
  readonly status: number;
  /** Without lengths. */
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
  // Not ended yet: that would close the connection, and the sender would never read the answer.
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
