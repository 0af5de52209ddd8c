// Keeps the `subscriptions/listen` requests of a client of protocol 2026-07-28, and repeats them at the next daemon, unnoticed by
// the client.
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { idOf, type MessageId } from "./message-scan.ts";
import { listChanges, notice } from "./messages.ts";

/** Longest `subscriptions/listen` that is repeated at the next daemon; a longer one ends with its daemon. */
const STORED_LISTEN_BYTES = 64 * 1024;
const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";

interface Stream {
  /** The line that repeats the request at the next daemon; null if that line is too long. */
  readonly again: string | null;
  /** The request was repeated, and its acknowledgement is still to come. */
  isRepeated: boolean;
}

export class Listening {
  readonly #sendToClient: (json: string) => void;
  readonly #streams = new Map<MessageId, Stream>();

  constructor(sendToClient: (json: string) => void) {
    this.#sendToClient = sendToClient;
  }

  get size(): number {
    return this.#streams.size;
  }

  begin(id: MessageId, line: Buffer | null): void {
    const isStored = line !== null && line.length <= STORED_LISTEN_BYTES;
    this.#streams.set(id, { again: isStored ? line.toString("utf8").trimEnd() : null, isRepeated: false });
  }

  has(id: MessageId): boolean {
    return this.#streams.has(id);
  }

  delete(id: MessageId): boolean {
    return this.#streams.delete(id);
  }

  /** Forgets the requests that cannot be repeated, and returns them. */
  lost(): readonly MessageId[] {
    const over = [...this.#streams].filter(([, { again }]) => again === null).map(([id]) => id);
    for (const id of over) this.#streams.delete(id);
    return over;
  }

  repeat(): readonly string[] {
    const repeated: string[] = [];
    for (const stream of this.#streams.values()) {
      if (stream.again === null) continue;
      stream.isRepeated = true;
      repeated.push(stream.again);
    }
    return repeated;
  }

  /**
   * True for the acknowledgement of a repeated request. The client does not get this acknowledgement; it gets notices of
   * changed lists instead.
   */
  isAcknowledgedAgain({ _meta, notifications }: JsonMembers): boolean {
    const subscription = objectOf(_meta)[SUBSCRIPTION_ID];
    const id = idOf(subscription);
    const known = id === null ? undefined : this.#streams.get(id);
    if (known?.isRepeated !== true) return false;
    known.isRepeated = false;
    const honoured = objectOf(notifications);
    const params = { _meta: { [SUBSCRIPTION_ID]: subscription } };
    for (const method of listChanges((kind) => honoured[`${kind}ListChanged`] === true))
      this.#sendToClient(notice(method, params));
    return true;
  }
}
