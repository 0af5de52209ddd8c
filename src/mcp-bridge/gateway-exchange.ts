// What a client and one gateway have asked each other and not answered yet, and what the bridge itself has asked the gateway.
import { randomBytes } from "node:crypto";
import type { JsonMembers } from "../runtime/text/json-object.ts";
import type { MessageId } from "./message-scan.ts";
import type { Effect } from "./messages.ts";

/** A request of the client. */
export interface Waiting {
  readonly effect: Effect | null;
  /** The request's line, if it may be sent again to the next daemon. */
  readonly again: string | null;
}

export class GatewayExchange {
  /** Sends bytes of the client. */
  readonly write: (bytes: Buffer | string) => void;
  /** The client's requests without an answer. */
  readonly waiting = new Map<MessageId, Waiting>();
  /** The gateway's requests that the client has not answered. */
  readonly questions = new Set<MessageId>();
  /** The daemon has handed over to the next one, and finishes only what it has. */
  hasHandedOver = false;
  /** No client uses this. */
  readonly #prefix = `"mountaineer-bridge-${randomBytes(12).toString("base64url")}-`;
  readonly #requests = new Map<MessageId, (answer: JsonMembers) => void>();
  #lastNumber = 0;

  constructor(write: (bytes: Buffer | string) => void) {
    this.write = write;
  }

  /** Neither side waits for an answer. */
  get isIdle(): boolean {
    return this.waiting.size === 0 && this.questions.size === 0;
  }

  /** Sends one message, given without a newline. */
  send(json: string): void {
    this.write(`${json}\n`);
  }

  /** Sends a request of the bridge; `onAnswer` gets the JSON-RPC response. */
  request(method: string, params: JsonMembers, onAnswer: (answer: JsonMembers) => void = () => {}): void {
    this.#lastNumber += 1;
    const id = `${this.#prefix}${this.#lastNumber}"`;
    this.#requests.set(id, onAnswer);
    this.send(
      `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`,
    );
  }

  async answerOf(method: string, params: JsonMembers): Promise<JsonMembers> {
    const { promise, resolve } = Promise.withResolvers<JsonMembers>();
    this.request(method, params, resolve);
    return promise;
  }

  /** Takes an answer to the bridge; false: it is for the client. */
  complete(id: MessageId, answer: () => JsonMembers): boolean {
    if (!id.startsWith(this.#prefix)) return false;
    const onAnswer = this.#requests.get(id);
    this.#requests.delete(id);
    onAnswer?.(answer());
    return true;
  }
}
