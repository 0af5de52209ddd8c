// The sessions of one link over the older transport, HTTP+SSE of 2024-11-05: messages go out by POST, and all answers
// come on one stream. A session ends with its stream.

import { FleetingSet } from "../../../../runtime/fleeting.ts";
import type { Timer } from "../../../../runtime/time/clock.ts";
import { isJsonObject, isRpcId, type RpcId, type RpcMessage } from "../../../json-rpc.ts";
import { type LinkEvents, type LinkFailure, linkFailure } from "../backend-link.ts";
import { type Credential, isCredential, NO_CREDENTIAL } from "../link-authorization.ts";
import { askForEvents, readEvents } from "./body.ts";
import type { Asked, Response } from "./connections.ts";
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
  readonly #waiting = new FleetingSet<RpcId>();
  readonly #outer: LinkEvents;
  #stream: EndpointStream | null = null;

  constructor(context: LinkContext, events: OlderSessionEvents) {
    const { events: outer } = context;
    this.#events = events;
    this.#outer = outer;
    this.context = {
      ...context,
      events: {
        ...outer,
        onMessage: (message, streamOf) => {
          this.#settle(message);
          return outer.onMessage(message, streamOf);
        },
        onRequestFailed: (id, failure) => {
          if (this.#waiting.delete(id)) outer.onRequestFailed(id, failure);
        },
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
    for (const id of this.#waiting) this.context.events.onRequestFailed(id, failure);
  }
}

// The stream of a server of the older transport, HTTP+SSE of 2024-11-05 (GET): its first event names the address that
// takes messages, and all that the server says comes on it.

/** For the first event, once messages were refused or the last stream has ended. */
const ENDPOINT_MS = 5_000;
const FIRST_EVENT_BYTES = 4_096;

interface EndpointStreamEvents {
  /** Messages are taken at `endpoint` now. */
  onReady(): void;
  onMessage(message: unknown): Promise<void> | null;
  /** Once, unless it was disposed; null: there is no such stream. Nothing comes after it. */
  onEnded(failure: LinkFailure | null): void;
}

class EndpointStream implements Disposable {
  /** Path and query, of the server's own origin; null: it has not been named yet. */
  endpoint: string | null = null;
  readonly #context: LinkContext;
  readonly #events: EndpointStreamEvents;
  readonly #timer: Timer;
  #asked: Asked | null = null;
  #isOver = false;
  /** It was asked for again with another credential. */
  #signedAnew = false;

  /** Calls nothing back synchronously. */
  constructor(context: LinkContext, events: EndpointStreamEvents) {
    this.#context = context;
    this.#events = events;
    this.#timer = context.clock.setTimer(ENDPOINT_MS, () => this.#end(null));
    const { authorization } = context;
    const current = authorization === null ? NO_CREDENTIAL : authorization.current;
    if (current !== null) this.#ask(current);
    else {
      void authorization?.obtain().then((outcome) => {
        if (isCredential(outcome)) this.#ask(outcome);
        else this.#end(outcome);
      });
    }
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer[Symbol.dispose]();
    this.#asked?.destroy();
  }

  #end(failure: LinkFailure | null): void {
    if (this.#isOver) return;
    this[Symbol.dispose]();
    this.#events.onEnded(failure);
  }

  #ask(carried: Credential): void {
    if (this.#isOver) return;
    const { target } = this.#context;
    this.#asked = askForEvents(
      target,
      {},
      {
        onOpen: (response) => {
          if (this.#isOver) response.destroy();
          else this.#read(response);
        },
        onRefused: (status, challenge) => {
          if (status === 401 || status === 403) this.#onUnauthorized(status, challenge, carried);
          else this.#end(null);
        },
        onFailed: (failure) => this.#end(failure),
      },
    );
    // A header that cannot be sent has failed the message, too.
    if (this.#asked === null) setImmediate(() => this.#end(null));
  }

  #onUnauthorized(status: 401 | 403, challenge: string | null, carried: Credential): void {
    const { authorization, target } = this.#context;
    const refused = linkFailure(
      "refused",
      `${target.origin} answered HTTP ${status}`,
      "check the credentials in `headers`",
    );
    if (authorization === null) {
      this.#end(refused);
      return;
    }
    void authorization.refused({ status, challenge, carried }).then((outcome) => {
      if (outcome === null || (isCredential(outcome) && this.#signedAnew)) this.#end(refused);
      else if (isCredential(outcome)) {
        this.#signedAnew = true;
        this.#ask(outcome);
      } else this.#end(outcome);
    });
  }

  #read(response: Response): void {
    const { events, clean, responseLimitBytes } = this.#context;
    let unknownBytes = 0;
    readEvents(response, responseLimitBytes, {
      onMessage: (message) => {
        if (this.#isOver) return null;
        if (this.endpoint !== null) return this.#events.onMessage(message);
        this.#end(null);
        return null;
      },
      onGarbage: (text) => {
        if (this.endpoint === null) this.#end(null);
        else if (!this.#isOver) events.onLogLine(clean(text));
      },
      onOther: ({ type, data }) => {
        if (this.#isOver) return;
        if (type === "endpoint") this.#name(data);
        else if (this.endpoint === null) this.#end(null);
      },
      onPiece: (bytes) => {
        unknownBytes += bytes;
        if (this.endpoint === null && unknownBytes > FIRST_EVENT_BYTES) this.#end(null);
      },
      onEnd: (end) => this.#end(this.endpoint === null ? null : this.#ended(end === "overlong")),
    });
  }

  #name(data: string): void {
    const { target, clean } = this.#context;
    const url = URL.parse(data, target.origin + target.path);
    if (url === null || url.origin !== target.origin) {
      const where = url === null ? "no address" : clean(url.origin);
      const message = `${target.origin} takes messages at another origin (${where}), to which nothing is sent`;
      const hint =
        "check `url`; behind a proxy the server must name its endpoint without a host, or by the proxy's";
      this.#end(linkFailure("refused", message, hint));
      return;
    }
    const isFirst = this.endpoint === null;
    this.endpoint = url.pathname + url.search;
    this.#timer[Symbol.dispose]();
    if (isFirst) this.#events.onReady();
  }

  #ended(isOverlong: boolean): LinkFailure {
    const { target, responseLimitBytes } = this.#context;
    return isOverlong
      ? linkFailure("overloaded", `it sent a message of more than ${responseLimitBytes} bytes`)
      : linkFailure("closed", `${target.origin} ended its stream before the answer came`);
  }
}
