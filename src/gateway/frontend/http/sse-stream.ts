// A server-sent event stream over HTTP: one event for each JSON-RPC message.
import type { ServerResponse } from "node:http";
import type { Clock } from "../../../runtime/time/clock.ts";
import { BACKLOG_LIMIT_BYTES } from "../session/client-stream.ts";
import { type KeepAlive, type PacedStream, PacedWriter } from "../session/paced-writer.ts";
import type { ListeningStream } from "../session/session.ts";

const HEADERS = {
  "Content-Type": "text/event-stream",
  "Cache-Control": "no-store, no-transform",
  "X-Accel-Buffering": "no",
};

/** Counts the bytes of a response that its client has not read. */
export const unreadOf = new WeakMap<ServerResponse, (bytes: number) => void>();

export interface StreamParts {
  readonly clock: Clock;
  readonly keepAlive: KeepAlive;
}

export class SseStream implements ListeningStream, PacedStream {
  readonly #response: ServerResponse;
  readonly #writer: PacedWriter;
  readonly #keepAlive: KeepAlive;
  #onClosed: () => void;
  #open = true;
  #ended = false;

  /** Sends the head of the response. `onClosed` is called once, whichever side closes the stream. */
  constructor({ clock, keepAlive }: StreamParts, response: ServerResponse, onClosed: () => void) {
    this.#response = response;
    this.#keepAlive = keepAlive;
    this.#onClosed = onClosed;
    this.#writer = new PacedWriter(response, clock, unreadOf.get(response));
    response.once("close", this.#close);
    response.on("error", this.#close);
    keepAlive.add(this);
    response.writeHead(200, HEADERS);
    response.flushHeaders();
  }

  get congested(): Promise<void> | null {
    return this.#open ? this.#writer.congested : null;
  }

  /** Bytes (of short texts: characters) that the client has not read yet. */
  get backlog(): number {
    return this.#writer.backlog;
  }

  /** Sends an event that is not a message. `lines`: the text of the event without the empty line at the end. */
  sendEvent(lines: string): void {
    if (this.#open && !this.#ended) this.#writer.write(`${lines}\n\n`);
  }

  /** `head`: lines of the event before the message. */
  send(json: string, head = ""): boolean {
    if (!this.#open || this.#ended || this.#response.destroyed) return false;
    if (this.#writer.backlog > BACKLOG_LIMIT_BYTES) {
      this.destroy();
      return false;
    }
    this.sendAnyway(json, head);
    return true;
  }

  /** Sends even if much is unread: results have no size limit. */
  sendAnyway(json: string, head = ""): void {
    if (this.#open && !this.#ended) this.#writer.write(`${head}event: message\ndata: ${json}\n\n`);
  }

  /** Ends the stream once everything is written. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#writer.end();
    this.#notifyClosed();
  }

  stalled(limitMs: number): boolean {
    return this.#writer.stalled(limitMs);
  }

  keepAlive(): void {
    if (!this.#ended && this.#writer.backlog === 0) this.#writer.write(": \n\n");
  }

  destroy(): void {
    this.#writer.destroy();
    this.#close();
  }

  readonly #close = (): void => {
    if (!this.#open) return;
    this.#open = false;
    this.#keepAlive.delete(this);
    this.#writer.destroy();
    this.#notifyClosed();
  };

  #notifyClosed(): void {
    const onClosed = this.#onClosed;
    this.#onClosed = () => {};
    onClosed();
  }
}
