// MCP over HTTP: the session, the order of messages around `initialize`, the server's own stream, and the end.
// Streamable HTTP, or HTTP+SSE if the server speaks nothing newer.
import { ShortLivedSet } from "../../../../runtime/short-lived.ts";
import { backoffMs } from "../../../../runtime/time/backoff.ts";
import { type Clock, settlesWithin, type Timer } from "../../../../runtime/time/clock.ts";
import { isJsonObject, type RpcMessage } from "../../../json-rpc.ts";
import {
  type BackendTransport,
  closedTransport,
  createLineCleaner,
  LIMIT_BYTES,
  messageText,
  type OpenTransport,
  type StatelessSender,
  type TransportEvents,
  type TransportFailure,
  transportFailure,
} from "../backend-transport.ts";
import {
  type Credential,
  isCredential,
  signing,
  type TransportAuthorization,
  UNSIGNED,
} from "../transport-authorization.ts";
import { readEvents, requestEvents } from "./body.ts";
import type { OutgoingRequest, Response } from "./connections.ts";
import { Exchange, type SentRequest, type TransportContext } from "./exchange.ts";
import { SseSession } from "./sse-session.ts";
import { createHttpTarget, type Headers, type HttpTarget } from "./target.ts";

/** Time for the server to receive notifications/initialized; later messages wait for that. */
const INITIALIZED_MS = 5_000;
/** Time in which a cancelled request may still be answered; then its connection is ended. */
const CANCELLED_MS = 5_000;
const DELETE_MS = 1_000;

export interface HttpTransportOptions {
  readonly url: string;
  /**
   * The configured headers, with the values of secrets. `Accept`, `Content-Type` and the headers of MCP override
   * headers of the same name.
   */
  readonly headers: Headers;
  readonly clock: Clock;
  /** Makes the authorization of one link; null or absent: `headers` are its only credentials. */
  readonly authorize?: () => TransportAuthorization | null;
  /** Removed from log lines and failures. */
  readonly secrets?: readonly string[];
  /** Limit of one message from the server, and of the backlog. Default: LIMIT_BYTES. */
  readonly limitBytes?: number;
}

/**
 * Each call opens a new transport. A transport connects when it sends, so an unreachable server is a failed request;
 * only an unusable address closes it. An `initialize` request begins a new session on the same transport.
 */
export function openHttpTransport(options: HttpTransportOptions): OpenTransport {
  return (events) => {
    const authorization = options.authorize?.() ?? UNSIGNED;
    const target = createHttpTarget({ ...options, authorization });
    if (!("kind" in target)) return new HttpTransport(target, authorization, options, events);
    authorization[Symbol.dispose]();
    return closedTransport(target, events);
  };
}

class HttpTransport implements BackendTransport {
  readonly pid = null;
  readonly stateless: StatelessSender = {
    send: (message, headers) => {
      this.#endSession();
      this.#send(message, headers);
    },
    abandon: (id) => {
      for (const exchange of this.#exchanges) if (exchange.id === id) exchange.abort();
    },
  };
  backlogBytes = 0;
  readonly #context: TransportContext;
  readonly #exchanges = new ShortLivedSet<Exchange>();
  readonly #timers = new Set<Timer>();
  #sessionId: string | null = null;
  #version: string | null = null;
  #headers: Headers = {};
  /** Messages that wait until the server has received notifications/initialized; null: none has to wait. */
  #waiting: Omit<SentRequest, "id">[] | null = null;
  #serverStream: Disposable | null = null;
  /** Present if the server speaks HTTP+SSE, or while the link tries that; else null. */
  #sse: SseSession | null = null;
  /** Sessions that were replaced, with their requests that still wait for an answer. */
  readonly #replaced = new Map<string, Set<Exchange>>();
  #closing: Promise<void> | null = null;

  constructor(
    target: HttpTarget,
    authorization: TransportAuthorization,
    { clock, limitBytes = LIMIT_BYTES, secrets = [] }: HttpTransportOptions,
    events: TransportEvents,
  ) {
    const clean = createLineCleaner(secrets);
    this.#context = {
      target,
      authorization,
      clock,
      events,
      limitBytes,
      clean: (text) => clean(authorization.clean(text)),
      onSession: (id) => this.#setSession(id, this.#version),
      onNotTaken: (initialize, failure) => this.#trySse(initialize, failure),
    };
    this.#setSession(null, null);
  }

  send(message: RpcMessage): void {
    this.#send(message, null);
  }

