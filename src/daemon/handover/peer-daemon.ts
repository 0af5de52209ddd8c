// The other daemon of a handover, at either end of the channel between them. A client's message here about a call in
// flight there is passed on, and the answer is returned.

import type { ModernRequest } from "../../gateway/frontend/modern/request.ts";
import type { CallStream } from "../../gateway/frontend/session/client-stream.ts";
import type { ClientMessage } from "../../gateway/frontend/session/handover-peers.ts";
import type { OtherDaemon, SuspendedCalls } from "../../gateway/frontend/suspended/suspended-calls.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INTERNAL_ERROR,
  isJsonObject,
  type Reply,
} from "../../gateway/json-rpc.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import type { PassedMessage } from "./handover-messages.ts";

/**
 * Bounds of messages on their way to a daemon that does not read. Messages beyond the number, or of a greater length, are
 * dropped.
 */
const MOST_UNSENT = 256;
const LONGEST_MESSAGE = 4 * 1024 * 1024;

/** Sends a message; `onSent` is called when it is written. False: the other daemon has ended. */
type Send = (message: PassedMessage, onSent?: () => void) => boolean;

/** What the other daemon may ask of this one. */
export interface OwnCalls {
  readonly suspended: Pick<SuspendedCalls, "resume">;
  /** Takes a message of a client about a call that may be in flight here. */
  readonly deliver: (message: ClientMessage) => void;
}

export class PeerDaemon implements OtherDaemon {
  readonly #own: OwnCalls;
  readonly #post: Send;
  #unsent = 0;
  /** The requests sent and not yet answered, by number. */
  readonly #open = new Map<number, { readonly request: ModernRequest; readonly stream: CallStream }>();
  /**
   * Keys: the numbers of requests from the other daemon. The function is called when the request's client has
   * disconnected.
   */
  readonly #taken = new Map<number, () => void>();
  #passed = 0;

  constructor(own: OwnCalls, post: Send) {
    this.#own = own;
    this.#post = post;
  }

  send({ hash, text }: ClientMessage): void {
    if (this.#unsent >= MOST_UNSENT || text.length > LONGEST_MESSAGE) return;
    const isSent = this.#post({ say: "words", hash, text }, () => {
      this.#unsent -= 1;
    });
    if (isSent) this.#unsent += 1;
  }

  resume(request: ModernRequest, stream: CallStream): { readonly gone: () => void } | null {
    const n = ++this.#passed;
    const text = json(request);
    if (text === null || !this.#post({ say: "request", n, request: text })) return null;
    this.#open.set(n, { request, stream });
    return {
      gone: () => {
        if (this.#open.delete(n)) this.#post({ say: "gone", n });
      },
    };
  }

  hear(message: PassedMessage): void {
    if (message.say === "words") {
      this.#own.deliver(message);
      return;
    }
    const { n } = message;
    if (message.say === "request") this.#take(n, message.request);
    else if (message.say === "gone") {
      this.#taken.get(n)?.();
      this.#taken.delete(n);
    } else if (message.say === "notice") this.#open.get(n)?.stream.send(message.json);
    else if (message.say === "answer") {
      const open = this.#open.get(n);
      this.#open.delete(n);
      open?.stream.answer(open.request.id, replyIn(message.reply));
    }
  }

  /** To be called when the other daemon has ended. */
  over(): void {
    const reply = errorReply(BACKEND_UNAVAILABLE, "the daemon that ran this call has ended");
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const { request, stream } of open) stream.answer(request.id, reply);
    const taken = [...this.#taken.values()];
    this.#taken.clear();
    for (const gone of taken) gone();
  }

  #take(n: number, text: string): void {
    let isAnswered = false;
    const answer = (reply: Reply): void => {
      isAnswered = true;
      this.#taken.delete(n);
      const found = json(reply) ?? json(errorReply(INTERNAL_ERROR, "the result cannot be written as JSON"));
      this.#post({ say: "answer", n, reply: found ?? "" });
    };
    const stream: CallStream = {
      congested: null,
      send: (notice) => this.#post({ say: "notice", n, json: notice }),
      answer: (_id, reply) => answer(reply ?? errorReply(BACKEND_UNAVAILABLE, "the request was cancelled")),
    };
    const request = requestIn(text);
    const resumed = request === null ? null : this.#own.suspended.resume(request, stream);
    if (resumed?.kind === "goes_on") {
      // `resume` may already have answered the request.
      if (!isAnswered) this.#taken.set(n, resumed.gone);
    } else if (resumed?.kind === "refused") answer(resumed.reply);
    // The request is unreadable, or no call waits for it: the other daemon should not have passed it.
    else answer(errorReply(INTERNAL_ERROR, "the request cannot be resumed"));
  }
}

/** Parses a request. It may lack members, because the other daemon may be of another version. */
function requestIn(text: string): ModernRequest | null {
  const found = parsed(text);
  const isOne = isJsonObject(found) && isJsonObject(found["params"]) && isJsonObject(found["principal"]);
  return isOne && isJsonObject(found["capabilities"]) ? (found as unknown as ModernRequest) : null;
}

function replyIn(text: string): Reply {
  const found = parsed(text);
  const isOne = isJsonObject(found) && (isJsonObject(found["result"]) || isJsonObject(found["error"]));
  return isOne ? (found as Reply) : errorReply(INTERNAL_ERROR, "the result cannot be read");
}

/** The parsed text; null if it is not JSON. */
function parsed(text: string): unknown {
  try {
    return parseExactly(text);
  } catch {
    return null;
  }
}

/** The value as JSON; null if it is nested too deep, or too long. */
function json(value: unknown): string | null {
  try {
    return JSON.stringify(value);
  } catch {
    return null;
  }
}
