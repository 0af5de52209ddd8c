// MCP over HTTP, from the client's side: the session, the order of messages where it matters, the server's own stream,
// and the end. Streamable HTTP, and HTTP+SSE where the server speaks nothing newer.
import { FleetingSet } from "../../../../runtime/fleeting.ts";
import { type Clock, settledWithin, type Timer } from "../../../../runtime/time/clock.ts";
import { isJsonObject, type RpcId, type RpcMessage } from "../../../json-rpc.ts";
import {
  type BackendLink,
  closedLink,
  createLineCleaner,
  LIMIT_BYTES,
  type LinkEvents,
  type LinkFailure,
  linkFailure,
  linkText,
  type OpenLink,
  type StatelessSender,
} from "../backend-link.ts";
import { isCredential, type LinkAuthorization, NO_CREDENTIAL } from "../link-authorization.ts";
import { askForEvents, type BodyEnd, readEvents } from "./body.ts";
import type { Asked, Response } from "./connections.ts";
import { Exchange, type LinkContext, type Unanswered } from "./exchange.ts";
import { OlderSession } from "./older-session.ts";
import { createHttpTarget, type Headers, type HttpTarget } from "./target.ts";

/** Later messages wait so long for the server to have taken notifications/initialized. */
const INITIALIZED_MS = 5_000;
/** A cancelled request may still be answered; after that its connection is needed elsewhere. */
const CANCELLED_MS = 5_000;
const DELETE_MS = 1_000;

export interface HttpLinkOptions {
  readonly url: string;
  /** Resolved; `Accept`, `Content-Type` and MCP's own are ours. */
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Signs the requests of one link; null: the headers do. */
  readonly authorize?: () => LinkAuthorization | null;
  /** Never appear in log lines and failures. */
  readonly secrets?: readonly string[];
  /** Of one message from the server. Default 64 MiB. */
  readonly responseLimitBytes?: number;
  /** Of what waits to be taken by the server. Default 64 MiB. */
  readonly backlogLimitBytes?: number;
}

/**
 * A way to speak with the server anew, as one link each. A link connects when it sends, so a server that is away is a
 * failed request; only an address that cannot be used closes the link. An `initialize` request begins a new session
 * on the same link.
 */
export function openHttpLink(options: HttpLinkOptions): OpenLink {
  return (events) => {
    const authorization = options.authorize?.() ?? null;
    const target = createHttpTarget({ ...options, authorization });
    if (!("kind" in target)) return new HttpLink(target, authorization, options, events);
    authorization?.[Symbol.dispose]();
    return closedLink(target, events);
  };
}

interface Waiting {
  readonly message: RpcMessage;
  readonly text: string;
}

class HttpLink implements BackendLink {
  readonly pid = null;
  readonly stateless: StatelessSender = {
    send: (message, headers) => {
      this.#endSession();
      this.#send(message, headers);
    },
    abandon: (id) => this.#abandon(id),
  };
  backlogBytes = 0;
  readonly #context: LinkContext;
  readonly #backlogLimitBytes: number;
  readonly #exchanges = new FleetingSet<Exchange>();
  readonly #timers = new Set<Timer>();
  #sessionId: string | null = null;
  #version: string | null = null;
  #headers: Headers = {};
  /** While notifications/initialized is on its way; what comes after it waits here. */
  #waiting: Waiting[] | null = null;
  #serverStream: ServerStream | null = null;
  /** The server speaks the older transport, or is being asked whether it does. */
  #older: OlderSession | null = null;
  #closing: Promise<void> | null = null;

