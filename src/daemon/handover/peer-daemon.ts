// The other daemon of a handover, at either end of the channel between them. What a client sends here about something there is
// passed on, and the answer is returned.

import type { ModernRequest } from "../../gateway/frontend/modern/request.ts";
import type { CallStream } from "../../gateway/frontend/session/client-stream.ts";
import type { StrayMessage } from "../../gateway/frontend/session/other-daemons.ts";
import type { SessionChange } from "../../gateway/frontend/session/session-memory.ts";
import type { ResumingDaemon, SuspendedCalls } from "../../gateway/frontend/suspended/suspended-calls.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INTERNAL_ERROR,
  isJsonObject,
  type Reply,
} from "../../gateway/json-rpc.ts";
import { valueOr } from "../../runtime/errors.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { type Clock, resultWithin } from "../../runtime/time/clock.ts";
import type { PassedMessage } from "./handover-messages.ts";

/**
 * Bounds of messages on their way to a daemon that does not read. Messages beyond the number, or of a greater length, are
 * dropped.
 */
const MOST_UNSENT = 256;
const LONGEST_MESSAGE = 4 * 1024 * 1024;
/** Longest wait for the answer to a client's message, ms; then the other daemon counts as having taken it. */
const PLACED_MS = 5_000;

interface PeerOptions {
  readonly clock: Clock;
  /** Sends a message; `onSent` is called when it is written. False: the other daemon has ended. */
  readonly post: (message: PassedMessage, onSent?: () => void) => boolean;
}

/** What the other daemon brings to this one. */
export interface OwnSessions {
  readonly suspended: Pick<SuspendedCalls, "resume">;
  /** Takes a client's message about something that may be in this daemon. Resolves with whether it is. Never rejects. */
  readonly deliver: (message: StrayMessage) => Promise<boolean>;
  readonly change: (hash: string, change: SessionChange) => void;
}

export class PeerDaemon implements ResumingDaemon {
  readonly #own: OwnSessions;
  readonly #options: PeerOptions;
  #unsent = 0;
  #sent = 0;
  /** Clients' messages that the other daemon has not answered yet, by number. */
  readonly #delivered = new Map<number, (isTaken: boolean) => void>();
  /** The requests sent and not yet answered, by number. */
  readonly #open = new Map<number, { readonly request: ModernRequest; readonly stream: CallStream }>();
  /**
   * Keys: the numbers of requests from the other daemon. The function is called when the request's client has
   * disconnected.
   */
  readonly #taken = new Map<number, () => void>();

  constructor(own: OwnSessions, options: PeerOptions) {
    this.#own = own;
    this.#options = options;
  }

  async deliver(message: StrayMessage): Promise<boolean> {
    const n = ++this.#sent;
    if (message.text.length > LONGEST_MESSAGE) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#delivered.set(n, resolve);
    if (!this.#send({ say: "words", n, ...message })) resolve(false);
    const isTaken = await resultWithin(this.#options.clock, PLACED_MS, promise);
    this.#delivered.delete(n);
    return isTaken ?? true;
  }

  report(hash: string, change: SessionChange): void {
    this.#send({ say: "change", hash, change });
  }

  resume(request: ModernRequest, stream: CallStream): { readonly gone: () => void } | null {
    const n = ++this.#sent;
    const text = json(request);
    const { post } = this.#options;
    if (text === null || !post({ say: "request", n, request: text })) return null;
    this.#open.set(n, { request, stream });
    return {
      gone: () => {
        if (this.#open.delete(n)) post({ say: "gone", n });
      },
    };
  }

  hear(message: PassedMessage): void {
    switch (message.say) {
      case "words":
        void this.#own.deliver(message).then((isTaken) => {
          this.#options.post({ say: "placed", n: message.n, isTaken });
        });
        break;
      case "placed":
        this.#delivered.get(message.n)?.(message.isTaken);
        break;
      case "change":
        this.#own.change(message.hash, message.change);
        break;
      case "request":
        this.#take(message.n, message.request);
        break;
      case "gone":
        this.#taken.get(message.n)?.();
        this.#taken.delete(message.n);
        break;
      case "notice":
        this.#open.get(message.n)?.stream.send(message.json);
        break;
      case "answer": {
        const open = this.#open.get(message.n);
        this.#open.delete(message.n);
        open?.stream.answer(open.request.id, replyIn(message.reply));
      }
    }
  }

  /** To be called when the other daemon has ended. */
  over(): void {
    const reply = errorReply(BACKEND_UNAVAILABLE, "the daemon that ran this call has ended");
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const { request, stream } of open) stream.answer(request.id, reply);
    for (const resolve of this.#delivered.values()) resolve(false);
    const taken = [...this.#taken.values()];
    this.#taken.clear();
    for (const gone of taken) gone();
  }

  #send(message: PassedMessage): boolean {
    if (this.#unsent >= MOST_UNSENT) return false;
    const isSent = this.#options.post(message, () => {
      this.#unsent -= 1;
    });
    if (isSent) this.#unsent += 1;
    return isSent;
  }

  #take(n: number, text: string): void {
    let isAnswered = false;
    const answer = (reply: Reply): void => {
      isAnswered = true;
      this.#taken.delete(n);
      const found = json(reply) ?? json(errorReply(INTERNAL_ERROR, "the result cannot be written as JSON"));
      this.#options.post({ say: "answer", n, reply: found ?? "" });
    };
    const stream: CallStream = {
      congested: null,
      send: (notice) => this.#options.post({ say: "notice", n, json: notice }),
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
  return valueOr(() => parseExactly(text), null);
}

/** The value as JSON; null if it is nested too deep, or too long. */
function json(value: unknown): string | null {
  return valueOr(() => JSON.stringify(value), null);
}
