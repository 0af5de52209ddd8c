// One event stream over HTTP: each JSON-RPC message is an event, with an id where its stream can be resumed.
import type { ServerResponse } from "node:http";
import type { Clock } from "../../../runtime/time/clock.ts";
import { BACKLOG_LIMIT_BYTES } from "../session/outlet.ts";
import { type KeepAlive, type KeptStream, PacedWriter } from "../session/paced-writer.ts";
import type { ListeningOutlet } from "../session/session.ts";

const HEADERS = {
  "Content-Type": "text/event-stream",
  "Cache-Control": "no-store, no-transform",
  "X-Accel-Buffering": "no",
};

/** What streams of all connections share. */
export interface StreamParts {
  readonly clock: Clock;
  readonly keepAlive: KeepAlive;
}

export class SseStream implements ListeningOutlet, KeptStream {
  readonly #response: ServerResponse;
  readonly #writer: PacedWriter;
  readonly #keepAlive: KeepAlive;
  readonly #onClosed: () => void;
  #open = true;
  #ended = false;
  #notified = false;

  /** Sends the head of the response. `onClosed` is called once, whoever closed it. */
  constructor({ clock, keepAlive }: StreamParts, response: ServerResponse, onClosed: () => void) {
    this.#response = response;
    this.#keepAlive = keepAlive;
    this.#onClosed = onClosed;
    this.#writer = new PacedWriter(response, clock);
    response.once("close", this.#close);
    response.on("error", this.#close);
    keepAlive.add(this);
    response.writeHead(200, HEADERS);
    response.flushHeaders();
  }

  get congested(): Promise<void> | null {
    return this.#open ? this.#writer.congested : null;
  }

  /** Bytes (of short texts: characters) that the reader has not taken yet. */
  get backlog(): number {
    return this.#writer.backlog;
  }

  /** An event of other kinds than messages, as it is written. */
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

  /** However much is unread: for results, which are as large as they are. */
  sendAnyway(json: string, head = ""): void {
    if (this.#open && !this.#ended) this.#writer.write(`${head}event: message\ndata: ${json}\n\n`);
  }

  /** Ends it once what was sent is written. */
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
    if (this.#notified) return;
    this.#notified = true;
    this.#onClosed();
  }
}