  constructor(
    target: HttpTarget,
    authorization: LinkAuthorization | null,
    options: HttpLinkOptions,
    events: LinkEvents,
  ) {
    const {
      clock,
      responseLimitBytes = LIMIT_BYTES,
      backlogLimitBytes = LIMIT_BYTES,
      secrets = [],
    } = options;
    this.#backlogLimitBytes = backlogLimitBytes;
    const clean = createLineCleaner(secrets);
    this.#context = {
      target,
      authorization,
      clock,
      events,
      responseLimitBytes,
      clean: authorization === null ? clean : (text) => clean(authorization.clean(text)),
      onSession: (id) => this.#setSession(id, this.#version),
      onNotTaken: (initialize, failure) => this.#tryOlder(initialize, failure),
    };
    this.#setSession(null, null);
  }

  send(message: RpcMessage): void {
    this.#send(message, null);
  }

  #send(message: RpcMessage, headers: Readonly<Record<string, string>> | null): void {
    const isOpen = (): boolean => this.#closing === null;
    if (!isOpen()) return;
    const isFull = this.backlogBytes > this.#backlogLimitBytes;
    const text = linkText(message, isFull, this.#context.events, isOpen);
    if (text === null) return;
    this.backlogBytes += text.length;
    if (headers !== null) this.#exchange(message, text, { ...this.#headers, ...headers }, "stateless");
    else if (this.#waiting === null) this.#post(message, text);
    else this.#waiting.push({ message, text });
  }

  established(version: string): void {
    this.#setSession(this.#sessionId, version);
    // After notifications/initialized, which the caller sends right after this: some servers refuse it before.
    setImmediate(() => {
      if (this.#waiting === null) this.#openStream();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  #setSession(sessionId: string | null, version: string | null): void {
    this.#sessionId = sessionId;
    this.#version = version;
    // Made once for all messages.
    this.#headers = {
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      ...this.#sessionHeaders(),
    };
  }

  #sessionHeaders(): Headers {
    const own: Record<string, string> = {};
    if (this.#sessionId !== null) own["mcp-session-id"] = this.#sessionId;
    if (this.#version !== null) own["mcp-protocol-version"] = this.#version;
    return own;
  }

  #post(message: RpcMessage, text: string): void {
    const method = "method" in message ? message.method : null;
    if (method === "initialize") {
      this.#setSession(null, null);
      this.#closeStream();
      if (this.#older !== null && "id" in message && message.id !== null) {
        this.backlogBytes -= text.length;
        const { origin } = this.#context.target;
        const none = linkFailure("refused", `${origin} no longer says where it takes messages`);
        this.#tryOlder({ id: message.id, message, text }, none);
        return;
      }
    } else if (method === "notifications/cancelled" && "params" in message) {
      this.#giveUp(message.params?.["requestId"]);
    }
    if (this.#older?.expects(message) === false) {
      this.backlogBytes -= text.length;
      return;
    }
    this.#carry(message, text, method);
  }

  #carry(message: RpcMessage, text: string, method: string | null): void {
    const isInitialized = method === "notifications/initialized";
    if (isInitialized) this.#waiting = [];
    const wait = isInitialized ? this.#after(INITIALIZED_MS, () => this.#letGo()) : null;
    this.#exchange(message, text, this.#headers, this.#older, () => {
      if (wait === null || this.#closing !== null) return;
      wait[Symbol.dispose]();
      this.#letGo();
    });
  }

  /** `way`: the session of the older transport that it belongs to; null: none; "stateless": it is of no session. */
  #exchange(
    message: RpcMessage,
    text: string,
    headers: Headers,
    way: OlderSession | "stateless" | null,
    onDone: () => void = () => {},
  ): void {
    const older = way === "stateless" ? null : way;
    const isFirst = "method" in message && message.method === "initialize";
    const exchange = new Exchange(older?.context ?? this.#context, {
      message,
      text,
      headers: withTrace(headers, message),
      hasSession: this.#sessionId !== null || (older !== null && !isFirst),
      isResumable: way === null,
      path: older?.endpoint ?? null,
      onTaken: () => {
        this.backlogBytes -= text.length;
      },
      onDone: () => {
        this.#exchanges.delete(exchange);
        onDone();
      },
    });
    this.#exchanges.add(exchange);
  }

  #abandon(id: RpcId): void {
    for (const exchange of this.#exchanges) if (exchange.id === id) exchange.abort();
  }

  #endSession(): void {
    this.#older?.end();
    this.#older = null;
    if (this.#sessionId === null && this.#version === null) return;
    this.#setSession(null, null);
    this.#closeStream();
    this.#letGo();
  }

  /** Where it turns out that it does not speak the older transport either, `failure` is told. */
  #tryOlder(initialize: Unanswered, failure: LinkFailure): void {
    if (this.#closing !== null) return;
    const { message, text } = initialize;
    this.#older ??= new OlderSession(this.#context, {
      onNone: () => {
        this.#older = null;
      },
      isOpen: () => this.#closing === null,
    });
    this.#older.begin({
      id: initialize.id,
      post: () => {
        this.backlogBytes += text.length;
        this.#carry(message, text, "initialize");
      },
      otherwise: failure,
    });
  }

  /** Sends what had to wait for notifications/initialized. */
  #letGo(): void {
    const released = this.#waiting;
    if (released === null) return;
    this.#waiting = null;
    for (const { message, text } of released) this.#post(message, text);
    this.#openStream();
  }

  #giveUp(requestId: unknown): void {
    for (const exchange of this.#exchanges) {
      if (exchange.id === requestId) this.#after(CANCELLED_MS, () => exchange.abort());
    }
  }

  #openStream(): void {
    if (this.#closing !== null || this.#version === null || this.#older !== null) return;
    this.#serverStream ??= new ServerStream(this.#context, this.#sessionHeaders());
  }

  #closeStream(): void {
    this.#serverStream?.[Symbol.dispose]();
    this.#serverStream = null;
  }

  #after(delayMs: number, callback: () => void): Timer {
    const timer = this.#context.clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
    return timer;
  }

  async #end(): Promise<void> {
    this.#closeStream();
    this.#older?.[Symbol.dispose]();
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#waiting = null;
    for (const exchange of this.#exchanges) exchange.abort();
    try {
      await this.#deleteSession();
    } catch {
      // A session id that cannot be sent back cannot be deleted either.
    }
    this.#context.target.destroy();
    this.#context.authorization?.[Symbol.dispose]();
  }

  async #deleteSession(): Promise<void> {
    if (this.#sessionId === null) return;
    const { target, clock } = this.#context;
    const ended = Promise.withResolvers<void>();
    const done = (): void => ended.resolve();
    target.ask({ method: "DELETE", headers: this.#sessionHeaders() }, { onResponse: done, onLost: done });
    await settledWithin(clock, DELETE_MS, ended.promise);
  }
}

/** The trace that a message belongs to, by its `_meta`, stands in the headers, too: whoever is on the way reads only those. */
function withTrace(headers: Headers, message: RpcMessage): Headers {
  const meta = "params" in message ? message.params?.["_meta"] : undefined;
  if (!isJsonObject(meta)) return headers;
  const { traceparent, tracestate } = meta;
  if (typeof traceparent !== "string" || !TRACEPARENT.test(traceparent)) return headers;
  const isState = typeof tracestate === "string" && TRACESTATE.test(tracestate);
  return { ...headers, traceparent, ...(isState && { tracestate }) };
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const TRACESTATE = /^[\x20-\x7e]{1,512}$/;

// The stream on which an HTTP server sends messages outside of any request (GET): opened, read, and opened again when it
// ends.

const BACKOFF_MS = { least: 100, first: 1_000, atMost: 30_000 };
/** 409: the server has not noticed yet that the last stream is gone, and grants one alone. */
const LATER: ReadonlySet<number> = new Set([408, 409, 429]);
/** A stream that lived so long was a good one: the next is opened without more delay than the first. */
const CALM_MS = 10_000;

/** Runs until it is disposed, or the server has no such stream. */
class ServerStream implements Disposable {
  readonly #context: LinkContext;
  readonly #headers: Headers;
  #asked: Asked | null = null;
  #timer: Timer | null = null;
  #lastEventId: string | null = null;
  #retryMs: number | null = null;
  #delayMs = BACKOFF_MS.first;
  #disposed = false;
  #wasOpen = false;

  /** `headers`: those of the session. */
  constructor(context: LinkContext, headers: Headers) {
    this.#context = context;
    this.#headers = headers;
    this.#open();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
    this.#asked?.destroy();
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

  #read(response: Response, isResumed: boolean): void {
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
