// The sessions of one link over HTTP+SSE, the transport of 2024-11-05: messages go out by POST, all answers come on one
// event stream, and a session ends with its stream.

import { ShortLivedSet } from "../../../../runtime/short-lived.ts";
import { isJsonObject, isRpcId, type RpcId, type RpcMessage } from "../../../json-rpc.ts";
import {
  type TransportEvents,
  type TransportFailure,
  tooLong,
  transportFailure,
} from "../backend-transport.ts";
import { signing } from "../transport-authorization.ts";
import { readEvents, requestEvents } from "./body.ts";
import type { OutgoingRequest, Response } from "./connections.ts";
import type { SentRequest, TransportContext } from "./exchange.ts";

export class SseSession implements Disposable {
  /** The link's context, for messages that are posted to `endpoint`. */
  readonly context: TransportContext;
  readonly #onNone: () => void;
  /** Ids of requests without an answer. */
  readonly #waiting = new ShortLivedSet<RpcId>();
  readonly #outer: TransportEvents;
  #stream: ReturnType<typeof openEndpointStream> | null = null;
  #disposed = false;

  /**
   * Calls `onNone` if the address has no event stream that names an endpoint: the server does not speak HTTP+SSE
   * then.
   */
  constructor(context: TransportContext, onNone: () => void) {
    const { events: outer } = context;
    this.#onNone = onNone;
    this.#outer = outer;
    this.context = {
      ...context,
      events: {
        ...outer,
        onMessage: (message, streamOf) => {
          if (isJsonObject(message) && !("method" in message) && isRpcId(message["id"]))
            this.#waiting.delete(message["id"]);
          return outer.onMessage(message, streamOf);
        },
        onRequestFailed: (id, failure) => {
          if (this.#waiting.delete(id)) outer.onRequestFailed(id, failure);
        },
      },
    };
  }

  /** The path that takes messages; null: the session has ended with its stream, or the stream has not named it yet. */
  get endpoint(): string | null {
    return this.#stream?.endpoint ?? null;
  }

  /**
   * Begins a session; `post` sends its `initialize`, which fails with `otherwise` if there is no event
   * stream.
   */
  begin({ id }: Pick<SentRequest, "id">, post: () => void, otherwise: TransportFailure): void {
    this.end();
    this.#waiting.add(id);
    this.#stream = openEndpointStream(this.context, {
      onReady: post,
      onMessage: (message) => this.context.events.onMessage(message, null),
      onEnded: (failure) => {
        const wasOpen = this.endpoint !== null;
        this.#stream = null;
        for (const waiting of this.#waiting)
          this.context.events.onRequestFailed(waiting, failure ?? otherwise);
        if (wasOpen) this.#outer.onSuspect();
        else if (failure === null) this.#onNone();
      },
    });
  }

  /**
   * Called before a message is sent. Returns false if the message cannot be sent; the failure of a request is then
   * reported later.
   */
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
    const failure = transportFailure(
      "session_lost",
      `${origin} has ended the stream, and our session with it`,
    );
    if (id !== null) setImmediate(() => this.context.events.onRequestFailed(id, failure));
    return false;
  }

  /** Ends the session; its requests without an answer fail. */
  end(): void {
    this.#stream?.[Symbol.dispose]();
    this.#stream = null;
    const lost = [...this.#waiting];
    this.#waiting.clear();
    const failure = transportFailure("session_lost", "another session was begun");
    setImmediate(() => {
      for (const id of lost) if (!this.#disposed) this.#outer.onRequestFailed(id, failure);
    });
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#waiting.clear();
    this.#stream?.[Symbol.dispose]();
    this.#stream = null;
  }
}

// The event stream (GET) of an HTTP+SSE server: its first event names the endpoint that takes messages, and all messages
// of the server come on it.

/** Time for the first event. */
const ENDPOINT_MS = 5_000;
const FIRST_EVENT_BYTES = 4_096;

interface EndpointStreamEvents {
  /** `endpoint` takes messages from now on. */
  onReady(): void;
  onMessage(message: unknown): Promise<void> | null;
  /** Called once, as the last event, unless the stream was disposed. Null: the address has no such stream. */
  onEnded(failure: TransportFailure | null): void;
}

/** Connects. Calls no handler of `handlers` before it returns. */
function openEndpointStream(context: TransportContext, handlers: EndpointStreamEvents) {
  const { target, authorization, clock, events, clean, limitBytes } = context;
  let endpoint: string | null = null;
  let outgoing: OutgoingRequest | null = null;
  let isOver = false;

  const dispose = (): void => {
    isOver = true;
    timer[Symbol.dispose]();
    outgoing?.destroy();
  };
  const end = (failure: TransportFailure | null): void => {
    if (isOver) return;
    dispose();
    handlers.onEnded(failure);
  };
  const request = (): void => {
    if (isOver) return;
    outgoing = requestEvents(
      target,
      {},
      {
        onOpen: read,
        onRefused: (status, challenge) => {
          const message = `${target.origin} answered HTTP ${status}`;
          const failure = transportFailure("refused", message, "check the credentials in `headers`");
          const isUnauthorized = status === 401 || status === 403;
          signed.refused(status, challenge, () => end(isUnauthorized ? failure : null));
        },
        onFailed: end,
      },
    );
  };
  const read = (response: Response): void => {
    let unknownBytes = 0;
    readEvents(response, limitBytes, {
      onMessage: (message) => {
        if (isOver) return null;
        if (endpoint !== null) return handlers.onMessage(message);
        end(null);
        return null;
      },
      onGarbage: (text) => {
        if (endpoint === null) end(null);
        else if (!isOver) events.onLogLine(clean(text));
      },
      onOther: ({ type, data }) => {
        if (isOver) return;
        if (type === "endpoint") name(data);
        else if (endpoint === null) end(null);
      },
      onPiece: (bytes) => {
        unknownBytes += bytes;
        if (endpoint === null && unknownBytes > FIRST_EVENT_BYTES) end(null);
      },
      onEnd: (how) => {
        const broken = transportFailure("closed", `${target.origin} ended its stream before the answer came`);
        if (endpoint === null) end(null);
        else end(how === "overlong" ? tooLong(limitBytes) : broken);
      },
    });
  };
  const name = (data: string): void => {
    const url = URL.parse(data, target.origin + target.path);
    if (url === null || url.origin !== target.origin) {
      const where = url === null ? "no address" : clean(url.origin);
      const message = `${target.origin} takes messages at another origin (${where}), to which nothing is sent`;
      const hint =
        "check `url`; behind a proxy the server must name its endpoint without a host, or by the proxy's";
      end(transportFailure("refused", message, hint));
      return;
    }
    const isFirst = endpoint === null;
    endpoint = url.pathname + url.search;
    timer[Symbol.dispose]();
    if (isFirst) handlers.onReady();
  };
  const timer = clock.setTimer(ENDPOINT_MS, () => end(null));
  const signed = signing(authorization, request, end);
  signed.start();
  return {
    /** Path and query on the server's own origin; null: the server has not named them yet. */
    get endpoint() {
      return endpoint;
    },
    [Symbol.dispose]: dispose,
  };
}
