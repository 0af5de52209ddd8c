// One stream of HTTP+SSE, on which its client gets everything, and the session that lives as long as the stream.
import type { ServerResponse } from "node:http";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { ClientHandle, Principal } from "../../client-handle.ts";
import type { Reply, RpcId } from "../../json-rpc.ts";
import { LIST_CHANGED, LIST_KINDS } from "../../protocol.ts";
import { type CallStream, responseJson } from "../session/client-stream.ts";
import { plainSessionId } from "../session/sealed-session.ts";
import type { ListeningStream, Session } from "../session/session.ts";
import { LARGE_REPLY_BYTES, MESSAGES_PATH, refusesLargeEvents } from "./request.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** A stream whose client leaves more results unread is closed. */
const UNREAD_LIMIT_BYTES = 128 * 1024 * 1024;
/** Time after which a client opens a new stream when this one ends, ms. */
const RETRY_MS = 1_000;
/** The same where the next daemon waits for it. */
const RETRY_SOON_MS = 50;
/** A message that comes after the end of its stream is refused, and most follow closely on an answer. */
const QUIET_MS = 2_000;
/** The same for a client that has been busy for `BUSY_MS`: what it sees here is no longer new. */
const LEAST_QUIET_MS = 250;
const BUSY_MS = 4_000;

interface ChannelOptions {
  readonly parts: StreamParts;
  readonly response: ServerResponse;
  readonly principal: Principal;
  /** Called after each answer. */
  readonly onWritten: () => void;
  readonly onClosed: () => void;
}

export class SseChannel implements CallStream, ListeningStream {
  /** Unguessable. */
  readonly id = plainSessionId();
  readonly principal: Principal;
  /** What the client can read. */
  readonly limit: Pick<ClientHandle, "messageLimitBytes">;
  /** Null before `initialize`, or before the first call of a client that was initialized on an earlier stream. */
  session: Session | null = null;
  /** Number of messages that are arriving. */
  arriving = 0;
  #quiet: Timer | null = null;
  #leavesSinceMs: number | null = null;
  readonly #options: ChannelOptions;
  readonly #stream: SseStream;

  constructor(options: ChannelOptions) {
    const { parts, response, principal, onClosed } = options;
    this.#options = options;
    this.principal = principal;
    this.limit = refusesLargeEvents(response.req) ? { messageLimitBytes: LARGE_REPLY_BYTES } : {};
    this.#stream = new SseStream(parts, response, () => {
      onClosed();
      this.#quiet?.[Symbol.dispose]();
      this.session?.streamClosed(this);
      this.session?.end("the client closed its stream");
    });
  }

  /** Sends the event with the address for messages. */
  greet(): void {
    const endpoint = `${MESSAGES_PATH}?sessionId=${this.id}`;
    this.#stream.sendEvent(`retry: ${RETRY_MS}\nevent: endpoint\ndata: ${endpoint}`);
  }

  sendListChanges(): void {
    for (const kind of LIST_KINDS) {
      this.send(JSON.stringify({ jsonrpc: "2.0", method: LIST_CHANGED[kind] }));
    }
  }

  get congested(): Promise<void> | null {
    return this.#stream.congested;
  }

  send(json: string): boolean {
    return this.#stream.send(json);
  }

  answer(id: RpcId | null, reply: Reply | null): void {
    this.write(reply === null ? null : responseJson(id, reply));
  }

  /**
   * `json` null: the request, or every request of the batch, was cancelled, so nothing is sent. `eventId`: what the client
   * may return when it connects again.
   */
  write(json: string | null, eventId: string | null = null): void {
    if (this.#stream.backlog > UNREAD_LIMIT_BYTES) this.#stream.destroy();
    else if (json !== null) this.#stream.sendAnyway(json, eventId === null ? "" : `id: ${eventId}\n`);
    this.#options.onWritten();
  }

  /** Does nothing while the session lives, because the session needs this stream. */
  end(): void {
    if (this.session?.ended.aborted === true) this.finish();
  }

  /** Ends the stream once everything is written. */
  finish(): void {
    this.#stream.end();
  }

  /** Ends the stream after some time in which nothing happens; its client connects to the next daemon. */
  moveOnWhenQuiet(clock: Clock): void {
    this.#quiet?.[Symbol.dispose]();
    const nowMs = clock.monotonicMs();
    this.#leavesSinceMs ??= nowMs;
    const { inFlight = 0, openQuestions = 0 } = this.session ?? {};
    if (inFlight > 0 || openQuestions > 0 || this.arriving > 0) return;
    const isBusy = nowMs - this.#leavesSinceMs >= BUSY_MS;
    this.#quiet = clock.setTimer(isBusy ? LEAST_QUIET_MS : QUIET_MS, () => {
      endForNextDaemon(this.#stream);
    });
  }
}

/** Ends the stream; its client opens one at the next daemon. */
export function endForNextDaemon(stream: SseStream): void {
  stream.sendEvent(`retry: ${RETRY_SOON_MS}`);
  stream.end();
}