  #send(message: RpcMessage, headers: Readonly<Record<string, string>> | null): void {
    const isOpen = (): boolean => this.#closing === null;
    if (!isOpen()) return;
    const isFull = this.backlogBytes > this.#context.limitBytes;
    const text = messageText(message, isFull, this.#context.events, isOpen);
    if (text === null) return;
    this.backlogBytes += text.length;
    if (headers !== null) this.#exchange(message, text, { ...this.#headers, ...headers }, "stateless");
    else if (this.#waiting === null) this.#post(message, text);
    else this.#waiting.push({ message, text });
  }

  established(version: string): void {
    this.#setSession(this.#sessionId, version);
    // The caller sends notifications/initialized right after this call, and some servers refuse the stream before it.
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
      if (this.#sessionId !== null) this.#replaced.set(this.#sessionId, new Set(this.#exchanges));
      this.#setSession(null, null);
      this.#closeStream();
      if (this.#sse !== null && "id" in message && message.id !== null) {
        this.backlogBytes -= text.length;
        const { origin } = this.#context.target;
        const none = transportFailure("refused", `${origin} no longer says where it takes messages`);
        this.#trySse({ id: message.id, message, text }, none);
        return;
      }
    } else if (method === "notifications/cancelled" && "params" in message) {
      const { requestId } = message.params ?? {};
      for (const exchange of this.#exchanges)
        if (exchange.id === requestId) this.#after(CANCELLED_MS, () => exchange.abort());
    }
    if (this.#sse?.expects(message) === false) {
      this.backlogBytes -= text.length;
      return;
    }
    this.#dispatch(message, text, method);
  }

  #dispatch(message: RpcMessage, text: string, method: string | null): void {
    const isInitialized = method === "notifications/initialized";
    if (isInitialized) this.#waiting = [];
    const wait = isInitialized ? this.#after(INITIALIZED_MS, () => this.#release()) : null;
    this.#exchange(message, text, this.#headers, this.#sse, () => {
      if (wait === null) return;
      wait[Symbol.dispose]();
      this.#release();
    });
  }

  /** `mode`: "stateless", or the HTTP+SSE session that carries the message; null: streamable HTTP. */
  #exchange(
    message: RpcMessage,
    text: string,
    headers: Headers,
    mode: SseSession | "stateless" | null,
    onDone: () => void = () => {},
  ): void {
    const sse = mode === "stateless" ? null : mode;
    const isFirst = "method" in message && message.method === "initialize";
    const exchange = new Exchange(sse?.context ?? this.#context, {
      message,
      text,
      headers: withTrace(headers, message),
      hasSession: this.#sessionId !== null || (sse !== null && !isFirst),
      isResumable: mode === null,
      path: sse?.endpoint ?? null,
      onTaken: () => {
        this.backlogBytes -= text.length;
      },
      onDone: () => {
        this.#exchanges.delete(exchange);
        onDone();
        this.#deleteReplaced(exchange);
      },
    });
    this.#exchanges.add(exchange);
  }

  #endSession(): void {
    this.#sse?.end();
    this.#sse = null;
    if (this.#sessionId === null && this.#version === null) return;
    this.#setSession(null, null);
    this.#closeStream();
    this.#release();
  }

  /** Initializes over HTTP+SSE; `failure` is reported if the server does not speak HTTP+SSE either. */
  #trySse(initialize: SentRequest, failure: TransportFailure): void {
    if (this.#closing !== null) return;
    const { message, text } = initialize;
    this.#sse ??= new SseSession(this.#context, () => {
      this.#sse = null;
    });
    const post = (): void => {
      this.backlogBytes += text.length;
      this.#dispatch(message, text, "initialize");
    };
    this.#sse.begin(initialize, post, failure);
  }

  /** Sends the messages that waited for notifications/initialized. */
  #release(): void {
    const released = this.#waiting;
    if (released === null) return;
    this.#waiting = null;
    for (const { message, text } of released) this.#post(message, text);
    this.#openStream();
  }

  #openStream(): void {
    if (this.#closing !== null || this.#version === null || this.#sse !== null) return;
    this.#serverStream ??= startServerStream(this.#context, this.#sessionHeaders());
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
    this.#sse?.[Symbol.dispose]();
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#waiting = null;
    for (const exchange of this.#exchanges) exchange.abort();
    const sessions = [...this.#replaced.keys(), ...(this.#sessionId === null ? [] : [this.#sessionId])];
    await Promise.all(sessions.map((id) => this.#deleteSession(id)));
    this.#context.target.destroy();
    this.#context.authorization[Symbol.dispose]();
  }

  /** Deletes a replaced session after its last answer: a server that was only busy may have kept it. */
  #deleteReplaced(done: Exchange): void {
    for (const [sessionId, exchanges] of this.#replaced) {
      exchanges.delete(done);
      if (exchanges.size > 0 || this.#closing !== null) continue;
      this.#replaced.delete(sessionId);
      void this.#deleteSession(sessionId);
    }
  }

  async #deleteSession(sessionId: string): Promise<void> {
    const { target, clock } = this.#context;
    const ended = Promise.withResolvers<void>();
    const done = (): void => ended.resolve();
    const headers = { ...this.#sessionHeaders(), "mcp-session-id": sessionId };
    try {
      target.send({ method: "DELETE", headers }, { onResponse: done, onLost: done });
      await settlesWithin(clock, DELETE_MS, ended.promise);
    } catch {
      // The session cannot be deleted: its id has characters that HTTP forbids in a header.
    }
  }
}

/** Repeats the trace context of a message's `_meta` in the headers, where proxies read it. */
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

const BACKOFF_MS = { first: 1_000, most: 30_000 };
/** The shortest delay that a server can ask for with `retry`. */
const LEAST_RETRY_MS = 100;
/**
 * Statuses after which the stream is asked for again. 409: the server has not noticed that the previous stream ended.
 */
const LATER: ReadonlySet<number> = new Set([408, 409, 429]);
/** A stream that lasted this long resets the backoff. */
const CALM_MS = 10_000;

/** Runs until it is disposed, or the server refuses the stream for good. `headers`: session id and protocol version. */
function startServerStream(context: TransportContext, headers: Headers): Disposable {
  const { target, authorization, clock, events, clean, limitBytes } = context;
  let outgoing: OutgoingRequest | null = null;
  let timer: Timer | null = null;
  let lastEventId: string | null = null;
  let serversRetryMs: number | null = null;
  /** Attempts since the last event, or since a stream lasted for `CALM_MS`. */
  let tries = 0;
  let disposed = false;
  let wasOpen = false;

  const open = (): void => signing(authorization, request, () => again("failed")).start();
  const request = (credential: Credential): void => {
    if (disposed) return;
    const isResumed = lastEventId !== null;
    const resumed = lastEventId === null ? {} : { "last-event-id": lastEventId };
    outgoing = requestEvents(
      target,
      { ...headers, ...resumed },
      {
        onOpen: (response) => read(response, isResumed),
        onRefused: (status) => {
          if (status !== 401) onRefused(status);
          else {
            void authorization.refused({ status, challenge: null, credential }).then((outcome) => {
              if (outcome !== null && isCredential(outcome)) again("failed");
              else onRefused(status);
            });
          }
        },
        onFailed: () => again("failed"),
      },
    );
    if (outgoing !== null) return;
    lastEventId = null;
    again("failed");
  };
  const onRefused = (status: number): void => {
    if (status === 400 && lastEventId !== null) lastEventId = null;
    else if (status < 500 && !LATER.has(status)) {
      // A refusal after the stream was open may mean that the server has forgotten the session.
      if (wasOpen && !disposed) events.onSuspect();
      return;
    }
    again("failed");
  };
  const read = (response: Response, isResumed: boolean): void => {
    const startedAtMs = clock.monotonicMs();
    if (wasOpen && !isResumed) events.onGap();
    wasOpen = true;
    const parser = readEvents(response, limitBytes, {
      onMessage: (message) => {
        tries = 0;
        return disposed ? null : events.onMessage(message, null);
      },
      onGarbage: (text) => {
        tries = 0;
        if (!disposed) events.onLogLine(clean(text));
      },
      onEnd: (end) => {
        // Resuming after an overlong event would bring the same event again.
        lastEventId = end === "overlong" ? null : (parser.lastEventId ?? lastEventId);
        serversRetryMs = parser.retryMs ?? serversRetryMs;
        if (clock.monotonicMs() - startedAtMs >= CALM_MS) tries = 0;
        again("ended");
      },
    });
  };
  const again = (how: "ended" | "failed"): void => {
    if (disposed || timer !== null) return;
    // A stream that cannot be resumed is reopened less often, because all lists are read after it.
    const leastMs = lastEventId === null ? BACKOFF_MS.first : LEAST_RETRY_MS;
    const backoff = backoffMs(BACKOFF_MS, ++tries);
    const retryMs = how === "ended" && serversRetryMs !== null ? Math.max(leastMs, serversRetryMs) : backoff;
    timer = clock.setTimer(Math.min(BACKOFF_MS.most, retryMs), () => {
      timer = null;
      open();
    });
  };
  open();
  return {
    [Symbol.dispose]() {
      disposed = true;
      timer?.[Symbol.dispose]();
      outgoing?.destroy();
    },
  };
}
