// Owns one event stream over HTTP: a JSON-RPC message is an event, without ids, since nothing can be resumed.
import type { ServerResponse } from "node:http";
import type { Clock } from "../../../runtime/time/clock.ts";
import { BACKLOG_LIMIT_BYTES } from "../session/limits.ts";
import { PacedWriter } from "../session/paced-writer.ts";
import type { ListeningOutlet } from "../session/session.ts";
import type { StreamWatch, WatchedStream } from "../session/stream-watch.ts";

const HEADERS = {
  "Content-Type": "text/event-stream",
  "Cache-Control": "no-store, no-transform",
  "X-Accel-Buffering": "no",
};

interface SseStreamOptions {
  readonly response: ServerResponse;
  readonly clock: Clock;
  readonly watch: StreamWatch;
  /** Called once, whoever closed it. */
  readonly onClosed: () => void;
}

export class SseStream implements ListeningOutlet, WatchedStream {
  readonly #response: ServerResponse;
  readonly #writer: PacedWriter;
  readonly #watch: StreamWatch;
  readonly #onClosed: () => void;
  #open = true;
  #ended = false;

  /** Sends the head of the response. */
  constructor(options: SseStreamOptions) {
    const { response, clock, watch, onClosed } = options;
    this.#response = response;
    this.#watch = watch;
    this.#onClosed = onClosed;
    this.#writer = new PacedWriter(response, clock);
    response.once("close", this.#close);
    response.on("error", this.#close);
    watch.add(this);
    response.writeHead(200, HEADERS);
    response.flushHeaders();
  }

  get congested(): Promise<void> | null {
    return this.#open ? this.#writer.congested : null;
  }

  send(json: string): boolean {
    if (!this.#open || this.#ended || this.#response.destroyed) return false;
    if (this.#writer.backlog > BACKLOG_LIMIT_BYTES) {
      this.destroy();
      return false;
    }
    this.sendAnyway(json);
    return true;
  }

  /** However much is unread: for results, which are as large as they are. */
  sendAnyway(json: string): void {
    if (this.#open && !this.#ended) this.#writer.write(`event: message\ndata: ${json}\n\n`);
  }

  /** Ends it once what was sent is written. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#writer.end();
    this.#told();
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
    this.#watch.delete(this);
    this.#writer.destroy();
    this.#told();
  };

  #toldOnce = false;
  #told(): void {
    if (this.#toldOnce) return;
    this.#toldOnce = true;
    this.#onClosed();
  }
}
