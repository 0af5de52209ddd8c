// MCP over a byte stream to another machine's gateway, as lines of JSON in both directions.
import type { Duplex } from "node:stream";
import { type Clock, settledWithin } from "../../../../runtime/time/clock.ts";
import type { RpcMessage } from "../../../json-rpc.ts";
import {
  type BackendLink,
  type CleanLine,
  createLineCleaner,
  LIMIT_BYTES,
  type LinkEvents,
  type LinkFailure,
  linkFailure,
  linkText,
  type OpenLink,
} from "../backend-link.ts";
import { createMessageReader, type MessageReader } from "../stdio/message-reader.ts";

/** Time for the other side to end its direction after we have ended ours. */
const CLOSE_MS = 1_000;

export interface StreamEnd {
  readonly message: string;
  readonly hint: string | null;
  /** The other side was connected, so it may have done the work. */
  readonly wasReached: boolean;
}

/** Opens a stream. `onEnd` is called once, never synchronously, if the stream fails. */
export type OpenStream = (onEnd: (end: StreamEnd) => void) => Duplex;

interface StreamLinkOptions {
  readonly open: OpenStream;
  readonly clock: Clock;
}

export function openStreamLink(options: StreamLinkOptions): OpenLink {
  return (events) => new StreamLink(options, events);
}

class StreamLink implements BackendLink {
  readonly pid = null;
  readonly #clock: Clock;
  readonly #events: LinkEvents;
  readonly #stream: Duplex;
  readonly #messages: MessageReader;
  readonly #clean: CleanLine = createLineCleaner([]);
  readonly #gone = Promise.withResolvers<void>();
  #closing: Promise<void> | null = null;
  #isOver = false;
  /** Why the stream has ended; reported when the receiver has taken the messages that came before. */
  #failure: LinkFailure | null = null;

  constructor({ open, clock }: StreamLinkOptions, events: LinkEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#stream = open(({ message, hint, wasReached }) =>
      this.#end(linkFailure(wasReached ? "closed" : "unreachable", message, hint)),
    );
    this.#messages = createMessageReader(this.#stream, LIMIT_BYTES, clock, {
      onMessage: (message) => events.onMessage(message, null),
      onNoise: (line) => events.onLogLine(this.#clean(line)),
      onRequestFailed: (id, failure) => events.onRequestFailed(id, failure),
      onOddity: (oddity) => events.onOddity(oddity),
      onFailure: (failure) => this.#end(failure),
      onSettled: () => {
        if (this.#failure !== null) this.#report(this.#failure);
      },
    });
    this.#stream.on("error", () => {});
    this.#stream.once("end", () => this.#end(linkFailure("closed", "it ended the connection")));
    this.#stream.once("close", () => {
      this.#gone.resolve();
      this.#end(linkFailure("closed", "the connection was closed"));
    });
  }

  get backlogBytes(): number {
    return this.#stream.writableLength;
  }

  send(message: RpcMessage): void {
    const isOpen = (): boolean => !this.#isOver && this.#closing === null;
    if (!isOpen() || !this.#stream.writable) return;
    const json = linkText(message, this.backlogBytes > LIMIT_BYTES, this.#events, isOpen);
    if (json !== null) this.#stream.write(Buffer.from(`${json}\n`));
  }

  established(): void {}

  close(): Promise<void> {
    this.#closing ??= this.#endInOrder();
    return this.#closing;
  }

  #end(failure: LinkFailure): void {
    if (this.#isOver || this.#closing !== null || this.#failure !== null) return;
    this.#failure = failure;
    if (!this.#messages.isHeld) this.#report(failure);
  }

  #report(failure: LinkFailure): void {
    if (this.#isOver || this.#closing !== null) return;
    this.#isOver = true;
    this.#messages.stop();
    this.#stream.destroy();
    this.#events.onClosed(failure);
  }

  async #endInOrder(): Promise<void> {
    this.#messages.stop();
    this.#stream.end();
    // Reads the remaining data, because the stream reports that the other side has ended it only after all data was
    // read.
    this.#stream.resume();
    if (!this.#stream.destroyed) await settledWithin(this.#clock, CLOSE_MS, this.#gone.promise);
    this.#stream.destroy();
  }
}
