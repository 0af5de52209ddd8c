// MCP over a byte stream to another machine's gateway, as lines of JSON in both directions.
import type { Duplex } from "node:stream";
import { type Clock, settlesWithin } from "../../../../runtime/time/clock.ts";
import type { RpcMessage } from "../../../json-rpc.ts";
import {
  type BackendTransport,
  type CleanLine,
  createLineCleaner,
  LIMIT_BYTES,
  messageText,
  type OpenTransport,
  type TransportEvents,
  type TransportFailure,
  transportFailure,
} from "../backend-transport.ts";
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

interface StreamTransportOptions {
  readonly open: OpenStream;
  readonly clock: Clock;
}

export function openStreamTransport(options: StreamTransportOptions): OpenTransport {
  return (events) => new StreamTransport(options, events);
}

class StreamTransport implements BackendTransport {
  readonly pid = null;
  readonly #clock: Clock;
  readonly #events: TransportEvents;
  readonly #stream: Duplex;
  readonly #messages: MessageReader;
  readonly #clean: CleanLine = createLineCleaner([]);
  readonly #gone = Promise.withResolvers<void>();
  #closing: Promise<void> | null = null;
  #isOver = false;
  /** Why the stream has ended; reported when the receiver has taken the messages that came before. */
  #failure: TransportFailure | null = null;

  constructor({ open, clock }: StreamTransportOptions, events: TransportEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#stream = open(({ message, hint, wasReached }) =>
      this.#end(transportFailure(wasReached ? "closed" : "unreachable", message, hint)),
    );
    this.#messages = createMessageReader(this.#stream, LIMIT_BYTES, clock, {
      onMessage: (message) => events.onMessage(message, null),
      onNoise: (line) => events.onLogLine(this.#clean(line)),
      onRequestFailed: (id, failure) => events.onRequestFailed(id, failure),
      onOddity: (oddity) => events.onQuirk(oddity),
      onFailure: (failure) => this.#end(failure),
      onResumed: () => {
        if (this.#failure !== null) this.#report(this.#failure);
      },
    });
    this.#stream.on("error", () => {});
    this.#stream.once("end", () => this.#end(transportFailure("closed", "it ended the connection")));
    this.#stream.once("close", () => {
      this.#gone.resolve();
      this.#end(transportFailure("closed", "the connection was closed"));
    });
  }

  get backlogBytes(): number {
    return this.#stream.writableLength;
  }

  send(message: RpcMessage): void {
    const isOpen = (): boolean => !this.#isOver && this.#closing === null;
    if (!isOpen() || !this.#stream.writable) return;
    const json = messageText(message, this.backlogBytes > LIMIT_BYTES, this.#events, isOpen);
    if (json !== null) this.#stream.write(Buffer.from(`${json}\n`));
  }

  established(): void {}

  close(): Promise<void> {
    this.#closing ??= this.#endInOrder();
    return this.#closing;
  }

  #end(failure: TransportFailure): void {
    if (this.#isOver || this.#closing !== null || this.#failure !== null) return;
    this.#failure = failure;
    if (!this.#messages.isPaused) this.#report(failure);
  }

  #report(failure: TransportFailure): void {
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
    if (!this.#stream.destroyed) await settlesWithin(this.#clock, CLOSE_MS, this.#gone.promise);
    this.#stream.destroy();
  }
}
