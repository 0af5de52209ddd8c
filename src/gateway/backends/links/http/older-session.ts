// The sessions of one link over the older transport, HTTP+SSE of 2024-11-05: messages go out by POST, and all answers
// come on one stream. A session ends with its stream.
import type { RpcId, RpcMessage } from "../../../json-rpc.ts";
import { isJsonObject, isRpcId } from "../../../json-rpc.ts";
import { type LinkEvents, type LinkFailure, linkFailure } from "../backend-link.ts";
import { EndpointStream } from "./endpoint-stream.ts";
import type { LinkContext } from "./exchange.ts";

interface OlderSessionEvents {
  /** There is none: nothing at the address names an endpoint. */
  onNone(): void;
  /** The link is: nothing is told once it is closed. */
  isOpen(): boolean;
}

/** A message and what to do with it. */
interface Opening {
  readonly id: RpcId;
  /** The stream is there, and it can be posted. */
  readonly post: () => void;
  /** Why it fails if there is no such stream. */
  readonly otherwise: LinkFailure;
}

export class OlderSession implements Disposable {
  /** As the link's, for messages that are posted to `endpoint`. */
  readonly context: LinkContext;
  readonly #events: OlderSessionEvents;
  /** Requests without an answer. */
  readonly #waiting = new Set<RpcId>();
  readonly #outer: LinkEvents;
  #stream: EndpointStream | null = null;

  constructor(context: LinkContext, events: OlderSessionEvents) {
    const { events: outer } = context;
    this.#events = events;
    this.#outer = outer;
    this.context = {
      ...context,
      events: {
        onMessage: (message, streamOf) => {
          this.#settle(message);
          return outer.onMessage(message, streamOf);
        },
        onRequestFailed: (id, failure) => {
          if (this.#waiting.delete(id)) outer.onRequestFailed(id, failure);
        },
        onDoubt: () => outer.onDoubt(),
        onGap: () => outer.onGap(),
        onClosed: (failure) => outer.onClosed(failure),
        onLogLine: (line) => outer.onLogLine(line),
      },
    };
  }

  /** Where messages go; null: the stream has ended, and with it the session. */
  get endpoint(): string | null {
    return this.#stream?.endpoint ?? null;
  }

  /** Begins a session. */
  begin({ id, post, otherwise }: Opening): void {
    this.end();
    this.#waiting.add(id);
    this.#stream = new EndpointStream(this.context, {
      onReady: post,
      onMessage: (message) => this.context.events.onMessage(message, null),
      onEnded: (failure) => {
        const wasOpen = this.endpoint !== null;
        this.#stream = null;
        this.#fail(failure ?? otherwise);
        if (wasOpen) this.#outer.onDoubt();
        else if (failure === null) this.#events.onNone();
      },
    });
  }

  /** False: it cannot be sent, and if it is a request, that it failed is told soon. */
  expects(message: RpcMessage): boolean {
    if (!("method" in message)) return this.endpoint !== null;
    const id = "id" in message ? message.id : null;
    if (message.method === "notifications/cancelled") {
      const { requestId } = message.params ?? {};
      if (isRpcId(requestId)) this.#waiting.delete(requestId);
    }
    if (id !== null) this.#waiting.add(id);
    if (this.endpoint !== null) return true;
    const { origin } = this.context.target;
    const failure = linkFailure("session_lost", `${origin} has ended the stream, and our session with it`);
    if (id !== null) setImmediate(() => this.context.events.onRequestFailed(id, failure));
    return false;
  }

  /** What waits for an answer gets none. */
  end(): void {
    this.#stream?.[Symbol.dispose]();
    this.#stream = null;
    const lost = [...this.#waiting];
    this.#waiting.clear();
    const failure = linkFailure("session_lost", "another session was begun");
    setImmediate(() => {
      for (const id of lost) if (this.#events.isOpen()) this.#outer.onRequestFailed(id, failure);
    });
  }

  [Symbol.dispose](): void {
    this.#waiting.clear();
    this.#stream?.[Symbol.dispose]();
    this.#stream = null;
  }

  #settle(message: unknown): void {
    if (!isJsonObject(message) || "method" in message) return;
    const { id } = message;
    if (isRpcId(id)) this.#waiting.delete(id);
  }

  #fail(failure: LinkFailure): void {
    for (const id of [...this.#waiting]) this.context.events.onRequestFailed(id, failure);
  }
}
