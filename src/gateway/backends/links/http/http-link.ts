// MCP over HTTP, from the client's side: the session, the order of messages where it matters, the server's own stream,
// and the end. Streamable HTTP, and HTTP+SSE where the server speaks nothing newer.
import type { OutgoingHttpHeaders } from "node:http";
import { type Clock, settledWithin, type Timer } from "../../../../runtime/time/clock.ts";
import { isJsonObject, type RpcId, type RpcMessage } from "../../../json-rpc.ts";
import {
  type BackendLink,
  type LinkEvents,
  type LinkFailure,
  linkFailure,
  type OpenLink,
  type StatelessSender,
} from "../backend-link.ts";
import { closedLink } from "../closed-link.ts";
import { createLineCleaner } from "../line-cleaner.ts";
import type { LinkAuthorization } from "../link-authorization.ts";
import { LIMIT_BYTES, linkText } from "../link-text.ts";
import { discard } from "./body.ts";
import { Exchange, type LinkContext, type Unanswered } from "./exchange.ts";
import { OlderSession } from "./older-session.ts";
import { ServerStream } from "./server-stream.ts";
import { createHttpTarget, type HttpTarget } from "./target.ts";

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
  readonly #exchanges = new Set<Exchange>();
  readonly #timers = new Set<Timer>();
  #sessionId: string | null = null;
  #version: string | null = null;
  #headers: OutgoingHttpHeaders = {};
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

  #sessionHeaders(): OutgoingHttpHeaders {
    const own: OutgoingHttpHeaders = {};
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
      this.#timers.delete(wait);
      this.#letGo();
    });
  }

  /** `way`: the session of the older transport that it belongs to; null: none; "stateless": it is of no session. */
  #exchange(
    message: RpcMessage,
    text: string,
    headers: OutgoingHttpHeaders,
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
    for (const exchange of [...this.#exchanges]) if (exchange.id === id) exchange.abort();
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
    for (const exchange of [...this.#exchanges]) exchange.abort();
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
    const { request } = target.ask("DELETE", this.#sessionHeaders(), (response) => {
      discard(response);
      ended.resolve();
    });
    request.on("error", () => ended.resolve());
    request.end();
    await settledWithin(clock, DELETE_MS, ended.promise);
  }
}

/** The trace that a message belongs to, by its `_meta`, stands in the headers, too: whoever is on the way reads only those. */
function withTrace(headers: OutgoingHttpHeaders, message: RpcMessage): OutgoingHttpHeaders {
  const meta = "params" in message ? message.params?.["_meta"] : undefined;
  if (!isJsonObject(meta)) return headers;
  const { traceparent, tracestate } = meta;
  if (typeof traceparent !== "string" || !TRACEPARENT.test(traceparent)) return headers;
  const isState = typeof tracestate === "string" && TRACESTATE.test(tracestate);
  return { ...headers, traceparent, ...(isState && { tracestate }) };
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const TRACESTATE = /^[\x20-\x7e]{1,512}$/;
