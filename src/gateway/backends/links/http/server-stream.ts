// The stream on which an HTTP server sends messages outside of any request (GET): opened, read, and opened again when it
// ends.
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import type { Timer } from "../../../../runtime/time/clock.ts";
import { isCredential, NO_CREDENTIAL } from "../link-authorization.ts";
import { askForEvents, type BodyEnd, readEvents } from "./body.ts";
import type { LinkContext } from "./exchange.ts";
import type { Asked } from "./target.ts";

const BACKOFF_MS = { least: 100, first: 1_000, atMost: 30_000 };
/** 409: the server has not noticed yet that the last stream is gone, and grants one alone. */
const LATER: ReadonlySet<number> = new Set([408, 409, 429]);
/** A stream that lived so long was a good one: the next is opened without more delay than the first. */
const CALM_MS = 10_000;

/** Runs until it is disposed, or the server has no such stream. */
export class ServerStream implements Disposable {
  readonly #context: LinkContext;
  readonly #headers: OutgoingHttpHeaders;
  #asked: Asked | null = null;
  #timer: Timer | null = null;
  #lastEventId: string | null = null;
  #retryMs: number | null = null;
  #delayMs = BACKOFF_MS.first;
  #disposed = false;
  #wasOpen = false;

  /** `headers`: those of the session. */
  constructor(context: LinkContext, headers: OutgoingHttpHeaders) {
    this.#context = context;
    this.#headers = headers;
    this.#open();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
    this.#asked?.request.destroy();
  }

  #open(): void {
    const { authorization } = this.#context;
    if (authorization === null || authorization.current !== null) {
      this.#ask();
      return;
    }
    void authorization.obtain().then((outcome) => {
      if (this.#disposed) return;
      if (isCredential(outcome)) this.#ask();
      else this.#again("failed");
    });
  }

  #ask(): void {
    const { target, authorization } = this.#context;
    const carried = authorization?.current ?? NO_CREDENTIAL;
    const lastEventId = this.#lastEventId;
    const resumed = lastEventId === null ? {} : { "last-event-id": lastEventId };
    this.#asked = askForEvents(
      target,
      { ...this.#headers, ...resumed },
      {
        onOpen: (response) => {
          if (this.#disposed) response.destroy();
          else this.#read(response, lastEventId !== null);
        },
        onRefused: (status) => {
          if (status !== 401 || authorization === null) this.#refused(status);
          else {
            void authorization.refused({ status, challenge: null, carried }).then((outcome) => {
              if (outcome !== null && isCredential(outcome)) this.#again("failed");
              else this.#refused(status);
            });
          }
        },
        onFailed: () => this.#again("failed"),
      },
    );
    if (this.#asked !== null) return;
    this.#lastEventId = null;
    this.#again("failed");
  }

  #refused(status: number): void {
    if (status === 400 && this.#lastEventId !== null) this.#lastEventId = null;
    else if (status < 500 && !LATER.has(status)) {
      // It was open, and is not granted again.
      if (this.#wasOpen && !this.#disposed) this.#context.events.onDoubt();
      return;
    }
    this.#again("failed");
  }

  #read(response: IncomingMessage, isResumed: boolean): void {
    const { clock, events, clean, responseLimitBytes } = this.#context;
    const startedAtMs = clock.monotonicMs();
    if (this.#wasOpen && !isResumed) events.onGap();
    this.#wasOpen = true;
    const parser = readEvents(response, responseLimitBytes, {
      onMessage: (message) => {
        this.#delayMs = BACKOFF_MS.first;
        return this.#disposed ? null : events.onMessage(message, null);
      },
      onGarbage: (text) => {
        this.#delayMs = BACKOFF_MS.first;
        if (!this.#disposed) events.onLogLine(clean(text));
      },
      onEnd: (end: BodyEnd) => {
        // What was too long would come again.
        this.#lastEventId = end === "overlong" ? null : (parser.lastEventId ?? this.#lastEventId);
        this.#retryMs = parser.retryMs ?? this.#retryMs;
        if (clock.monotonicMs() - startedAtMs >= CALM_MS) this.#delayMs = BACKOFF_MS.first;
        this.#again("ended");
      },
    });
  }

  #again(how: "ended" | "failed"): void {
    if (this.#disposed || this.#timer !== null) return;
    // A stream that cannot be resumed costs more than a connection: the lists are read again each time.
    const leastMs = this.#lastEventId === null ? BACKOFF_MS.first : BACKOFF_MS.least;
    const isWished = how === "ended" && this.#retryMs !== null;
    const waitMs = isWished ? Math.max(leastMs, this.#retryMs ?? 0) : this.#delayMs;
    this.#timer = this.#context.clock.setTimer(Math.min(BACKOFF_MS.atMost, waitMs), () => {
      this.#timer = null;
      this.#open();
    });
    this.#delayMs = Math.min(BACKOFF_MS.atMost, this.#delayMs * 2);
  }
}
