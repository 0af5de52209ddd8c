// Reads the body of an HTTP response: whole within a limit, or as an event stream that its receiver can pause.

import { TEXT_BOUNDS } from "../../../../runtime/text/bounds.ts";
import { GatheredBytes } from "../../../../runtime/text/gathered-bytes.ts";
import { createSseParser, type SseEvent, type SseParser } from "../../../../runtime/text/sse-parser.ts";
import { UNCOUNTED_BYTES } from "../../../answers-in-flight.ts";
import { readMessage, tooManyValues } from "../../../written-results.ts";
import type { TransportFailure } from "../backend-transport.ts";
import type { OutgoingRequest, Response } from "./connections.ts";
import type { Headers, HttpTarget } from "./target.ts";

type BodyEnd = "complete" | "broken" | "overlong";

/** The media type without parameters, in lower case; "" if there is none. */
export function mediaType({ headers }: Response): string {
  const [type = ""] = (headers.get("content-type") ?? "").split(/[;,]/, 1);
  return type.trim().toLowerCase();
}

/** Called with the bytes of a large answer that have come so far; a returned promise pauses the response. */
type OnReceived = (bytes: number) => Promise<void> | null;

/** Calls back once: with the body, or with null and the reason. */
export function readWhole(
  response: Response,
  limitBytes: number,
  onEnd: (body: Buffer | null, end: BodyEnd) => void,
  onReceived: OnReceived = () => null,
): void {
  const body = new GatheredBytes();
  let over = false;
  const end = (how: BodyEnd): void => {
    if (over) return;
    over = true;
    onEnd(how === "complete" ? body.take() : null, how);
    if (how === "overlong") response.destroy();
  };
  response.read({
    onData(piece) {
      if (body.length + piece.length > limitBytes) end("overlong");
      else if (!over) {
        body.push(piece);
        const wait = body.length > UNCOUNTED_BYTES ? onReceived(body.length) : null;
        if (wait === null) return;
        response.pause();
        void wait.then(() => response.resume());
      }
    },
    onEnd: end,
  });
}

interface EventReader {
  /** The parsed data of a `message` event; a returned promise pauses the stream until it settles. */
  onMessage(message: unknown): Promise<void> | null;
  /** The data of a `message` event that is not JSON. */
  onGarbage(text: string): void;
  /** Called with each event whose type is not `message`; absent: these events are skipped. */
  onOther?(event: SseEvent): void;
  readonly onReceived?: OnReceived;
  /** Called with the size of each received piece, after its complete events were delivered. */
  onPiece?(bytes: number): void;
  /** Called once, after all events were delivered. */
  onEnd(end: BodyEnd): void;
}

/** Reads a text/event-stream. The returned parser has the last event id and `retry` read so far. */
export function readEvents(response: Response, limitBytes: number, reader: EventReader): SseParser {
  const parser = createSseParser(limitBytes);
  let paused = false;
  /** Bytes since the last message. */
  let received = 0;
  let end: BodyEnd | null = null;
  let over = false;

  const finish = (): void => {
    if (over || paused || end === null) return;
    over = true;
    reader.onEnd(end);
  };
  const finished = (): void => {
    paused = false;
    handOver();
    if (!paused) response.resume();
    finish();
  };
  const pauseUntil = (wait: Promise<void>): void => {
    paused = true;
    response.pause();
    void wait.then(finished, finished);
  };
  const handOver = (): void => {
    while (!paused && !over) {
      const event = parser.next();
      if (event === null) break;
      if (event.type !== "message") {
        reader.onOther?.(event);
        continue;
      }
      const wait = readMessage(event.bytes ?? event.data, {
        take: (message) => reader.onMessage(message),
        refuse(error) {
          const { most } = TEXT_BOUNDS.oddLine;
          reader.onGarbage(tooManyValues(error)?.error.message ?? event.data.slice(0, most));
          return null;
        },
      });
      received = 0;
      if (wait !== null) pauseUntil(wait);
    }
    if (parser.overlong && end === null) {
      end = "overlong";
      response.destroy();
    }
  };
  response.read({
    onData(piece) {
      parser.push(piece);
      received += piece.length;
      handOver();
      const wait = paused || received <= UNCOUNTED_BYTES ? null : reader.onReceived?.(received);
      if (wait != null) pauseUntil(wait);
      reader.onPiece?.(piece.length);
      finish();
    },
    onEnd(how) {
      end ??= how;
      finish();
    },
  });
  return parser;
}

interface StreamRequest {
  onOpen(response: Response): void;
  /** The server did not answer with an event stream. `challenge`: its `WWW-Authenticate`; null: none. */
  onRefused(status: number, challenge: string | null): void;
  onFailed(failure: TransportFailure): void;
}

/** Requests an event stream (GET). Null: a header has characters that HTTP forbids. */
export function requestEvents(
  target: HttpTarget,
  headers: Headers,
  stream: StreamRequest,
): OutgoingRequest | null {
  try {
    return target.send(
      { method: "GET", headers: { ...headers, accept: "text/event-stream" } },
      {
        onResponse(response) {
          target.keepCookies(response);
          if (response.status === 200 && mediaType(response) === "text/event-stream") stream.onOpen(response);
          else {
            stream.onRefused(response.status, response.headers.get("www-authenticate") ?? null);
            // The body is not read. If the response is still incomplete after this turn of the event loop, its
            // connection is closed.
            setImmediate(() => response.destroy());
          }
        },
        onLost: (lost) => stream.onFailed(target.failure(lost)),
      },
    );
  } catch {
    return null;
  }
}
