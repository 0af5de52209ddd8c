// Owns MCP over streamable HTTP, from the client's side: the session, the order of messages where it matters, the
// server's own stream, and the end.
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { type Clock, settledWithin, type Timer } from "../../../../runtime/time/clock.ts";
import type { RpcId, RpcMessage } from "../../../json-rpc.ts";
import type { BackendLink, LinkEvents, OpenLink } from "../backend-link.ts";
import { closedLink } from "../closed-link.ts";
import { createLineCleaner } from "../line-cleaner.ts";
import { linkText } from "../link-text.ts";
import { type Exchange, type ExchangeContext, startExchange } from "./exchange.ts";
import { openServerStream } from "./server-stream.ts";
import { createHttpTarget, type HttpTarget } from "./target.ts";

const LIMIT_BYTES = 64 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 5_000;
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
  /** Never appear in log lines and failures. */
  readonly secrets?: readonly string[];
  /** Default 5 s. */
  readonly connectTimeoutMs?: number;
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
    const target = createHttpTarget({
      url: options.url,
      headers: options.headers,
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      clock: options.clock,
    });
    return "kind" in target ? closedLink(target, events) : runLink(target, options, events);
  };
}

interface Waiting {
  readonly message: RpcMessage;
  readonly text: string;
}

function runLink(target: HttpTarget, options: HttpLinkOptions, events: LinkEvents): BackendLink {
  const { clock } = options;
  const backlogLimitBytes = options.backlogLimitBytes ?? LIMIT_BYTES;
  const responseLimitBytes = options.responseLimitBytes ?? LIMIT_BYTES;
  const exchanges = new Set<Exchange>();
  const timers = new Set<Timer>();
  let backlogBytes = 0;
  let sessionId: string | null = null;
  let version: string | null = null;
  let headers = postHeaders();
  /** While notifications/initialized is on its way; what comes after it waits here. */
  let waiting: Waiting[] | null = null;
  let serverStream: Disposable | null = null;
  let closing: Promise<void> | null = null;

  function sessionHeaders(): OutgoingHttpHeaders {
    const own: OutgoingHttpHeaders = {};
    if (sessionId !== null) own["mcp-session-id"] = sessionId;
    if (version !== null) own["mcp-protocol-version"] = version;
    return own;
  }
  function postHeaders(): OutgoingHttpHeaders {
    return {
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      ...sessionHeaders(),
    };
  }

  const context: ExchangeContext = {
    target,
    clock,
    // What comes after `close` is told to nobody.
    events: {
      onMessage: (message, streamOf) => (closing === null ? events.onMessage(message, streamOf) : null),
      onRequestFailed(id, failure) {
        if (closing === null) events.onRequestFailed(id, failure);
      },
      onDoubt() {
        if (closing === null) events.onDoubt();
      },
      onGap() {
        if (closing === null) events.onGap();
      },
      onClosed: () => {},
      onLogLine(line) {
        if (closing === null) events.onLogLine(line);
      },
    },
    responseLimitBytes,
    clean: createLineCleaner(options.secrets ?? []),
    onSession(given) {
      sessionId = given;
      headers = postHeaders();
    },
  };

  const after = (delayMs: number, callback: () => void): Disposable => {
    const timer = clock.setTimer(delayMs, () => {
      timers.delete(timer);
      callback();
    });
    timers.add(timer);
    return {
      [Symbol.dispose]() {
        timers.delete(timer);
        timer[Symbol.dispose]();
      },
    };
  };

  const closeStream = (): void => {
    serverStream?.[Symbol.dispose]();
    serverStream = null;
  };
  const openStream = (): void => {
    if (closing !== null || version === null || serverStream !== null) return;
    serverStream = openServerStream({
      target,
      clock,
      headers: { accept: "text/event-stream", ...sessionHeaders() },
      responseLimitBytes,
      onMessage: (message) => context.events.onMessage(message, null),
      onGarbage: (text) => context.events.onLogLine(context.clean(text)),
      onRefused: () => context.events.onDoubt(),
      onGap: () => context.events.onGap(),
    });
  };

  const letGo = (): void => {
    const released = waiting;
    if (released === null) return;
    waiting = null;
    for (const next of released) postInOrder(next.message, next.text);
    openStream();
  };

  const giveUp = (requestId: unknown): void => {
    for (const exchange of exchanges) {
      if (exchange.id === requestId) after(CANCELLED_MS, () => exchange.abort());
    }
  };

  const post = (message: RpcMessage, text: string): void => {
    const method = "method" in message ? message.method : null;
    if (method === "initialize") {
      sessionId = null;
      version = null;
      headers = postHeaders();
      closeStream();
    }
    let wait: Disposable | null = null;
    if (method === "notifications/initialized") {
      waiting = [];
      wait = after(INITIALIZED_MS, letGo);
    } else if (method === "notifications/cancelled" && "params" in message) {
      giveUp(message.params?.["requestId"]);
    }
    const exchange = startExchange(context, {
      message,
      text,
      headers,
      sessionId,
      onTaken() {
        backlogBytes -= text.length;
      },
      onDone() {
        exchanges.delete(exchange);
        if (wait === null || closing !== null) return;
        wait[Symbol.dispose]();
        letGo();
      },
    });
    exchanges.add(exchange);
  };

  const postInOrder = (message: RpcMessage, text: string): void => {
    if (waiting === null) post(message, text);
    else waiting.push({ message, text });
  };

  const refuse = (id: RpcId): void => {
    setImmediate(() =>
      context.events.onRequestFailed(id, {
        kind: "overloaded",
        message: "it does not read its input: too much is waiting for it",
        hint: null,
      }),
    );
  };

  const deleteSession = async (): Promise<void> => {
    if (sessionId === null) return;
    const ended = Promise.withResolvers<void>();
    const onResponse = (response: IncomingMessage): void => {
      response.on("error", () => {});
      response.resume();
      ended.resolve();
    };
    const { request } = target.ask("DELETE", sessionHeaders(), onResponse);
    request.on("error", () => ended.resolve());
    request.end();
    await settledWithin(clock, DELETE_MS, ended.promise);
  };
  const end = async (): Promise<void> => {
    closeStream();
    for (const timer of timers) timer[Symbol.dispose]();
    waiting = null;
    for (const exchange of [...exchanges]) exchange.abort();
    try {
      await deleteSession();
    } catch {
      // A session id that cannot be sent back cannot be deleted either.
    }
    target.destroy();
  };

  return {
    pid: null,
    get backlogBytes() {
      return backlogBytes;
    },
    send(message) {
      if (closing !== null) return;
      if (backlogBytes > backlogLimitBytes) {
        if ("method" in message && "id" in message) refuse(message.id);
        return;
      }
      const text = linkText(message, events, () => closing === null);
      if (text === null) return;
      backlogBytes += text.length;
      postInOrder(message, text);
    },
    established(spoken) {
      version = spoken;
      headers = postHeaders();
      // After notifications/initialized, which the caller sends right after this: some servers refuse it before.
      setImmediate(() => {
        if (waiting === null) openStream();
      });
    },
    close() {
      closing ??= end();
      return closing;
    },
  };
}
