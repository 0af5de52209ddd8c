// MCP over a stream of bytes that somebody else has opened, as lines of JSON both ways: to the gateway of another machine.
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
import { MessageReader } from "../stdio/message-reader.ts";

/** From the end of what is written here to that of what is read. */
const CLOSE_MS = 1_000;

/** Why a stream is over. */
export interface StreamEnd {
  readonly message: string;
  readonly hint: string | null;
  /** The other side had been there: whether it did the work is not known. */
  readonly wasReached: boolean;
}

/** Opens a stream. `onEnd` is called once, never at once, when it is over otherwise than by an end in order. */
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
  /** Why it is over, while what came before is still held by its receiver. */
  #failure: LinkFailure | null = null;

  constructor({ open, clock }: StreamLinkOptions, events: LinkEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#stream = open(({ message, hint, wasReached }) =>
      this.#end(linkFailure(wasReached ? "closed" : "unreachable", message, hint)),
    );
    this.#messages = new MessageReader(this.#stream, LIMIT_BYTES, clock, {
      onMessage: (message) => events.onMessage(message, null),
      onNoise: (line) => events.onLogLine(this.#clean(line)),
      onFailure: (failure) => this.#end(failure),
      onSettled: () => {
        if (this.#failure !== null) this.#tell(this.#failure);
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
    if (!this.#messages.isHeld) this.#tell(failure);
  }

  #tell(failure: LinkFailure): void {
    if (this.#isOver || this.#closing !== null) return;
    this.#isOver = true;
    this.#messages.stop();
    this.#stream.destroy();
    this.#events.onClosed(failure);
  }

  async #endInOrder(): Promise<void> {
    this.#messages.stop();
    this.#stream.end();
    // Read on and dropped: else its end would not be seen.
    this.#stream.resume();
    if (!this.#stream.destroyed) await settledWithin(this.#clock, CLOSE_MS, this.#gone.promise);
    this.#stream.destroy();
  }
}
