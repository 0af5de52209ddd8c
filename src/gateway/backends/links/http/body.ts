// Reads the body of an HTTP response: whole within a bound, or as a stream of events that its receiver can pause.
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { parseExactly } from "../../../../runtime/text/exact-json.ts";
import { createSseParser, type SseEvent, type SseParser } from "../../../../runtime/text/sse-parser.ts";
import { parseMessage } from "../../../written-results.ts";
import type { LinkFailure } from "../backend-link.ts";
import type { Asked, HttpTarget } from "./target.ts";

/** How a body came to its end. */
export type BodyEnd = "complete" | "broken" | "overlong";

/** The media type without parameters, in lower case; "" when there is none. */
export function mediaType(response: IncomingMessage): string {
  const [type = ""] = (response.headers["content-type"] ?? "").split(";", 1);
  return type.trim().toLowerCase();
}

/** Calls back once, with all of it or with null and why it is not whole. */
export function readWhole(
  response: IncomingMessage,
  limitBytes: number,
  onEnd: (body: Buffer | null, end: BodyEnd) => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let over = false;
  const end = (how: BodyEnd): void => {
    if (over) return;
    over = true;
    onEnd(how === "complete" ? Buffer.concat(chunks, bytes) : null, how);
    if (how === "overlong") response.destroy();
  };
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > limitBytes) end("overlong");
    else if (!over) chunks.push(chunk);
  });
  response.once("end", () => end("complete"));
  response.on("error", () => end("broken"));
  response.once("close", () => end("broken"));
}

interface EventReader {
  /** Of a `message` event, parsed; a returned promise pauses the stream until it settles. */
  onMessage(message: unknown): Promise<void> | null;
  /** Data of a `message` event that is no JSON. */
  onGarbage(text: string): void;
  /** Any other event; absent: they are skipped. */
  onOther?(event: SseEvent): void;
  /** Once, after all data was handed over. */
  onEnd(end: BodyEnd): void;
}

/** Reads a text/event-stream; what is returned tells ids and `retry` as far as it was read. */
export function readEvents(response: IncomingMessage, limitBytes: number, reader: EventReader): SseParser {
  const parser = createSseParser(limitBytes);
  let held = false;
  let end: BodyEnd | null = null;
  let over = false;

  const finish = (): void => {
    if (over || held || end === null) return;
    over = true;
    reader.onEnd(end);
  };
  const settled = (): void => {
    held = false;
    handOver();
    if (!held) response.resume();
    finish();
  };
  const handOver = (): void => {
    while (!held && !over) {
      const event = parser.next();
      if (event === null) break;
      if (event.type !== "message") {
        reader.onOther?.(event);
        continue;
      }
      let message: unknown;
      try {
        message = event.bytes === undefined ? parseExactly(event.data) : parseMessage(event.bytes);
      } catch {
        reader.onGarbage(event.data);
        continue;
      }
      const wait = reader.onMessage(message);
      if (wait === null) continue;
      held = true;
      response.pause();
      void wait.then(settled, settled);
    }
    if (parser.overlong && end === null) {
      end = "overlong";
      response.destroy();
    }
  };
  const ended = (how: BodyEnd): void => {
    end ??= how;
    finish();
  };
  response.on("data", (chunk: Buffer) => {
    parser.push(chunk);
    handOver();
    finish();
  });
  response.once("end", () => ended("complete"));
  response.on("error", () => ended("broken"));
  response.once("close", () => ended("broken"));
  return parser;
}

/** Reads the rest of a response that nobody needs. */
export function discard(response: IncomingMessage): void {
  response.on("error", () => {});
  response.resume();
}

interface StreamRequest {
  onOpen(response: IncomingMessage): void;
  /** The server answered something else. `challenge`: its `WWW-Authenticate`; null: it had none. */
  onRefused(status: number, challenge: string | null): void;
  /** There is no answer. */
  onFailed(failure: LinkFailure): void;
}

/** Asks for a stream of events (GET). Null: it cannot be asked for, as a header has characters that HTTP forbids. */
export function askForEvents(
  target: HttpTarget,
  headers: OutgoingHttpHeaders,
  stream: StreamRequest,
): Asked | null {
  try {
    const asked = target.ask("GET", { ...headers, accept: "text/event-stream" }, (response) => {
      if (response.statusCode === 200 && mediaType(response) === "text/event-stream") {
        stream.onOpen(response);
        return;
      }
      discard(response);
      stream.onRefused(response.statusCode ?? 0, response.headers["www-authenticate"] ?? null);
    });
    asked.request.on("error", (error) => {
      if (!asked.responded) stream.onFailed(asked.failure(error));
    });
    asked.request.end();
    return asked;
  } catch {
    return null;
  }
}
