// Owns the stream on which an HTTP server tells and asks outside of any request (GET): opened, read, and opened again
// when it ends.
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { parseExactly } from "../../../../runtime/text/exact-json.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import { mediaType, readEvents } from "./body.ts";
import type { HttpTarget } from "./target.ts";

const BACKOFF_MS = { least: 100, first: 1_000, atMost: 30_000 };
/** 409: the server has not noticed yet that the last stream is gone, and grants one alone. */
const LATER: ReadonlySet<number> = new Set([408, 409, 429]);
/** A stream that lived so long was a good one: the next is opened without more delay than the first. */
const CALM_MS = 10_000;

interface ServerStreamOptions {
  readonly target: HttpTarget;
  readonly clock: Clock;
  /** With the session. */
  readonly headers: OutgoingHttpHeaders;
  readonly responseLimitBytes: number;
  readonly onMessage: (message: unknown) => Promise<void> | null;
  /** Data of an event that is no JSON. */
  readonly onGarbage: (text: string) => void;
  /** It was open, and is not granted again. */
  readonly onRefused: () => void;
  /** It is open again, and what the server said meanwhile is lost. */
  readonly onGap: () => void;
}

/** Runs until it is disposed, or the server has no such stream. */
export function openServerStream(options: ServerStreamOptions): Disposable {
  const { target, clock, responseLimitBytes } = options;
  let request: ClientRequest | null = null;
  let timer: Timer | null = null;
  let lastEventId: string | null = null;
  let retryMs: number | null = null;
  let delayMs = BACKOFF_MS.first;
  let disposed = false;
  let wasOpen = false;

  const again = (how: "ended" | "failed"): void => {
    if (disposed || timer !== null) return;
    // A stream that cannot be resumed costs more than a connection: the lists are read again each time.
    const leastMs = lastEventId === null ? BACKOFF_MS.first : BACKOFF_MS.least;
    const wishedMs = how === "failed" || retryMs === null ? delayMs : Math.max(leastMs, retryMs);
    timer = clock.setTimer(Math.min(BACKOFF_MS.atMost, wishedMs), () => {
      timer = null;
      open();
    });
    delayMs = Math.min(BACKOFF_MS.atMost, delayMs * 2);
  };

  const read = (response: IncomingMessage, isResumed: boolean): void => {
    const startedAtMs = clock.monotonicMs();
    if (wasOpen && !isResumed) options.onGap();
    wasOpen = true;
    const parser = readEvents(response, responseLimitBytes, {
      onData(data) {
        if (disposed) return null;
        delayMs = BACKOFF_MS.first;
        let message: unknown;
        try {
          message = parseExactly(data);
        } catch {
          options.onGarbage(data);
          return null;
        }
        return options.onMessage(message);
      },
      onEnd(end) {
        // What was too long would come again.
        lastEventId = end === "overlong" ? null : (parser.lastEventId ?? lastEventId);
        retryMs = parser.retryMs ?? retryMs;
        if (clock.monotonicMs() - startedAtMs >= CALM_MS) delayMs = BACKOFF_MS.first;
        again("ended");
      },
    });
  };

  const open = (): void => {
    const isResumed = lastEventId !== null;
    const resumed = lastEventId === null ? {} : { "last-event-id": lastEventId };
    const onResponse = (response: IncomingMessage): void => {
      const status = response.statusCode ?? 0;
      if (disposed) response.destroy();
      else if (status === 200 && mediaType(response) === "text/event-stream") read(response, isResumed);
      else {
        response.on("error", () => {});
        response.resume();
        if (status === 400 && lastEventId !== null) lastEventId = null;
        else if (status < 500 && !LATER.has(status)) {
          if (wasOpen) options.onRefused();
          return;
        }
        again("failed");
      }
    };
    try {
      const asked = target.ask("GET", { ...options.headers, ...resumed }, onResponse);
      request = asked.request;
      request.on("error", () => {
        if (!asked.responded) again("failed");
      });
      request.end();
    } catch {
      // An event id that cannot be a header's value cannot be asked for.
      lastEventId = null;
      again("failed");
    }
  };

  open();
  return {
    [Symbol.dispose]() {
      disposed = true;
      timer?.[Symbol.dispose]();
      request?.destroy();
    },
  };
}
