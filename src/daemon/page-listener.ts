// The page's own HTTP listener, opened while the gateway does not listen: from the first `open` to the end of the last session.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Access } from "../api/http/access.ts";
import type { Listener } from "../gateway/frontend/http/listener.ts";
import { errorText } from "../runtime/errors.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import { connectionLimit } from "../runtime/process/connection-limit.ts";
import type { Timer } from "../runtime/time/clock.ts";

/** Maximum number of connections: a browser opens a few, and keeps one for events. */
const CONNECTION_LIMIT = { most: 64, share: 1 / 32 };
/**
 * Maximum time between two checks whether the sessions have ended, ms. Sessions end by the wall clock, which
 * may jump.
 */
const CHECK_MS = 60_000;

interface PageListenerParts extends RuntimeTools {
  /** Answers the request; returns false if there is nothing at its path. */
  readonly take: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly access: Access;
}

export class PageListener implements AsyncDisposable {
  readonly #parts: PageListenerParts;
  #listener: Promise<Listener> | null = null;
  #timer: Timer | null = null;

  constructor(parts: PageListenerParts) {
    this.#parts = parts;
  }

  /**
   * The page's address. Starts to listen if needed, on the page's previous port if that is free. Rejects with
   * `listen_failed`.
   */
  async url(): Promise<string> {
    const { access } = this.#parts;
    const opening = this.#listener ?? this.#open(access.pagePort ?? 0);
    this.#listener = opening;
    opening.catch(() => {
      this.#listener = null;
    });
    const listener = await opening;
    await access.keepPagePort(listener.port);
    return new URL("/", listener.url).href;
  }

  /** Closes the listener once the last session has ended; until then schedules the next check. */
  readonly check = (): void => {
    const { access, clock, logger } = this.#parts;
    this.#timer?.[Symbol.dispose]();
    const remainingMs = (access.untilMs() ?? 0) - clock.wallMs();
    if (remainingMs > 0) this.#timer = clock.setTimer(Math.min(remainingMs, CHECK_MS), this.check);
    else
      void this[Symbol.asyncDispose]()
        .then(() => access.keepPagePort(null))
        .catch((error: unknown) =>
          logger.warn("the page's listener did not end cleanly", { error: errorText(error) }),
        );
  };

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    const listener = await this.#listener?.catch(() => null);
    this.#listener = null;
    await listener?.close(0);
  }

  async #open(port: number): Promise<Listener> {
    const { take, clock, logger } = this.#parts;
    const { openListener } = await import("../gateway/frontend/http/listener.ts");
    const handler = (request: IncomingMessage, response: ServerResponse): void => {
      response.once("close", this.check);
      if (!take(request, response)) response.writeHead(404, { "Content-Length": 0 }).end();
    };
    const limit = connectionLimit(CONNECTION_LIMIT.most, CONNECTION_LIMIT.share);
    const at = { host: "127.0.0.1", handler, clock, logger, connectionLimit: limit };
    // If the port is taken by another program now, any free port is used.
    return port === 0
      ? openListener({ ...at, port })
      : openListener({ ...at, port }).catch(() => openListener({ ...at, port: 0 }));
  }
}
