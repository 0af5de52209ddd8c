// The stream of a server of the older transport, HTTP+SSE of 2024-11-05 (GET): its first event names the address that
// takes messages, and all that the server says comes on it.
import type { IncomingMessage } from "node:http";
import type { Timer } from "../../../../runtime/time/clock.ts";
import { type LinkFailure, linkFailure } from "../backend-link.ts";
import { type Credential, isCredential, NO_CREDENTIAL } from "../link-authorization.ts";
import { askForEvents, readEvents } from "./body.ts";
import type { LinkContext } from "./exchange.ts";
import type { Asked } from "./target.ts";

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

export class EndpointStream implements Disposable {
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
    this.#asked?.request.destroy();
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

  #read(response: IncomingMessage): void {
    const { events, clean, responseLimitBytes } = this.#context;
    let unknownBytes = 0;
    const bound = (chunk: Buffer): void => {
      unknownBytes += chunk.length;
      if (this.endpoint !== null) response.off("data", bound);
      else if (unknownBytes > FIRST_EVENT_BYTES) this.#end(null);
    };
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
      onEnd: (end) => this.#end(this.endpoint === null ? null : this.#ended(end === "overlong")),
    });
    response.on("data", bound);
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
